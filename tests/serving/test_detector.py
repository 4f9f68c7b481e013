"""The service finds and crops faces as those of the training were."""

import numpy as np
import pytest

from imagefec.errors import UserError
from imagefec.faces import detectors
from imagefec.faces.box_mapping import FEWEST_PAIRS, BoxMapping
from imagefec.faces.crop import crop_detection
from imagefec.faces.detectors.protocol import Detection
from imagefec.maths.geometry import Box
from imagefec.serving.server import detector_and_crop

PHOTO = np.random.default_rng(0).integers(0, 256, (200, 300, 3)).astype(np.uint8)
FOUND = Detection(Box(100.0, 180.0, 60.0, 140.0), 1.0)
MAPPING = {"dx": 0.1, "dy": -0.05, "scale": 1.2, "n": FEWEST_PAIRS}


def record(name, **more):
    version = detectors.make_detector(name).version
    return {"crop": {"detector": name, "detector_version": version, **more}}


def test_the_run_s_detector_is_used_and_its_boxes_are_mapped():
    detector, crop = detector_and_crop(record("haar", box_mapping=MAPPING), "run")
    assert detector.name == "haar"
    expected = crop_detection(PHOTO, FOUND, mapping=BoxMapping(**MAPPING)).face
    np.testing.assert_array_equal(crop(PHOTO, FOUND).face, expected)
    assert (expected != crop_detection(PHOTO, FOUND).face).any()


def test_boxes_of_another_version_are_not_mapped_and_a_warning_says_so(caplog):
    other = record("haar", box_mapping=MAPPING)
    other["crop"]["detector_version"] = "older"
    _, crop = detector_and_crop(other, "my run")
    np.testing.assert_array_equal(crop(PHOTO, FOUND).face, crop_detection(PHOTO, FOUND).face)
    assert "my run: its faces were cropped with detector haar (older)" in caplog.text


@pytest.mark.parametrize("record", [{}, {"crop": None}, {"crop": {"detector": "none"}}])
def test_a_record_without_a_detector_means_auto_and_maps_nothing(record):
    detector, crop = detector_and_crop(record, "run")
    assert detector.name == detectors.auto_choice()
    np.testing.assert_array_equal(crop(PHOTO, FOUND).face, crop_detection(PHOTO, FOUND).face)


def test_aligned_faces_need_a_detector_that_finds_eyes():
    with pytest.raises(UserError, match="finds no eyes"):
        detector_and_crop(record("haar", align="eyes"), "run")


@pytest.mark.parametrize("crop", [{"align": "upside down"}, ["haar"], {"detector": 3}])
def test_a_damaged_record_is_refused(crop):
    with pytest.raises(UserError, match="my run: its record of how faces are cropped is damaged"):
        detector_and_crop({"crop": crop}, "my run")
