"""The face of one photo, from the detector or a loose box, and the reasons why there is none."""

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

from imagefec.data.identity.detection import DetectionSettings, PhotoOutcome, crop_best_face
from imagefec.errors import UserError
from imagefec.faces.crop import letterbox
from imagefec.faces.detectors import Detection, NoDetector
from imagefec.maths.geometry import Box
from tests.data.identity.photos import decoded, png, random_photo


@dataclasses.dataclass
class FakeDetector:
    """A detector that finds the same boxes in every photo, or nothing."""

    boxes: tuple[Box, ...] = ()
    name, version, min_score = "fake", "1", 0.0

    def detect(self, photo, smallest=0.1):
        return [Detection(box, score) for box, score in zip(self.boxes, (9.0, 5.0))]


def test_the_best_face_is_grown_by_15_percent_and_becomes_a_128_px_png():
    photo = random_photo(height=220, width=200)
    made = crop_best_face(png(photo), FakeDetector((Box(50, 146, 60, 156), Box(0, 30, 0, 30))))
    # 96 px grow to 110.4: 42.8 .. 153.2 and 52.8 .. 163.2.
    expected, upscaled = letterbox(photo[53:163, 43:153])
    np.testing.assert_array_equal(decoded(made.png), expected)
    assert (
        made == PhotoOutcome(made.png, "", (0.25, 0.73, 60 / 220, 156 / 220), 9.0, True)
        and upscaled
    )


@pytest.mark.parametrize(
    ("data", "boxes", "reason"),
    [
        (b"not an image", (Box(0, 9, 0, 9),), "not a photo"),
        (b"", (Box(0, 9, 0, 9),), "not a photo"),
        (png(random_photo())[:-900], (), "not a photo: truncated image"),
        (png(random_photo()), (), "no face found"),
        (png(random_photo()), (Box(5, 16, 5, 16),), "box too small"),
    ],
)
def test_a_photo_without_a_face_has_a_reason(data, boxes, reason):
    assert crop_best_face(data, FakeDetector(boxes)) == PhotoOutcome(None, reason)


def test_a_photo_is_turned_upright_for_the_detector_but_not_for_a_loose_box(tmp_path):
    photo = random_photo(height=64, width=48)
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate a quarter turn clockwise
    Image.fromarray(photo).save(tmp_path / "1.png", exif=exif)
    np.testing.assert_array_equal(
        decoded(crop_best_face(tmp_path / "1.png", NoDetector()).png),
        letterbox(np.rot90(photo, -1))[0],
    )
    boxed = crop_best_face(tmp_path / "1.png", NoDetector(), Box(0, 48, 0, 64))
    np.testing.assert_array_equal(decoded(boxed.png), letterbox(photo)[0])


def test_a_loose_box_is_grown_and_the_detector_must_find_a_face_in_it():
    photo, box = random_photo(height=220, width=200), Box(50, 146, 60, 156)
    made = crop_best_face(png(photo), NoDetector(), box)
    np.testing.assert_array_equal(decoded(made.png), letterbox(photo[53:163, 43:153])[0])
    assert made.box == (0.25, 0.73, 60 / 220, 156 / 220)
    assert crop_best_face(png(photo), FakeDetector(), box).reason == "no face found"
    assert (
        crop_best_face(png(photo), NoDetector(), Box(400, 500, 400, 500)).reason == "box too small"
    )


def test_settings_name_the_detector_that_auto_chose_and_are_plain_json():
    auto = DetectionSettings.resolve()
    assert auto.detector != "auto" and auto == DetectionSettings.resolve(auto.detector)
    assert json.loads(json.dumps(auto.as_json())) == auto.as_json()
    with pytest.raises(UserError, match="'whole'; allowed are 'detector' and 'loose_bb'"):
        DetectionSettings.resolve(boxes="whole")
