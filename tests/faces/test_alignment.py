"""Aligned faces: where the eyes land, turned photos, borders, and eyes that cannot be trusted."""

import math

import cv2
import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st

from imagefec.errors import UserError
from imagefec.faces import alignment, crop
from imagefec.faces.crop_settings import CropSettings
from imagefec.faces.detection_crop import cropper
from imagefec.faces.detectors import Detection, make_detector
from imagefec.maths.geometry import Box

# Of the face's 128 px: 55 px of the paper's 224, level, the midpoint in the middle column.
EYE_DISTANCE = 55 * 128 / 224
EYES_ROW = alignment.EYES_ROW * 128
ASTRONAUT = skimage.data.astronaut()
ASTRONAUT_FACE = Box(170 / 512, 275 / 512, 60 / 512, 180 / 512)
ASTRONAUT_EYES = (205.0, 110.0), (245.0, 108.0)


class Eyes:
    """Finds one face that fills the patch, with the eyes of a photo."""

    name, version, min_score = "blazeface", "1", 0.0

    def __init__(self, corner, *eyes):
        self.corner, self.eyes = corner, eyes

    def detect(self, photo, smallest=0.1):
        height, width = photo.shape[:2]
        eyes = tuple((x - self.corner[0], y - self.corner[1]) for x, y in self.eyes)
        return [Detection(Box(0, width, 0, height), 0.5, eyes)]


def dots(height, width, *points, radius=3.0):
    """A gray photo with a bright, soft dot at each point."""
    rows, columns = np.mgrid[:height, :width] + 0.5
    light = sum(
        np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * radius**2)) for x, y in points
    )
    return np.repeat((40 + 200 * light.clip(0, 1)).round().astype(np.uint8)[..., None], 3, 2)


def centre_of_light(face):
    """The centroid (column, row) of what is brighter than the background."""
    light = (face[..., 0].astype(float) - 45).clip(0)
    rows, columns = np.mgrid[: face.shape[0], : face.shape[1]] + 0.5
    return (columns * light).sum() / light.sum(), (rows * light).sum() / light.sum()


def complex_of(*points):
    return tuple(complex(*point) for point in points)


@settings(max_examples=40, deadline=None)
@given(st.floats(-math.pi, math.pi), st.floats(8, 300), st.floats(200, 300), st.floats(200, 300))
def test_the_eyes_land_where_they_should_at_any_roll_and_size(roll, distance, x, y):
    # The photo is 600 px wide; the eyes are at least 50 px from its border.
    half = distance / 2 * np.array([math.cos(roll), math.sin(roll)])
    left, right = np.array([x + 50, y + 50]) - half, np.array([x + 50, y + 50]) + half
    radius = max(distance / 12, 1.5)
    for eye, column in ((left, 64 - EYE_DISTANCE / 2), (right, 64 + EYE_DISTANCE / 2)):
        photo = dots(600, 600, eye, radius=radius)
        face, inside, upscaled = alignment.align_face(photo, complex_of(left, right), 128)
        assert upscaled == (distance < EYE_DISTANCE)
        found = centre_of_light(np.where(inside[..., None], face, 40))
        np.testing.assert_allclose(found, (column, EYES_ROW), atol=0.3)


def turned(photo, points, degrees):
    """A photo turned about its centre into one that holds it, and where points are then."""
    height, width = photo.shape[:2]
    side = math.ceil(math.hypot(height, width)) + 2
    matrix = cv2.getRotationMatrix2D((width / 2 - 0.5, height / 2 - 0.5), degrees, 1)
    matrix[:, 2] += (side - np.array([width, height])) / 2
    whole = cv2.warpAffine(photo, matrix, (side, side), flags=cv2.INTER_CUBIC)
    moved = [matrix @ (x - 0.5, y - 0.5, 1) + 0.5 for x, y in points]
    return whole, [tuple(map(float, point)) for point in moved]


@settings(max_examples=25, deadline=None)
@given(st.floats(-180, 180))
def test_a_turned_photo_gives_the_same_aligned_face(degrees):
    upright, inside, _ = alignment.align_face(ASTRONAUT, complex_of(*ASTRONAUT_EYES), 128)
    photo, eyes = turned(ASTRONAUT, ASTRONAUT_EYES, degrees)
    face, _, _ = alignment.align_face(photo, complex_of(*eyes), 128)
    assert inside.all()
    difference = np.abs(face.astype(int) - upright)
    # The turned photo was interpolated once more; another face differs by more than 30.
    assert difference.mean() < 3


@pytest.mark.parametrize("factor", [2, 3, 8])
def test_shrinking_averages_the_pixels_below_each_pixel(factor):
    # Level eyes at whole multiples: every pixel of the face covers factor x factor of the photo.
    noise = np.random.default_rng(0).integers(0, 256, (128 * factor, 128 * factor, 3), np.uint8)
    row, half = EYES_ROW * factor, EYE_DISTANCE * factor / 2
    eyes = complex(64 * factor - half, row), complex(64 * factor + half, row)
    face, inside, upscaled = alignment.align_face(noise, eyes, 128)
    means = noise.reshape(128, factor, 128, factor, 3).mean(axis=(1, 3))
    assert inside.all() and not upscaled
    assert np.abs(face - means).max() <= 1.5  # of 255; OpenCV's weights have steps of 1/32 px


def test_a_face_of_the_right_size_is_copied():
    photo = np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)
    eyes = complex(64 - EYE_DISTANCE / 2, EYES_ROW), complex(64 + EYE_DISTANCE / 2, EYES_ROW)
    face, inside, _ = alignment.align_face(photo, eyes, 128)
    assert inside.all()
    np.testing.assert_array_equal(face, photo)


def test_a_very_large_face_is_averaged_in_bands():
    # 40 photo pixels per face pixel: one band has 20 of the 128 rows.
    ramp = np.linspace(0, 255, 5120).astype(np.uint8)
    photo = np.repeat(np.broadcast_to(ramp[:, None], (5120, 5120))[..., None], 3, 2)
    row, half = EYES_ROW * 40, EYE_DISTANCE * 20
    face, _, _ = alignment.align_face(
        photo, (complex(2560 - half, row), complex(2560 + half, row)), 128
    )
    expected = photo.reshape(128, 40, 128, 40, 3).mean(axis=(1, 3))
    assert np.abs(face - expected).max() <= 1


def test_pixels_outside_the_photo_are_noise_with_the_faces_mean_and_deviation():
    photo = np.full((200, 200, 3), (200, 100, 50), np.uint8)
    eyes = (80.0, 2.0), (111.4, 2.0)  # the upper part of the face is outside
    box = Box(0.3, 0.65, 0, 0.4)
    grown = crop.grown_box(box, 200, 200)
    detector = Eyes((grown.left, grown.top), *eyes)
    face = crop.crop_face(photo, box, detector, align="eyes").face
    above = math.floor(EYES_ROW - 2 * EYE_DISTANCE / 31.4) - 1  # rows surely outside
    assert (face[above + 4 :] == (200, 100, 50)).all()
    noise = face[:above].reshape(-1, 3).astype(float)
    np.testing.assert_allclose(noise.mean(axis=0), (200, 100, 50), atol=2)
    np.testing.assert_allclose(noise.std(axis=0), 16, atol=1)
    again = crop.crop_face(photo.copy(), box, detector, align="eyes").face
    np.testing.assert_array_equal(face, again)


def test_the_dataset_and_a_detection_give_the_same_aligned_face():
    grown = crop.grown_box(ASTRONAUT_FACE, 512, 512)
    detector = Eyes((grown.left, grown.top), *ASTRONAUT_EYES)
    of_dataset = crop.crop_face(ASTRONAUT, ASTRONAUT_FACE, detector, "eyes")
    box = Box(*(side * 512 for side in ASTRONAUT_FACE.sides))
    settings = CropSettings("blazeface", "1", align="eyes")
    of_photo = cropper(settings, detector, "run")(ASTRONAUT, Detection(box, 0.9))
    expected, _, _ = alignment.align_face(ASTRONAUT, complex_of(*ASTRONAUT_EYES), 128)
    np.testing.assert_array_equal(of_dataset.face, expected)
    np.testing.assert_array_equal(of_photo.face, expected)
    assert of_dataset.score == 0.5 and of_dataset.reason == ""


@pytest.mark.parametrize(
    "eyes",
    [
        (),
        (ASTRONAUT_EYES[0],),
        ((205.0, 110.0), (225.0, 110.0)),  # 20 of the 138 px of the grown box
        ((205.0, 110.0), (205.0, 110.0)),
        ((100.0, 110.0), (245.0, 108.0)),  # outside the grown box
        ((205.0, 110.0), (245.0, 600.0)),
        ((math.nan, 110.0), (245.0, 108.0)),
        ((205.0, math.inf), (245.0, 108.0)),
    ],
)
def test_a_face_whose_eyes_cannot_be_trusted_is_dropped_with_a_reason(eyes):
    grown = crop.grown_box(ASTRONAUT_FACE, 512, 512)
    detector = Eyes((grown.left, grown.top), *eyes)
    found = crop.crop_face(ASTRONAUT, ASTRONAUT_FACE, detector, "eyes")
    assert found == crop.FaceCrop(None, "eyes not found", 0.5, False)
    unaligned = crop.crop_face(ASTRONAUT, ASTRONAUT_FACE, detector)
    assert unaligned.reason == ""  # without alignment the eyes do not matter


@pytest.mark.parametrize("name", ["haar", "lbp", "none"])
def test_a_detector_that_finds_no_eyes_is_refused_and_the_others_are_named(name):
    assert not any(found.keypoints for found in make_detector(name).detect(ASTRONAUT))
    with pytest.raises(UserError, match=rf"{name} finds no eyes\. Use --detector yunet or blaze"):
        alignment.check_detector("eyes", name)
    alignment.check_detector("none", name)


def test_another_alignment_is_refused():
    with pytest.raises(UserError, match=r"--align mouth: allowed are none, eyes\."):
        alignment.check_detector("mouth", "yunet")
