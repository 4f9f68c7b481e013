"""The cache of an identity dataset's faces: resumed, locked, and consistent with the photos."""

import fcntl
import functools
import json
import multiprocessing
import os
import pickle
import resource
import shutil

import numpy as np
import pytest

from imagefec.data.exclusion import Exclusion
from imagefec.data.identity import detection
from imagefec.data.identity.detection import DetectionSettings
from imagefec.data.identity.face_cache import cache_folder, crop_split, for_each_in_threads
from imagefec.data.identity.folders import face_id, list_splits
from imagefec.data.identity.loose_boxes import read_loose_boxes
from imagefec.errors import UserError
from imagefec.faces.crop import letterbox
from tests.data.identity.photos import decoded, loose_csv, png, random_photo

NO_EXCLUSION = Exclusion()
ANY_PHOTO = DetectionSettings.resolve("none")  # every photo is a face: no detector is tested here


def write(root, *paths):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(png(random_photo(seed_of(path))))
    return root


def seed_of(path):
    return list(path.encode())


@pytest.fixture
def manual(tmp_path):
    return write(
        tmp_path / "manual",
        *(f"train/{name}.png" for name in ("n1/0", "n1/1", "n1/2", "n2/0", "n2/1", "n3/0")),
    )


def identities_of(manual, exclusion=NO_EXCLUSION):
    return list_splits(manual, exclusion)["train"].identities


def crop(manual, cache, exclusion=NO_EXCLUSION, **more):
    return crop_split(identities_of(manual, exclusion), exclusion, ANY_PHOTO, cache, **more)


def test_a_second_file_with_the_same_content_is_dropped(manual, tmp_path):
    shutil.copy(manual / "train/n1/1.png", manual / "train/n1/9.png")
    # Under another identity it is used: the wrong one of the two is not known.
    shutil.copy(manual / "train/n1/1.png", manual / "train/n2/9.png")
    faces = crop(manual, tmp_path / "cache")
    assert [face.url for face in faces if face.identity == "n1"] == [
        f"train/n1/{n}.png" for n in range(3)
    ]
    assert faces.dropped == {detection.SAME_PHOTO: 1}


def test_unreadable_photos_are_counted_and_the_others_are_cropped(manual, tmp_path):
    (manual / "train/n1/1.png").write_text("not an image")
    (manual / "train/n2/0.png").write_bytes(b"")
    (manual / "train/n2/gone.png").symlink_to("nowhere.png")
    (manual / "train/n2/labels.csv").touch()
    os.mkfifo(manual / "train/n3/pipe.png")
    faces = crop(manual, tmp_path / "cache")
    assert [face.url for face in faces] == [
        "train/n1/0.png",
        "train/n1/2.png",
        "train/n2/1.png",
        "train/n3/0.png",
    ]
    assert (faces.dropped, faces.photos, faces.stray_files) == ({"not a photo": 4}, 8, 1)


def test_faces_are_sorted_by_identity_and_have_all_their_fields(manual, tmp_path):
    faces = crop(manual, tmp_path / "cache")
    assert len(faces) == faces.photos == faces.upscaled == 6
    assert faces.labels.tolist() == [0, 0, 0, 1, 1, 2] and faces.labels.dtype == np.int32
    assert faces.n_per_identity.tolist() == [3, 2, 1]
    face = faces[4]
    assert (face.identity, face.label, face.url, face.box) == (
        "n2",
        1,
        "train/n2/1.png",
        (0.0, 1.0, 0.0, 1.0),
    )
    assert face.face_id == face_id("train", "n2", "1.png")
    np.testing.assert_array_equal(
        decoded(face.png), letterbox(random_photo(seed_of("train/n2/1.png")))[0]
    )
    with pytest.raises(IndexError):
        faces[6]


def test_an_identity_without_a_face_has_no_index_and_changes_no_other_label(manual, tmp_path):
    for path in (manual / "train/n2").iterdir():
        path.write_text("not an image")
    assert crop(manual, tmp_path / "cache").labels.tolist() == [0, 0, 0, 2]


def test_workers_of_a_cluster_write_the_same_files_and_read_the_same_faces(manual, tmp_path):
    def over_processes(crop_identity, identities):  # their arguments are pickled
        with multiprocessing.get_context("spawn").Pool(2) as workers:
            yield from workers.imap_unordered(crop_identity, identities)

    boxes = read_loose_boxes(loose_csv(tmp_path, *(f"n1/{n},4,4,20,20" for n in range(3))))
    exclusion = Exclusion(["n1/0.png"])
    for name, for_each in (("threads", None), ("processes", over_processes)):
        faces = crop(manual, tmp_path / name, exclusion, boxes=boxes, for_each=for_each)
    assert files_of(tmp_path / "threads") == files_of(tmp_path / "processes")
    sent = pickle.loads(pickle.dumps(faces))
    assert [face.url for face in sent] == ["train/n1/1.png", "train/n1/2.png"]
    assert list(sent) == list(faces) == [faces.read(*faces.place(index)) for index in range(2)]


def test_any_number_of_threads_writes_the_same_bytes(manual, tmp_path):
    for workers in (1, 4):
        crop(
            manual,
            tmp_path / str(workers),
            for_each=functools.partial(for_each_in_threads, workers=workers),
        )
    assert files_of(tmp_path / "1") == files_of(tmp_path / "4")
    assert len(files_of(tmp_path / "1")) == 7


def files_of(cache):
    return {path.name: path.read_bytes() for path in (cache / "train").iterdir()}


@pytest.fixture
def opened(monkeypatch):
    """Collects the photos that are cropped."""
    names, original = [], detection.crop_best_face

    def recording(photo, *rest):
        names.append(photo)
        return original(photo, *rest)

    monkeypatch.setattr(detection, "crop_best_face", recording)
    return names


def test_only_identities_that_changed_are_cropped_again(manual, tmp_path, opened):
    crop(manual, tmp_path / "cache")
    opened.clear()
    crop(manual, tmp_path / "cache")
    assert opened == []
    (manual / "train/n2/1.png").write_bytes(png(random_photo(99, 50, 50)))
    (manual / "train/n3/1.png").write_bytes(png(random_photo(98)))
    faces = crop(manual, tmp_path / "cache")
    assert len(opened) == 4  # n2's and n3's
    np.testing.assert_array_equal(decoded(faces[4].png), letterbox(random_photo(99, 50, 50))[0])
    assert len(faces) == 7


def test_an_identity_whose_crop_was_killed_or_damaged_is_cropped_again(manual, tmp_path, opened):
    folder = tmp_path / "cache" / "train"
    expected = list(crop(manual, tmp_path / "cache"))
    one, two, _ = sorted(folder.glob("*.json"))
    one.unlink()  # killed between the two files
    two.write_bytes(two.read_bytes()[:20])  # power cut
    (folder / ".left.pngs.1-2.tmp").touch()
    opened.clear()
    assert list(crop(manual, tmp_path / "cache")) == expected
    assert 0 < len(opened) < 6 and not list(folder.glob(".*.tmp"))


def test_faces_that_are_excluded_later_are_deleted(manual, tmp_path):
    folder = tmp_path / "cache" / "train"
    before = crop(manual, tmp_path / "cache")
    pngs = {face.url: face.png for face in before}
    after = crop(manual, tmp_path / "cache", Exclusion(["n2", "train/n1/0.png"]))
    assert [face.url for face in after] == ["train/n1/1.png", "train/n1/2.png", "train/n3/0.png"]
    cached = b"".join(path.read_bytes() for path in folder.iterdir())
    assert {url for url, data in pngs.items() if data in cached} == {face.url for face in after}
    assert after.dropped == {"excluded": 1}


def test_faces_damaged_after_cropping_are_an_error_that_says_what_to_delete(manual, tmp_path):
    faces = crop(manual, tmp_path / "cache")
    for path in (tmp_path / "cache" / "train").glob("*.pngs"):
        path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(UserError, match=r"damaged.*delete .*train and build again"):
        faces[1]


def test_a_second_build_in_the_same_folder_is_an_error(manual, tmp_path):
    (tmp_path / "cache" / "train").mkdir(parents=True)
    with (tmp_path / "cache" / "train" / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UserError, match=r"another build \(process unknown\) is writing"):
            crop(manual, tmp_path / "cache")


def test_a_full_disk_is_a_user_error_and_leaves_no_partial_identity(manual, tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # The file of n1's three faces grows larger than this.
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, hard))
    try:
        with pytest.raises(
            UserError, match=r"(?s)cannot write the cropped faces.*Finished identities are not lost"
        ):
            crop(manual, tmp_path / "cache")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert len(crop(manual, tmp_path / "cache")) == 6


def test_each_pair_of_settings_and_manual_directory_has_its_own_cache_folder(tmp_path):
    pairs = [
        (tmp_path / "a", ANY_PHOTO),
        (tmp_path / "b", ANY_PHOTO),
        (tmp_path / "a", DetectionSettings.resolve("haar")),
        (tmp_path / "a", DetectionSettings.resolve("none", 0.5)),
        (tmp_path / "a", DetectionSettings.resolve("none", boxes="loose_bb")),
    ]
    assert len({cache_folder("base", *each) for each in pairs}) == 5
    assert cache_folder("base", tmp_path / "a" / ".." / "a", ANY_PHOTO) == cache_folder(
        "base", tmp_path / "a", ANY_PHOTO
    )


def test_photos_without_a_loose_box_are_dropped_and_new_boxes_are_cropped_again(manual, tmp_path):
    def boxes(*names, side=20):
        return read_loose_boxes(
            loose_csv(tmp_path, *(f"{name},4,4,{side},{side}" for name in names))
        )

    faces = crop(manual, tmp_path / "cache", boxes=boxes("n1/0", "n1/2", "n2/1"))
    assert [face.url for face in faces] == ["train/n1/0.png", "train/n1/2.png", "train/n2/1.png"]
    assert faces.dropped == {detection.NO_BOX: 3}
    assert faces[0].box == pytest.approx((4 / 30, 24 / 30, 4 / 40, 24 / 40))
    before = faces[0].png
    larger = boxes("n1/0", "n1/2", "n2/1", side=22)
    assert crop(manual, tmp_path / "cache", boxes=larger)[0].png != before


def test_a_split_without_identities_is_a_callers_bug(tmp_path):
    with pytest.raises(ValueError, match="at least one identity"):
        crop_split([], NO_EXCLUSION, ANY_PHOTO, tmp_path)


def test_an_impossible_cache_folder_is_an_error_that_names_it(manual, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="file/train: cannot write the cropped faces"):
        crop(manual, tmp_path / "file")


@pytest.mark.parametrize("link", [".", "train"])
def test_a_link_in_place_of_a_cache_folder_is_refused_and_nothing_is_deleted_behind_it(
    manual, tmp_path, link
):
    outside = tmp_path / "outside"
    (outside / "train").mkdir(parents=True)
    for folder in (outside, outside / "train"):
        (folder / "notes.json").write_text("{}")  # a manifest of no identity would be deleted
    cache = tmp_path / "base" / "cache"
    (cache if link == "train" else cache.parent).mkdir(parents=True)
    (cache / link if link == "train" else cache).symlink_to(outside, target_is_directory=True)
    with pytest.raises(UserError, match="a symbolic link"):
        crop(manual, cache)
    assert sorted(str(path.relative_to(outside)) for path in outside.rglob("*.json")) == [
        "notes.json",
        "train/notes.json",
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"faces": None},
        {"faces": [["0.png", 0]]},
        {"faces": [["0.png", -1, 5, [0, 1, 0, 1], 1.0, False]]},
        {"faces": [["0.png", 0, 1e9, [0, 1, 0, 1], 1.0, False]]},
        {"faces": [[7, 0, 5, [0, 1, 0, 1], 1.0, False]]},
        {"faces": [["0.png", 0, 5, "box", 1.0, False]]},
        {"photos": "3"},
        {"dropped": []},
        {"stray_files": None},
    ],
)
def test_a_manifest_of_another_form_is_an_error_that_names_it(manual, tmp_path, change):
    crop(manual, tmp_path / "cache")
    path = sorted((tmp_path / "cache/train").glob("*.json"))[0]
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(UserError, match=rf"{path}: .*damaged.*build again"):
        crop(manual, tmp_path / "cache")


@pytest.mark.parametrize("text", ["[]", "null", "[" * 100_000, "{"])
def test_a_manifest_that_is_no_json_object_is_written_again(manual, tmp_path, text):
    expected = [face.png for face in crop(manual, tmp_path / "cache")]
    path = sorted((tmp_path / "cache/train").glob("*.json"))[0]
    path.write_text(text)
    assert [face.png for face in crop(manual, tmp_path / "cache")] == expected


def test_an_error_in_one_thread_ends_the_others_between_two_photos(tmp_path):
    # n2 has many photos; n1's folder cannot be written to, as if the disk were full.
    manual = write(
        tmp_path / "manual", "train/n1/0.png", *(f"train/n2/{k}.png" for k in range(300))
    )
    first, _ = identities_of(manual)
    done = []

    def crop_or_fail(do, identity):
        if identity.name == first.name:
            raise OSError(28, "No space left on device")
        do(identity)
        done.append(identity.name)

    def for_each(do, identities):
        return for_each_in_threads(functools.partial(crop_or_fail, do), identities, workers=2)

    with pytest.raises(UserError, match="No space left"):
        crop(manual, tmp_path / "cache", for_each=for_each)
    assert done == []
    assert not list((tmp_path / "cache/train").glob(".*.tmp"))
