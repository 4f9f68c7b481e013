"""Crops: grown boxes, patches and 128 px faces."""

import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st

from imagefec.faces import crop
from imagefec.faces.detectors import Detection, make_detector
from imagefec.maths.geometry import Box

ASTRONAUT_FACE = Box(170 / 512, 275 / 512, 60 / 512, 180 / 512)


def noise_patch(height, width, seed=0, low=0, high=256):
    return np.random.default_rng(seed).integers(low, high, (height, width, 3), np.uint8)


def test_a_grown_box_is_fifteen_percent_larger_and_square():
    # 100 x 100 px at (450, 450) grow by 7.5 px on each side: 442.5 rounds to 443, the side is 115.
    grown = crop.grown_box(Box(0.45, 0.55, 0.45, 0.55), 1000, 1000)
    assert grown == Box(443, 558, 443, 558)


def test_a_tall_box_in_a_wide_photo_becomes_square():
    # The height, 0.5 x 400 = 200, grows to 230. The width, 100, grows to 115 and is extended to 230
    # about column 500.
    assert crop.grown_box(Box(0.45, 0.55, 0.25, 0.75), 1000, 400) == Box(385, 615, 85, 315)


@given(st.tuples(*[st.floats(0, 1)] * 4), st.integers(1, 2000), st.integers(1, 2000))
def test_every_grown_box_can_be_cropped(sides, width, height):
    left, right = sorted(sides[:2])
    top, bottom = sorted(sides[2:])
    grown = crop.grown_box(Box(left, right, top, bottom), width, height)
    patch = crop.crop_patch(np.broadcast_to(np.uint8(0), (height, width, 3)), grown)
    assert patch.shape == (grown.height, grown.width, 3) and patch.size > 0


def test_a_patch_is_a_copy_of_the_photos_pixels():
    photo = noise_patch(20, 30)
    patch = crop.crop_patch(photo, Box(5, 15, 2, 9))
    np.testing.assert_array_equal(patch, photo[2:9, 5:15])
    assert not np.shares_memory(patch, photo)


@pytest.mark.parametrize(
    "box", [Box(-1, 5, 0, 5), Box(0, 31, 0, 5), Box(4, 4, 0, 5), Box(0, 5, 0, 21)]
)
def test_a_box_outside_the_photo_is_a_callers_bug(box):
    with pytest.raises(ValueError, match="leaves the photo of 30 x 20"):
        crop.crop_patch(noise_patch(20, 30), box)


def test_a_patch_of_128_pixels_is_not_changed():
    patch = noise_patch(128, 128)
    face, upscaled = crop.letterbox(patch)
    np.testing.assert_array_equal(face, patch)
    assert not upscaled


def test_shrinking_averages_pixels():
    patch = noise_patch(256, 256)
    face, upscaled = crop.letterbox(patch)
    means = patch.reshape(128, 2, 128, 2, 3).mean(axis=(1, 3))
    assert np.abs(face - means).max() <= 0.5 and not upscaled


def test_a_smaller_patch_is_upscaled_and_marked():
    face, upscaled = crop.letterbox(np.full((40, 40, 3), (10, 100, 200), np.uint8))
    assert upscaled and (face == (10, 100, 200)).all()


def test_the_aspect_ratio_is_preserved_and_the_rest_is_noise():
    # 256 x 64 scales to 128 x 32, with 48 columns of padding on each side.
    patch = np.full((256, 64, 3), (200, 100, 50), np.uint8)
    face, _ = crop.letterbox(patch)
    assert (face[:, 48:80] == (200, 100, 50)).all()
    padding = np.concatenate([face[:, :48], face[:, 80:]], axis=1).reshape(-1, 3).astype(float)
    np.testing.assert_allclose(padding.mean(axis=0), (200, 100, 50), atol=2)
    np.testing.assert_allclose(padding.std(axis=0), 16, atol=1)  # a flat patch gets the least noise


def test_padding_has_the_patchs_own_mean_and_deviation():
    patch = noise_patch(60, 180, low=80, high=180)
    face, _ = crop.letterbox(patch)
    padding = face[:40].reshape(-1, 3).astype(float)
    np.testing.assert_allclose(padding.mean(axis=0), patch.mean(axis=(0, 1)), atol=3)
    np.testing.assert_allclose(padding.std(axis=0), patch.std(axis=(0, 1)), rtol=0.1)


def test_padding_depends_on_the_patch_alone():
    patch = noise_patch(50, 90)
    first, again = crop.letterbox(patch)[0], crop.letterbox(patch.copy())[0]
    other = crop.letterbox(noise_patch(50, 90, seed=1))[0]
    np.testing.assert_array_equal(first, again)
    assert (first[:20] != other[:20]).mean() > 0.9


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 300), st.integers(1, 300))
def test_every_patch_becomes_a_face(height, width):
    face, upscaled = crop.letterbox(noise_patch(height, width))
    assert face.shape == (128, 128, 3) and face.dtype == np.uint8
    assert upscaled == (max(height, width) < 128)


@pytest.mark.parametrize(
    "patch", [np.zeros((0, 4, 3), np.uint8), np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3))]
)
def test_another_shape_or_dtype_is_a_callers_bug(patch):
    with pytest.raises(ValueError, match="patch must be uint8"):
        crop.letterbox(patch)


def test_a_box_with_a_face_becomes_a_face():
    found = crop.crop_face(skimage.data.astronaut(), ASTRONAUT_FACE, make_detector("auto"))
    assert found.face.shape == (128, 128, 3) and found.reason == "" and not found.upscaled
    assert found.score > 0


def test_a_box_without_a_face_is_dropped():
    found = crop.crop_face(
        skimage.data.astronaut(), Box(0.6, 0.9, 0.65, 0.95), make_detector("auto")
    )
    assert found == crop.FaceCrop(None, "no face found", None, False)


def test_a_detection_is_cropped_as_the_datasets_boxes_are():
    photo = skimage.data.astronaut()
    box = Box(*(side * 512 for side in ASTRONAUT_FACE.sides))
    found = crop.crop_detection(photo, Detection(box, 0.75))
    expected = crop.crop_face(photo, ASTRONAUT_FACE, make_detector("none"))
    np.testing.assert_array_equal(found.face, expected.face)
    assert (found.reason, found.score, found.upscaled) == ("", 0.75, expected.upscaled)


def test_a_small_detection_becomes_a_face_too():
    found = crop.crop_detection(noise_patch(100, 200), Detection(Box(-3.0, 5.5, 90.2, 99.0), 0.5))
    assert found.face.shape == (128, 128, 3) and found.upscaled


def test_a_tiny_box_is_dropped_without_detection():
    # 13 px grow to 14.95 px, 15 px to 17.25 px; the limit is 16 px.
    found = crop.crop_face(noise_patch(100, 100), Box(0.2, 0.33, 0.2, 0.33), make_detector("none"))
    assert found.reason == "box too small"
    enough = crop.crop_face(noise_patch(100, 100), Box(0.2, 0.35, 0.2, 0.35), make_detector("none"))
    assert enough.reason == ""
