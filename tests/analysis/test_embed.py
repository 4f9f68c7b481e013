"""Embedding image files: faces, photos, photos without faces, both output formats, and errors."""

import csv
import json
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest
from PIL import Image

from imagefec import cli
from imagefec.analysis.embed import embed_and_count, embed_paths
from imagefec.errors import UserError
from imagefec.faces import crop
from imagefec.maths.geometry import Box
from imagefec.model import Embedder, checkpoint


def save(path, image, **how):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path, **how)
    return path


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def two_faces(faces_dir):
    """A photo with two synthetic faces that the detector finds."""
    # A cascade does not find all faces of the dummy data.
    from imagefec.faces.detectors import make_detector

    faces = [np.asarray(Image.open(path)) for path in sorted(faces_dir.glob("*/*.png"))]
    found = [image for image in faces if make_detector("auto").detect(image, smallest=0.5)]
    photo = np.full((240, 400, 3), 128, np.uint8)
    photo[50:178, 30:158], photo[60:188, 230:358] = found[0], found[1]
    return photo


def test_faces_written_by_crop_have_their_ids_and_urls_and_are_embedded_unchanged(
    run, embedder, faces_dir, tmp_path
):
    out = embed_paths(run, [faces_dir], tmp_path / "made" / "faces.npz")
    assert out == tmp_path / "made" / "faces.npz"
    url_of = {
        line["face_id"]: line["url"] for line in csv.DictReader((faces_dir / "faces.csv").open())
    }
    paths = sorted(faces_dir.glob("*/*.png"))
    with np.load(out) as found:
        assert found["ids"].tolist() == [path.stem for path in paths]
        assert found["urls"].tolist() == [url_of[path.stem] for path in paths]
        assert found["paths"].tolist() == [str(path) for path in paths]
        assert found["boxes"].tolist() == [[0, 128, 0, 128]] * len(paths)
        assert np.isnan(found["scores"]).all()
        assert found["vectors"].dtype == np.float32
        np.testing.assert_allclose(found["vectors"], embedder.embed(paths), atol=1e-6)


def test_a_photo_gives_one_row_per_detected_face_cropped_as_in_the_dataset(
    run, embedder, faces_dir, tmp_path
):
    photo = save(tmp_path / "a photo.png", two_faces(faces_dir))
    with np.load(embed_paths(run, photo, tmp_path / "out.npz")) as found:
        expected = embedder.embed_photo(photo)
        assert len(expected) == 2 and found["ids"].tolist() == [f"{photo}#1", f"{photo}#2"]
        assert found["urls"].tolist() == [photo.as_uri()] * 2 and "%20" in photo.as_uri()
        for row, (box, score, vector) in enumerate(expected):
            assert found["boxes"][row].tolist() == np.float32(box.sides).tolist()
            assert found["scores"][row] == pytest.approx(score)
            np.testing.assert_allclose(found["vectors"][row], vector, atol=1e-5)


def test_a_photo_is_rotated_by_its_exif_orientation(run, faces_dir, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees clockwise
    photo = two_faces(faces_dir)
    upright = save(tmp_path / "upright.png", photo)
    turned = save(tmp_path / "turned.png", np.ascontiguousarray(np.rot90(photo)), exif=exif)
    with np.load(embed_paths(run, [upright, turned], tmp_path / "out.npz")) as found:
        np.testing.assert_array_equal(found["vectors"][:2], found["vectors"][2:])


def test_a_photo_without_a_face_is_letterboxed_and_embedded_complete(run, embedder, tmp_path):
    image = np.full((300, 200, 3), 90, np.uint8)
    path = save(tmp_path / "wall.png", image)
    with np.load(embed_paths(run, path, tmp_path / "out.npz")) as found:
        assert found["ids"].tolist() == [str(path)] and found["boxes"].tolist() == [
            [0, 200, 0, 300]
        ]
        np.testing.assert_allclose(
            found["vectors"], embedder.embed([crop.letterbox(image)[0]]), atol=1e-6
        )


def test_a_photo_without_a_face_can_be_refused_or_skipped(run, faces_dir, tmp_path):
    wall = save(tmp_path / "wall.png", np.full((300, 200, 3), 90, np.uint8))
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff no picture")
    face = next(faces_dir.glob("*/*.png"))
    with pytest.raises(UserError, match=r"wall\.png: detector \w+ found no face"):
        embed_paths(run, [face, wall], tmp_path / "out.npz", on_no_face="raise")
    assert not (tmp_path / "out.npz").exists()
    with np.load(
        embed_paths(run, [wall, face, tmp_path / "broken.jpg"], tmp_path / "out.npz", "skip")
    ) as found:
        assert found["ids"].tolist() == [face.stem] and len(found["vectors"]) == 1
    with pytest.raises(UserError, match="none of 1 images shows a face"):
        embed_paths(run, wall, tmp_path / "none.npz", "skip")
    assert not (tmp_path / "none.npz").exists()


def test_what_was_skipped_and_what_was_embedded_complete_is_logged(
    run, faces_dir, tmp_path, monkeypatch
):
    from imagefec.analysis import embed

    messages = []
    monkeypatch.setattr(embed.logging, "warning", lambda text, *args: messages.append(text % args))
    wall = save(tmp_path / "wall.png", np.full((300, 200, 3), 90, np.uint8))
    paths = [wall, *faces_dir.glob("*/*.png")]
    embed_paths(run, paths, tmp_path / "out.npz", "skip")
    assert messages == [f"left out, no face found: 1, {wall}"]
    embed_paths(run, paths, tmp_path / "out.npz")
    assert messages[1:] == [f"no face found, so the complete photo was embedded: 1, {wall}"]


@pytest.fixture
def mixed(tmp_path):
    """A folder with two faces, and what folders hold besides."""
    folder = tmp_path / "mixed"
    save(folder / "a.jfif", noise(128, 128), format="JPEG")
    save(folder / "sub" / "b.avif", noise(128, 128, 1))
    save(folder / ".ipynb_checkpoints" / "a.jpg", noise(128, 128))
    (folder / "._a.jfif").write_bytes(b"\0\5\x16\7Mac OS X")
    whole = save(folder / "cut.png", noise(128, 128)).read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "new.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64))
    (folder / "notes.txt").write_text("of the photographer")
    return folder


def test_a_folder_gives_every_readable_image_and_the_rest_is_counted(run, mixed, tmp_path, capsys):
    arguments = ["embed", f"--run={run}", str(mixed), f"--out={tmp_path / 'out.npz'}"]
    assert cli.main([*arguments, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    unreadable = printed["left_out"].pop("unreadable")
    assert unreadable["count"] == 2
    assert [name.split(" (")[0] for name in unreadable["first"]] == [
        str(mixed / "cut.png"),
        str(mixed / "new.heic"),
    ]
    assert printed == {
        "path": str(tmp_path / "out.npz"),
        "run": str(run),
        "step": 12,
        "n_faces": 2,
        "n_images": 2,
        "complete": 0,
        "left_out": {
            "hidden": {
                "count": 2,
                "first": [str(mixed / "._a.jfif"), str(mixed / ".ipynb_checkpoints")],
            },
            "no image": {"count": 1, "first": [str(mixed / "notes.txt")]},
        },
    }
    with np.load(tmp_path / "out.npz") as found:
        assert found["ids"].tolist() == [str(mixed / "a.jfif"), str(mixed / "sub" / "b.avif")]


def test_an_unreadable_image_that_is_named_stops_unless_it_is_to_be_skipped(
    run, mixed, tmp_path, capsys
):
    named = [str(mixed), str(mixed / "cut.png")]
    arguments = ["embed", f"--run={run}", *named, f"--out={tmp_path / 'out.npz'}"]
    assert cli.main(arguments) == 2
    assert "cut.png" in capsys.readouterr().err and not (tmp_path / "out.npz").exists()
    assert cli.main([*arguments, "--on_no_face=skip"]) == 0
    with pytest.raises(UserError, match=r"cut\.png"):
        embed_paths(run, mixed, tmp_path / "strict.npz", on_no_face="raise")


def test_ids_are_unique_if_two_folders_hold_the_same_faces(run, faces_dir, tmp_path):
    other = shutil.copytree(faces_dir, tmp_path / "other")
    with np.load(embed_paths(run, [faces_dir, other], tmp_path / "out.npz")) as found:
        ids = found["ids"].tolist()
        assert len(set(ids)) == len(ids) == 18
        assert ids[:9] == [path.stem for path in sorted(faces_dir.glob("*/*.png"))]
        assert ids[9:] == [str(path) for path in sorted(other.glob("*/*.png"))]


def test_vectors_that_are_not_of_unit_length_are_refused_and_nothing_is_written(
    run, faces_dir, tmp_path
):
    broken = shutil.copytree(run, tmp_path / "broken")
    arrays, meta = checkpoint.load(broken / "best.npz")
    grown = {name: np.full_like(array, 1e30) for name, array in arrays.items()}
    checkpoint.save(broken / "best.npz", grown, meta)
    with pytest.raises(UserError, match=r"broken: a face's vector has length nan, not 1"):
        embed_paths(broken, faces_dir, tmp_path / "out.npz")
    assert not (tmp_path / "out.npz").exists()


def test_of_two_commands_that_write_the_same_file_one_remains_complete(run, faces_dir, tmp_path):
    out, walls = tmp_path / "out.npz", tmp_path / "walls"
    for n in range(3):
        save(walls / f"{n}.png", np.full((300, 200, 3), 60 * n, np.uint8))
    command = [sys.executable, "-m", "imagefec", "embed", f"--run={run}", f"--out={out}"]
    both = [subprocess.Popen([*command, str(folder)]) for folder in (faces_dir, walls)]
    assert [process.wait(300) for process in both] == [0, 0]
    with np.load(out) as found:
        n = len(found["ids"])
        assert n in (3, 9) and all(len(found[name]) == n for name in found.files)
        assert found["paths"][0].startswith(str(walls if n == 3 else faces_dir))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.npz", "walls"]


def test_a_file_that_is_not_an_image_is_refused_by_name(run, tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff no picture")
    with pytest.raises(UserError, match=r"broken\.jpg: not an image"):
        embed_paths(run, tmp_path / "broken.jpg", tmp_path / "out.npz")


def test_faces_outside_a_face_folder_have_their_path_as_id(run, tmp_path):
    face = save(tmp_path / "b" / "bob.png", noise(128, 128))
    with np.load(embed_paths(run, face, tmp_path / "out.npz")) as found:
        assert found["ids"].tolist() == [str(face)] and found["urls"].tolist() == [face.as_uri()]


def test_parquet_has_the_same_columns_as_npz(run, faces_dir, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    out = embed_paths(run, faces_dir, tmp_path / "out.parquet")
    table = parquet.read_table(out)
    with np.load(embed_paths(run, faces_dir, tmp_path / "out.npz")) as same:
        assert set(table.column_names) == set(same.files)
        assert (
            str(table.schema.field("vectors").type).startswith("fixed_size_list<")
            and table.num_rows == 9
        )
        for name in same.files:
            np.testing.assert_array_equal(np.array(table[name].to_pylist()), same[name])


def test_parquet_without_pyarrow_says_what_to_install(run, faces_dir, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UserError, match="pip install pyarrow"):
        embed_paths(run, faces_dir, tmp_path / "out.parquet")


def test_an_output_that_cannot_be_written_is_refused_before_any_work(tmp_path):
    face = save(tmp_path / "face.png", noise(128, 128))
    (tmp_path / "folder.npz").mkdir()
    for out, text in (
        ("out.txt", r"allowed are \.npz, \.parquet and \.csv"),
        ("folder.npz", "is a folder"),
        ("face.png/out.npz", "cannot be written"),
        ("x" * 246 + ".npz", "name too long"),  # but not the name alone: 250 of 255 bytes
        ("", "not a path"),
    ):
        with pytest.raises(UserError, match=text):
            embed_paths(tmp_path / "not reached", face, out and tmp_path / out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["face.png", "folder.npz"]


def test_unknown_options_are_refused(run, tmp_path):
    face = save(tmp_path / "face.png", noise(128, 128))
    with pytest.raises(UserError, match="'ignore': allowed are raise, skip, whole"):
        embed_paths(run, face, tmp_path / "out.npz", on_no_face="ignore")
    with pytest.raises(UserError, match="no such detector"):
        embed_paths(run, face, tmp_path / "out.npz", detector="eyes")
    with pytest.raises(ValueError, match="min_score must"):
        embed_paths(run, face, tmp_path / "out.npz", min_score="high")
    with pytest.raises(UserError, match="no such run directory"):
        embed_paths(tmp_path / "gone", face, tmp_path / "out.npz")


def test_an_existing_output_survives_a_failure(run, tmp_path, monkeypatch):
    face = save(tmp_path / "face.png", noise(128, 128))
    (tmp_path / "out.npz").write_bytes(b"old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("imagefec.files.os.fsync", full)
    with pytest.raises(UserError, match="No space left"):
        embed_paths(run, face, tmp_path / "out.npz")
    assert (tmp_path / "out.npz").read_bytes() == b"old"
    assert cv2.imread(str(face)) is not None and len(list(tmp_path.iterdir())) == 2


def test_the_command_uses_the_named_detector(run, tmp_path):
    photo = save(tmp_path / "a.png", noise(60, 90))
    out = tmp_path / "out.npz"
    command = ["embed", str(photo), f"--run={run}", f"--out={out}", "--detector=none"]
    assert cli.main(command) == 0
    with np.load(out) as found:  # "none" takes the complete photo for one face
        assert found["ids"].tolist() == [f"{photo}#1"]
        assert found["boxes"].tolist() == [[0, 90, 0, 60]] and found["scores"].tolist() == [1]


def test_a_face_that_cannot_be_aligned_is_left_out_and_counted(run, tmp_path, monkeypatch):
    from imagefec.faces import detectors

    class Profile:
        name, version, min_score = "blazeface", "1", 0.0

        def detect(self, photo, smallest=0.1):
            if smallest == 0.1:  # a complete photo: a frontal face, and one in profile
                boxes = Box(20, 70, 5, 55), Box(30, 70, 5, 45)
                return [detectors.Detection(box, 0.9 - n / 10) for n, box in enumerate(boxes)]
            side = photo.shape[0]
            right = 0.8 if side > 50 else 0.3
            eyes = ((0.2 * side, 0.3 * side), (right * side, 0.3 * side))
            return [detectors.Detection(Box(0, side, 0, side), 0.9, eyes)]

    monkeypatch.setattr(detectors, "make_detector", lambda *_: Profile())
    aligned = shutil.copytree(run, tmp_path / "aligned")
    info = json.loads((aligned / "run.json").read_text())
    faces = {"detector": "blazeface", "detector_version": "1", "align": "eyes"}
    (aligned / "run.json").write_text(json.dumps(info | {"faces": faces}))
    photo = save(tmp_path / "a.png", noise(60, 90))
    counts = embed_and_count(aligned, photo, tmp_path / "out.npz")
    assert counts["left_out"] == {"eyes not found": {"count": 1, "first": [f"{photo}#2"]}}
    with np.load(tmp_path / "out.npz") as found:
        assert found["ids"].tolist() == [f"{photo}#1"]
        box = Box(20 / 90, 70 / 90, 5 / 60, 55 / 60)
        face = crop.crop_face(noise(60, 90), box, Profile(), align="eyes").face
        expected = Embedder.load(aligned).embed(face[None])
        np.testing.assert_allclose(found["vectors"], expected, atol=1e-5)
