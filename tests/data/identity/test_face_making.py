"""From a picture to a face, VGGFace2's own boxes, and the scratch folder: resumed, kept to itself, and true to the photos."""

import dataclasses
import fcntl
import functools
import json
import multiprocessing
import os
import pickle
import resource
import shutil

import cv2
import numpy as np
import pytest
from PIL import Image

from imagefec.data.exclusion import Exclusion
from imagefec.data.identity import face_making
from imagefec.data.identity.face_cache import cut_split, scratch_folder, spread_over_threads
from imagefec.data.identity.face_making import Settings, make_face
from imagefec.data.identity.folders import face_id, list_splits
from imagefec.data.identity.loose_boxes import find_loose_boxes, read_loose_boxes
from imagefec.errors import UserError
from imagefec.faces.crop import letterbox
from imagefec.faces.detectors import Detection, NoDetector
from imagefec.maths.geometry import Box

NOBODY = Exclusion()
WHOLE = Settings.of("none")  # every picture is a face: what is tested here is not the detector


@dataclasses.dataclass
class Finds:
    """A detector that finds the same boxes in every picture, or nothing."""

    boxes: tuple[Box, ...] = ()
    name, version, min_score = "finds", "1", 0.0

    def detect(self, photo, smallest=0.1):
        return [Detection(box, score) for box, score in zip(self.boxes, (9.0, 5.0))]


def picture(seed=0, height=40, width=30):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def png(rgb):
    return cv2.imencode(".png", rgb[..., ::-1])[1].tobytes()


def decoded(data):
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


def write(root, *paths):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(png(picture(seed_of(path))))
    return root


def seed_of(path):
    return list(path.encode())


@pytest.fixture
def manual(tmp_path):
    return write(
        tmp_path / "manual",
        *(f"train/{name}.png" for name in ("n1/0", "n1/1", "n1/2", "n2/0", "n2/1", "n3/0")),
    )


def people_of(manual, exclusion=NOBODY):
    return list_splits(manual, exclusion)["train"].people


def cut(manual, scratch, exclusion=NOBODY, **more):
    return cut_split(people_of(manual, exclusion), exclusion, WHOLE, scratch, **more)


def test_the_best_face_is_grown_by_15_percent_and_becomes_a_128_px_png():
    photo = picture(height=220, width=200)
    made = make_face(png(photo), Finds((Box(50, 146, 60, 156), Box(0, 30, 0, 30))))
    # 96 px grow to 110.4: 42.8 .. 153.2 and 52.8 .. 163.2.
    expected, upscaled = letterbox(photo[53:163, 43:153])
    np.testing.assert_array_equal(decoded(made.png), expected)
    assert (
        made == face_making.Cut(made.png, "", (0.25, 0.73, 60 / 220, 156 / 220), 9.0, True)
        and upscaled
    )


@pytest.mark.parametrize(
    ("data", "boxes", "reason"),
    [
        (b"no picture", (Box(0, 9, 0, 9),), "not a photo"),
        (b"", (Box(0, 9, 0, 9),), "not a photo"),
        (png(picture())[:-900], (), "not a photo"),
        (png(picture()), (), "no face found"),
        (png(picture()), (Box(5, 16, 5, 16),), "box too small"),
    ],
)
def test_a_picture_that_makes_no_face_says_why(data, boxes, reason):
    assert make_face(data, Finds(boxes)) == face_making.Cut(None, reason)


def test_a_photo_is_turned_upright_for_the_detector_and_left_as_stored_for_a_loose_box(tmp_path):
    photo = picture(height=64, width=48)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    Image.fromarray(photo).save(tmp_path / "1.png", exif=exif)
    np.testing.assert_array_equal(
        decoded(make_face(tmp_path / "1.png", NoDetector()).png),
        letterbox(np.rot90(photo, -1))[0],
    )
    boxed = make_face(tmp_path / "1.png", NoDetector(), Box(0, 48, 0, 64))
    np.testing.assert_array_equal(decoded(boxed.png), letterbox(photo)[0])


def test_a_loose_box_is_grown_and_the_detector_must_see_a_face_in_it():
    photo, box = picture(height=220, width=200), Box(50, 146, 60, 156)
    made = make_face(png(photo), NoDetector(), box)
    np.testing.assert_array_equal(decoded(made.png), letterbox(photo[53:163, 43:153])[0])
    assert made.box == (0.25, 0.73, 60 / 220, 156 / 220)
    assert make_face(png(photo), Finds(), box).reason == "no face found"
    assert make_face(png(photo), NoDetector(), Box(400, 500, 400, 500)).reason == "box too small"


def test_a_second_file_of_the_same_content_is_no_different_photo(manual, tmp_path):
    shutil.copy(manual / "train/n1/1.png", manual / "train/n1/9.png")
    shutil.copy(
        manual / "train/n1/1.png", manual / "train/n2/9.png"
    )  # of another person: nobody can say whose it is
    faces = cut(manual, tmp_path / "scratch")
    assert [face.url for face in faces if face.identity == "n1"] == [
        f"train/n1/{n}.png" for n in range(3)
    ]
    assert faces.dropped == {face_making.SAME_PHOTO: 1}


def test_unreadable_photos_are_counted_and_the_rest_goes_on(manual, tmp_path):
    (manual / "train/n1/1.png").write_text("no picture")
    (manual / "train/n2/0.png").write_bytes(b"")
    (manual / "train/n2/gone.png").symlink_to("nowhere.png")
    (manual / "train/n2/labels.csv").touch()
    os.mkfifo(manual / "train/n3/pipe.png")
    faces = cut(manual, tmp_path / "scratch")
    assert [face.url for face in faces] == [
        "train/n1/0.png",
        "train/n1/2.png",
        "train/n2/1.png",
        "train/n3/0.png",
    ]
    assert (faces.dropped, faces.photos, faces.stray_files) == ({"not a photo": 4}, 8, 1)


def test_faces_come_person_by_person_with_all_that_is_known_of_them(manual, tmp_path):
    faces = cut(manual, tmp_path / "scratch")
    assert len(faces) == faces.photos == faces.upscaled == 6
    assert faces.labels.tolist() == [0, 0, 0, 1, 1, 2] and faces.labels.dtype == np.int32
    assert faces.n_by_person.tolist() == [3, 2, 1]
    face = faces[4]
    assert (face.identity, face.label, face.url, face.box) == (
        "n2",
        1,
        "train/n2/1.png",
        (0.0, 1.0, 0.0, 1.0),
    )
    assert face.face_id == face_id("train", "n2", "1.png")
    np.testing.assert_array_equal(
        decoded(face.png), letterbox(picture(seed_of("train/n2/1.png")))[0]
    )
    with pytest.raises(IndexError):
        faces[6]


def test_a_person_without_a_face_leaves_no_row_and_the_labels_of_others_alone(manual, tmp_path):
    for path in (manual / "train/n2").iterdir():
        path.write_text("no picture")
    assert cut(manual, tmp_path / "scratch").labels.tolist() == [0, 0, 0, 2]


def test_a_cluster_s_workers_make_the_same_files_and_read_the_same_faces(manual, tmp_path):
    def over_processes(cut, people):  # what they are sent is pickled
        with multiprocessing.get_context("spawn").Pool(2) as workers:
            yield from workers.imap_unordered(cut, people)

    boxes = read_loose_boxes(loose_csv(tmp_path, *(f"n1/{n},4,4,20,20" for n in range(3))))
    exclusion = Exclusion(["n1/0.png"])
    for name, spread in (("here", None), ("spread", over_processes)):
        faces = cut(manual, tmp_path / name, exclusion, boxes=boxes, spread=spread)
    assert files_of(tmp_path / "here") == files_of(tmp_path / "spread")
    sent = pickle.loads(pickle.dumps(faces))
    assert [face.url for face in sent] == ["train/n1/1.png", "train/n1/2.png"]
    assert list(sent) == list(faces) == [faces.read(*faces.place(row)) for row in range(2)]


def test_any_number_of_threads_writes_the_same_bytes(manual, tmp_path):
    for workers in (1, 4):
        cut(
            manual,
            tmp_path / str(workers),
            spread=functools.partial(spread_over_threads, workers=workers),
        )
    assert files_of(tmp_path / "1") == files_of(tmp_path / "4")
    assert len(files_of(tmp_path / "1")) == 7


def files_of(scratch):
    return {path.name: path.read_bytes() for path in (scratch / "train").iterdir()}


@pytest.fixture
def opened(monkeypatch):
    """The photos whose faces are made."""
    names, make = [], face_making.make_face

    def noting(photo, *rest):
        names.append(photo)
        return make(photo, *rest)

    monkeypatch.setattr(face_making, "make_face", noting)
    return names


def test_what_is_cut_is_not_cut_again_but_what_changed_is(manual, tmp_path, opened):
    cut(manual, tmp_path / "scratch")
    opened.clear()
    cut(manual, tmp_path / "scratch")
    assert opened == []
    (manual / "train/n2/1.png").write_bytes(png(picture(99, 50, 50)))
    (manual / "train/n3/1.png").write_bytes(png(picture(98)))
    faces = cut(manual, tmp_path / "scratch")
    assert len(opened) == 4  # n2's and n3's
    np.testing.assert_array_equal(decoded(faces[4].png), letterbox(picture(99, 50, 50))[0])
    assert len(faces) == 7


def test_a_killed_or_damaged_person_s_work_is_done_again(manual, tmp_path, opened):
    folder = tmp_path / "scratch" / "train"
    whole = list(cut(manual, tmp_path / "scratch"))
    one, two, _ = sorted(folder.glob("*.json"))
    one.unlink()  # killed between the two files
    two.write_bytes(two.read_bytes()[:20])  # power cut
    (folder / "left.tmp").touch()
    opened.clear()
    assert list(cut(manual, tmp_path / "scratch")) == whole
    assert 0 < len(opened) < 6 and not list(folder.glob("*.tmp"))


def test_faces_of_who_is_excluded_later_are_deleted(manual, tmp_path):
    folder = tmp_path / "scratch" / "train"
    before = cut(manual, tmp_path / "scratch")
    pngs = {face.url: face.png for face in before}
    after = cut(manual, tmp_path / "scratch", Exclusion(["n2", "train/n1/0.png"]))
    assert [face.url for face in after] == ["train/n1/1.png", "train/n1/2.png", "train/n3/0.png"]
    kept = b"".join(path.read_bytes() for path in folder.iterdir())
    assert {url for url, data in pngs.items() if data in kept} == {face.url for face in after}
    assert after.dropped == {"excluded": 1}


def test_faces_damaged_after_the_cut_are_an_error_that_says_what_to_delete(manual, tmp_path):
    faces = cut(manual, tmp_path / "scratch")
    for path in (tmp_path / "scratch" / "train").glob("*.pngs"):
        path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(UserError, match=r"damaged.*delete .*train and build again"):
        faces[1]


def test_a_second_cut_in_the_same_folder_says_so(manual, tmp_path):
    (tmp_path / "scratch" / "train").mkdir(parents=True)
    with open(tmp_path / "scratch" / "train" / "lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="another build is cutting"):
            cut(manual, tmp_path / "scratch")


def test_a_full_disk_is_an_error_that_says_so_and_leaves_no_half_person(manual, tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(
        resource.RLIMIT_FSIZE, (60_000, hard)
    )  # files of n1's three faces grow larger
    try:
        with pytest.raises(UserError, match=r"(?s)cannot write the cut faces.*What is cut stays"):
            cut(manual, tmp_path / "scratch")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert len(cut(manual, tmp_path / "scratch")) == 6


def test_each_settings_and_manual_directory_have_a_scratch_folder_of_their_own(tmp_path):
    asked = [
        (tmp_path / "a", WHOLE),
        (tmp_path / "b", WHOLE),
        (tmp_path / "a", Settings.of("haar")),
        (tmp_path / "a", Settings.of("none", 0.5)),
        (tmp_path / "a", Settings.of("none", boxes="loose_bb")),
    ]
    assert len({scratch_folder("base", *each) for each in asked}) == 5
    assert scratch_folder("base", tmp_path / "a" / ".." / "a", WHOLE) == scratch_folder(
        "base", tmp_path / "a", WHOLE
    )


def test_settings_name_the_detector_that_auto_chose_and_are_plain_json():
    auto = Settings.of()
    assert auto.detector != "auto" and auto == Settings.of(auto.detector)
    assert json.loads(json.dumps(auto.as_json())) == auto.as_json()
    with pytest.raises(UserError, match="'whole'; allowed are 'detector' and 'loose_bb'"):
        Settings.of(boxes="whole")


def loose_csv(folder, *rows, split="train", header="NAME_ID,X,Y,W,H"):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"loose_bb_{split}.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def test_loose_boxes_are_read_as_the_authors_wrote_them(tmp_path):
    rows = (
        '"n2/0001_01",161,140,224,324',
        '"n1/0002_01",-3,5,10,20',
        '"n1/0003_01",1,1,0,9',
        '"n1/0004_01",nan,1,9,9',
    )
    boxes = read_loose_boxes(loose_csv(tmp_path, *rows))
    assert boxes.of("n2", "0001_01.jpg") == Box(161, 385, 140, 464)
    assert boxes.of("n1", "0002_01.JPEG") == Box(-3, 7, 5, 25)
    assert len(boxes) == 4
    assert [boxes.of("n1", f"000{n}_01.jpg") for n in (1, 3, 4)] == [None] * 3
    assert read_loose_boxes(loose_csv(tmp_path)).of("n1", "1.jpg") is None


@pytest.mark.parametrize(
    ("row", "said"),
    [("n1/1,1,2,3", "line 3"), ("n1/1,1,2,3,x", "line 3"), ("n1/1,1,2,3,4,5", "line 3")],
)
def test_a_bad_row_of_loose_boxes_is_an_error_that_names_its_line(tmp_path, row, said):
    with pytest.raises(UserError, match=rf"loose_bb_train\.csv, {said}: no name and four numbers"):
        read_loose_boxes(loose_csv(tmp_path, "n1/0,1,2,3,4", row))


def test_another_csv_file_is_refused_by_its_header(tmp_path):
    with pytest.raises(UserError, match="header 'a,b', not 'NAME_ID,X,Y,W,H'"):
        read_loose_boxes(loose_csv(tmp_path, header="a,b"))


@pytest.mark.parametrize(
    "folder",
    ["", "bb_landmark", "meta", "VGGFace2/data", "VGGFace2/bb_landmark", "VGGFace2/data/train"],
)
def test_loose_boxes_are_found_beside_the_split_or_above(tmp_path, folder):
    split = write(tmp_path, "VGGFace2/data/train/n1/1.png") / "VGGFace2/data/train"
    with pytest.raises(UserError, match=r"found no loose_bb_train\.csv"):
        find_loose_boxes("train", split, tmp_path)
    path = loose_csv(tmp_path / folder)
    assert find_loose_boxes("train", split, tmp_path) == path


def test_with_loose_boxes_a_photo_without_one_is_dropped_and_new_boxes_cut_again(manual, tmp_path):
    def boxes(*names, side=20):
        return read_loose_boxes(
            loose_csv(tmp_path, *(f"{name},4,4,{side},{side}" for name in names))
        )

    faces = cut(manual, tmp_path / "scratch", boxes=boxes("n1/0", "n1/2", "n2/1"))
    assert [face.url for face in faces] == ["train/n1/0.png", "train/n1/2.png", "train/n2/1.png"]
    assert faces.dropped == {face_making.NO_BOX: 3}
    assert faces[0].box == pytest.approx((4 / 30, 24 / 30, 4 / 40, 24 / 40))
    before = faces[0].png
    assert (
        cut(manual, tmp_path / "scratch", boxes=boxes("n1/0", "n1/2", "n2/1", side=22))[0].png
        != before
    )


def test_nobody_to_cut_is_a_callers_bug(tmp_path):
    with pytest.raises(ValueError):
        cut_split([], NOBODY, WHOLE, tmp_path)


def test_a_scratch_folder_that_cannot_be_is_an_error_that_names_it(manual, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="file/train: cannot write the cut faces"):
        cut(manual, tmp_path / "file")
