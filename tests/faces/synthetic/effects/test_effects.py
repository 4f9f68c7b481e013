"""What photos do to faces: nothing at strength 0, and values by hand."""

import cv2
import numpy as np
import pytest

from imagefec.faces.synthetic.effects.blur import blur, motion_kernel, sample_blur
from imagefec.faces.synthetic.effects.box import jittered, sample_jitter
from imagefec.faces.synthetic.effects.camera import Camera, expose, sample_camera
from imagefec.faces.synthetic.effects.grey import SEPIA, sample_grey, without_colour
from imagefec.faces.synthetic.effects.jpeg import sample_quality
from imagefec.faces.synthetic.effects.light import Light, sample_light, shine
from imagefec.faces.synthetic.effects.resolution import coarsen, sample_resolution
from imagefec.maths.geometry import Box

RNG = np.random.default_rng(0)
PHOTO = np.random.default_rng(1).integers(0, 256, (60, 80, 3)).astype(np.uint8)


def flat(value, shape=(60, 80)):
    return np.full((*shape, 3), value, np.uint8)


def lit(light, value=120):
    image = flat(value, (208, 208))
    shine(image, light, (104.0, 104.0), 78.0)
    return image.astype(int)


@pytest.mark.parametrize(
    "effect",
    [
        lambda photo: blur(photo, 0, 0, 45),
        lambda photo: expose(RNG, photo, Camera()),
        lambda photo: coarsen(photo, 1.0, 0),
    ],
)
def test_an_effect_without_strength_leaves_the_photo_as_it_is(effect):
    np.testing.assert_array_equal(effect(PHOTO), PHOTO)


def test_no_lamp_and_an_unchanged_box_change_nothing():
    assert (lit(Light()) == 120).all()
    box = Box(0.2, 0.6, 0.1, 0.7)
    np.testing.assert_allclose(jittered(box, 1, 0, 0).sides, box.sides)


def test_a_lamp_on_the_left_leaves_the_right_side_dark():
    image = lit(Light((-1.0, 0.0, 0.0), strength=0.6))
    left, right = image[104, 40:60].mean(), image[104, 150:170].mean()
    # Where the surface faces away no lamp reaches: 1 - 0.6 of the light is left.
    np.testing.assert_allclose(right, 120 * 0.4, atol=2)
    assert left > 120


def test_a_warm_lamp_is_red_and_a_cool_one_blue():
    warm, cool = (lit(Light(strength=0.2, warmth=warmth))[104, 104] for warmth in (0.2, -0.2))
    assert warm[0] > warm[1] > warm[2] and cool[2] > cool[1] > cool[0]


def test_one_stop_doubles_the_light_and_gamma_is_a_power():
    assert (expose(RNG, flat(100), Camera(stops=1)) == 200).all()
    assert (expose(RNG, flat(128), Camera(gamma=2)) == 64).all()  # 255 * (128/255)**2 = 64.25
    balanced = expose(RNG, flat(100), Camera(balance=(0.2, -0.3)))
    assert balanced[0, 0].tolist() == [120, 100, 70]


def test_a_vignette_darkens_the_corners_and_not_the_middle():
    photo = expose(RNG, flat(200), Camera(vignette=0.5))
    assert photo[0, 0, 0] == pytest.approx(100, abs=4)  # 200 * (1 - 0.5 * (1 + 1) / 2)
    assert photo[30, 40, 0] == pytest.approx(200, abs=1)


def test_noise_has_the_deviation_that_was_asked_for():
    photo = expose(np.random.default_rng(0), flat(128, (200, 200)), Camera(noise=10))
    assert photo.std() == pytest.approx(10, rel=0.05) and photo.mean() == pytest.approx(128, abs=1)


@pytest.mark.parametrize("length", [1.5, 3, 6.2, 14])
@pytest.mark.parametrize("angle", [0, 45, 100])
def test_motion_keeps_the_brightness_and_has_a_direction(length, angle):
    kernel = motion_kernel(length, angle)
    assert kernel.sum() == pytest.approx(1, abs=1e-5) and kernel.shape[0] % 2 == 1
    if angle == 0:
        assert (np.flatnonzero(kernel.sum(1) > 0.2) == kernel.shape[0] // 2).all()


def test_blur_removes_detail():
    assert blur(PHOTO, 2.0, 0, 0).std() < 0.5 * PHOTO.std()
    assert blur(PHOTO, 0, 9, 30).std() < 0.6 * PHOTO.std()


def test_a_coarse_photo_has_blocks_of_the_mean():
    photo = np.zeros((4, 4, 3), np.uint8)
    photo[:2, :2] = [[[100] * 3, [200] * 3], [[0] * 3, [100] * 3]]
    expected = np.zeros((4, 4, 3), np.uint8)
    expected[:2, :2] = 100
    np.testing.assert_array_equal(coarsen(photo, 0.5, 0), expected)
    assert all(coarsen(PHOTO, 0.3, method).shape == PHOTO.shape for method in range(4))


def test_grey_photos_have_the_two_tones_that_were_asked_for():
    grey = without_colour(PHOTO, np.zeros(3), np.full(3, 255.0))
    np.testing.assert_array_equal(grey, cv2.merge([cv2.cvtColor(PHOTO, cv2.COLOR_RGB2GRAY)] * 3))
    assert without_colour(flat(0), *SEPIA)[0, 0].tolist() == SEPIA[0].tolist()
    assert without_colour(flat(255), *SEPIA)[0, 0].tolist() == SEPIA[1].tolist()


def test_a_wider_box_about_a_shifted_middle_by_hand():
    # Middle (0.4 + 0.1 * 0.4, 0.3 - 0.5 * 0.2), half-sides 1.5 * (0.2, 0.1).
    wider = jittered(Box(0.2, 0.6, 0.2, 0.4), 1.5, 0.1, -0.5)
    np.testing.assert_allclose(wider.sides, [0.14, 0.74, 0.05, 0.35])


def test_boxes_end_with_the_photo():
    assert jittered(Box(0.0, 0.9, 0.1, 1.0), 1.6, 0, 0).sides == (0, 1, 0, 1)


def test_the_hard_ranges_are_beyond_the_varied_ones():
    rng = np.random.default_rng(0)
    for _ in range(200):
        assert sample_quality(rng, True) < 25 <= sample_quality(rng, False) <= 95
        assert sample_resolution(rng, True)[0] <= 32 <= sample_resolution(rng, False)[0] <= 128
        assert sample_light(rng, True).strength >= 0.6 >= sample_light(rng, False).strength
        (lens, length, _), (far_lens, far_length, _) = (
            sample_blur(rng, hard) for hard in (False, True)
        )
        assert lens <= 1.6 and length <= 7 and (far_lens >= 1.6 or far_length >= 7)
        camera, far = sample_camera(rng, False), sample_camera(rng, True)
        assert abs(camera.stops) <= 0.4 <= abs(far.stops) and camera.noise <= 10 <= far.noise
        factor, far_factor = sample_jitter(rng, False)[0], sample_jitter(rng, True)[0]
        assert 0.87 <= factor <= 1.25 and not 0.88 < far_factor < 1.24
        assert sample_grey(rng, True) is not None
    greys = [sample_grey(rng, False) is not None for _ in range(400)]
    assert 0.2 < np.mean(greys) < 0.4


def test_lamps_have_a_direction_of_unit_length():
    rng = np.random.default_rng(0)
    for hard in (False, True):
        lamps = [sample_light(rng, hard) for _ in range(50)]
        np.testing.assert_allclose([np.linalg.norm(lamp.direction) for lamp in lamps], 1)
        assert hard or all(lamp.direction[1] <= 0 for lamp in lamps)  # from above
