"""A folder of faces that came from others: nothing outside it is written, deleted or believed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from imagefec import cli
from imagefec.data import fec_manual_dir
from imagefec.data.crop import face_folder
from imagefec.data.crop.stage import read_faces
from imagefec.errors import UserError

CHECKOUT = Path(face_folder.__file__).parents[3]
ID = "0123456789abcdef0123"
WRONG_IDS = [
    "/tmp/x",
    "../../canary",
    "..",
    "ab/../../canary",
    "",
    "abc",
    ID[:19],
    ID + "4",
    ID.upper(),
    ID[:19] + "g",
    ID[:19] + " ",
    ID[:19] + "٣",  # a digit, but not of ASCII
    f"{ID[:19]}\\",
]


@pytest.fixture
def cropped(workspace):
    """A cropped triplet, and a file outside the folder of its faces."""
    workspace.path = workspace.csv([workspace.astronaut_triplet()])
    workspace.crop(workspace.path)
    workspace.canary = workspace.root / "canary.png"
    workspace.canary.write_bytes(b"not of this folder")
    return workspace


def listed_as(workspace, face_id, url="http://host/1.jpg"):
    """Adds a face to the manifest."""
    manifest = workspace.faces / "faces.csv"
    line = face_folder.manifest_line(ID, url, workspace.FACE, "", "haar", 1.0, False)
    quoted = f'"{face_id}"' if face_id else ""
    manifest.write_text(manifest.read_text() + line.replace(ID, quoted, 1))


@pytest.mark.parametrize("face_id", WRONG_IDS)
def test_a_face_id_that_is_not_20_hex_digits_is_refused_by_every_reader(cropped, face_id):
    listed_as(cropped, face_id)
    for read in (
        lambda: read_faces(cropped.faces),
        lambda: list(face_folder.read_manifest(cropped.faces)),
        lambda: cropped.crop(cropped.path),
        lambda: cropped.crop(cropped.path, exclude=cropped.exclude("http://host/1.jpg")),
        lambda: face_folder.sort_manifest(cropped.faces),
    ):
        with pytest.raises(UserError, match=r"faces\.csv, line 5: .*20 digits of 0-9a-f"):
            read()
    assert cropped.canary.read_bytes() == b"not of this folder"


def test_crop_exclude_deletes_no_file_that_the_manifest_names_by_an_absolute_path(cropped):
    victim = cropped.root / "victim.png"
    victim.write_bytes(b"precious")
    listed_as(cropped, victim.with_suffix("").as_posix())
    listed = cropped.exclude("http://host/1.jpg")
    before = cropped.contents(cropped.faces)
    code = cli.main(
        [
            "crop",
            str(cropped.path),
            f"--cache={cropped.cache}",
            f"--faces={cropped.faces}",
            f"--exclude={listed}",
        ]
    )
    assert code == 2
    assert victim.read_bytes() == b"precious"
    after = cropped.contents(cropped.faces)
    assert {name for name in before if name.endswith(".png")} <= after.keys()


def test_embed_believes_no_manifest_with_such_an_id(cropped):
    from imagefec.analysis.face_files import _Manifests

    listed_as(cropped, "../../canary")
    face = next(cropped.faces.glob("*/*.png"))
    with pytest.raises(UserError, match="20 digits of 0-9a-f"):
        _Manifests().id_and_url(face)


def test_a_link_in_place_of_the_manifest_is_refused_and_its_target_keeps_its_bytes(cropped):
    target = cropped.root / "notes.txt"
    target.write_text("no line end")  # which crop would take for an incomplete line, and cut off
    (cropped.faces / "faces.csv").unlink()
    (cropped.faces / "faces.csv").symlink_to(target)
    with pytest.raises(UserError, match=r"faces\.csv: a symbolic link"):
        cropped.crop(cropped.path)
    assert target.read_text() == "no line end"


def test_a_link_in_place_of_a_subfolder_is_refused_and_nothing_is_deleted_behind_it(cropped):
    face = next(cropped.faces.glob("*/*.png"))
    folder = face.parent
    outside = cropped.root / "outside"
    folder.rename(outside)
    (outside / ".other.tmp").write_text("of another program")
    folder.symlink_to(outside, target_is_directory=True)
    before = sorted(path.name for path in outside.iterdir())
    with pytest.raises(UserError, match=rf"{folder}: a symbolic link"):
        cropped.crop(cropped.path, exclude=cropped.exclude(face.stem))
    assert sorted(path.name for path in outside.iterdir()) == before


def test_a_link_in_place_of_the_lock_is_not_written_through(cropped):
    (cropped.faces / "crop.lock").unlink()
    (cropped.faces / "crop.lock").symlink_to(cropped.canary)
    with pytest.raises(UserError):
        cropped.crop(cropped.path)
    assert cropped.canary.read_bytes() == b"not of this folder"


def test_links_in_place_of_settings_and_report_are_replaced_and_their_targets_kept(cropped):
    for name in ("settings.json", "report.json"):
        path = cropped.faces / name
        text = path.read_text()
        outside = cropped.root / name
        path.rename(outside)
        path.symlink_to(outside)
        cropped.crop(cropped.path)
        assert outside.read_text() == text
    assert not (cropped.faces / "report.json").is_symlink()


@pytest.mark.parametrize("text", ["", "[]", "null", "3", "[" * 100_000, "\\xff", '{"format": 1'])
def test_settings_that_are_not_ours_are_refused_in_one_sentence(cropped, text):
    (cropped.faces / "settings.json").write_text(text)
    with pytest.raises(UserError, match=r"settings\.json: damaged"):
        cropped.crop(cropped.path)
    with pytest.raises(UserError, match=r"settings\.json: .*run it again"):
        fec_manual_dir.read_settings(cropped.faces)


def test_settings_of_others_are_shown_without_control_characters(cropped):
    path = cropped.faces / "settings.json"
    found = json.loads(path.read_text())
    path.write_text(json.dumps({**found, "detector": "\x1b[2J" + "x" * 500}))
    with pytest.raises(UserError, match=r"cropped with detector '\\x1b\[2Jxx") as refused:
        cropped.crop(cropped.path)
    assert len(str(refused.value)) < 700 + len(str(cropped.faces))


def test_a_named_pipe_in_place_of_a_face_does_not_stop_a_build_for_ever(cropped):
    from imagefec.data.fec_examples import read_png

    face = next(cropped.faces.glob("*/*.png"))
    face.unlink()
    os.mkfifo(face)
    code = (
        "import pathlib, sys\nfrom imagefec.data.fec_examples import read_png\n"
        "read_png(pathlib.Path(sys.argv[1]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, face],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "not a file, although faces.csv lists it" in done.stderr
    with pytest.raises(UserError, match="not a file"):
        read_png(face)
