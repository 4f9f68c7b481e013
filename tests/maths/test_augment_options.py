"""Options of the augmentation that are off by default, each against SciPy, OpenCV or a loop."""

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

from imagefec.maths import affine, augment, blur, cutout, recolour
from tests.maths import released_augment

OFF = {"crop": 0, "flip": 0, "brightness": 0, "contrast": 0}
OPTIONS = {  # each group of options
    "motion": {"rotation": 20, "scale": 0.2, "translation": 0.1},
    "blur": {"blur": 0.8, "blur_sigma": 2.0},
    "colours": {"saturation": 0.5, "hue": 20, "channel_gain": 0.1, "grey": 0.3},
    "cutout": {"cutout": 2, "cutout_size": 0.3},
}
ALL = {name: value for options in OPTIONS.values() for name, value in options.items()}


@pytest.fixture(scope="module")
def faces():
    return np.random.default_rng(0).integers(0, 256, (6, 18, 15, 3), dtype=np.uint8)


def moved(faces, angle=0.0, factor=1.0, right=0.0, down=0.0, crop=(1.0, 0.0, 0.0, False)):
    """All faces with one crop (side, top, left, flip) and one motion; the angle in degrees."""
    n = len(faces)
    motion = affine.Motion(
        *(jnp.full(n, value, jnp.float32) for value in (np.radians(angle), factor, right, down))
    )
    return np.asarray(affine.resample(faces, *(jnp.full(n, value) for value in crop), motion))


@pytest.mark.parametrize("ranges", [{}, {"crop": 0.3, "brightness": 0.5, "contrast": 0.4}])
def test_without_options_views_equal_those_of_the_first_release_bit_for_bit(faces, ranges):
    key = jax.random.key(3)
    found = augment.augment_faces(key, faces, **ranges)
    np.testing.assert_array_equal(found, released_augment.augment_faces(key, faces, **ranges))
    # The same program, so also jitted and on other devices.
    programs = (
        jax.make_jaxpr(lambda key, x, f=module: f.augment_faces(key, x, **ranges))(key, faces)
        for module in (augment, released_augment)
    )
    assert len({str(program) for program in programs}) == 1


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_changes_the_views_and_no_sample_of_the_others(faces, name, monkeypatch):
    taken = {}
    for module, function in (
        (augment, "sample_augmentation"),
        (affine, "sample_motion"),
        (blur, "sample_sigmas"),
        (recolour, "sample_colours"),
        (cutout, "sample_squares"),
    ):
        original = getattr(module, function)

        def recorded(*arguments, original=original, function=function):
            sampled = original(*arguments)
            taken.setdefault(function, []).append(jax.tree.leaves(sampled))
            return sampled

        monkeypatch.setattr(module, function, recorded)
    key = jax.random.key(1)
    complete = augment.augment_faces(key, faces, **ALL)
    alone = augment.augment_faces(key, faces, **OPTIONS[name])
    assert np.abs(np.asarray(complete) - alone).max() > 1
    assert np.abs(np.asarray(alone) - augment.augment_faces(key, faces)).max() > 1
    assert len(taken) == 5 and sum(len(values) for values in taken.values()) == 8
    for values in taken.values():
        for other in values[1:]:
            for a, b in zip(values[0], other):
                np.testing.assert_array_equal(a, b)


def test_options_of_zero_change_nothing_and_all_options_are_within_0_to_255(faces):
    zeros = dict.fromkeys(ALL, 0)
    found = augment.augment_faces(jax.random.key(0), faces, **OFF, **zeros)
    np.testing.assert_array_equal(found, faces)
    key = jax.random.key(2)
    views = jax.jit(lambda key, x: augment.augment_faces(key, x, **ALL))(key, faces)
    assert views.dtype == jnp.float32 and views.shape == faces.shape
    assert float(views.min()) >= 0 and float(views.max()) <= 255
    as_float = augment.augment_faces(key, faces.astype(np.float32), **ALL)
    np.testing.assert_allclose(views, as_float, atol=1e-2)


def test_without_motion_one_resampling_equals_the_separable_crop_and_flip(faces):
    crop = (0.8, 0.3, 0.9, True)
    plain = augment.Augmentation(*(jnp.full(6, value) for value in (*crop, 1.0, 1.0)))
    expected = augment.apply_augmentation(faces, plain)
    np.testing.assert_allclose(moved(faces, crop=crop), expected, atol=1e-2)


def test_a_rotation_turns_counter_clockwise_and_shifts_go_right_and_down():
    square = np.random.default_rng(1).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    np.testing.assert_allclose(moved(square, angle=90), np.rot90(square, axes=(1, 2)), atol=1e-2)
    right = moved(square, right=0.25)
    np.testing.assert_allclose(right[:, :, 2:], square[:, :, :-2], atol=1e-3)
    np.testing.assert_allclose(right[:, :, 0], square[:, :, 0], atol=1e-3)  # border repeated
    down = moved(square, down=0.125)
    np.testing.assert_allclose(down[:, 1:], square[:, :-1], atol=1e-3)
    # The mirror comes last, so the shift is to the left as seen.
    mirrored = moved(square, right=0.25, crop=(1.0, 0.0, 0.0, True))
    np.testing.assert_allclose(mirrored, right[:, :, ::-1], atol=1e-3)


@pytest.mark.parametrize("angle", [-160, -12, 0, 33])
@pytest.mark.parametrize("factor", [0.6, 1.0, 1.4])
def test_a_motion_equals_scipys_affine_transform(faces, angle, factor):
    side, top, left, right, down = 0.85, 0.2, 0.7, 0.1, -0.2
    found = moved(faces[:1], angle, factor, right, down, (side, top, left, False))[0]
    height, width = faces.shape[1:3]
    radians = np.radians(angle)
    # scipy maps an output position to a source position: matrix @ (row, column) + offset.
    matrix = (side / factor) * np.array(
        [[np.cos(radians), np.sin(radians)], [-np.sin(radians), np.cos(radians)]]
    )
    size = np.array([height, width])
    centre = size * ((1 - side) * np.array([top, left]) + side / 2) - 0.5
    shifted_centre = size * (0.5 + np.array([down, right])) - 0.5
    for channel in range(3):
        expected = scipy.ndimage.affine_transform(
            faces[0, :, :, channel].astype(np.float64),
            matrix,
            centre - matrix @ shifted_centre,
            order=1,
            mode="nearest",
        )
        np.testing.assert_allclose(found[:, :, channel], expected, atol=2e-2)


def test_blur_equals_scipys_gaussian_with_weights_of_the_pixels_inside(faces):
    sigmas = np.float32([0, 0.3, 0.8, 1.5, 3.0, 0])
    found = np.asarray(blur.gaussian_blur(faces.astype(np.float32), sigmas))
    np.testing.assert_array_equal(found[[0, 5]], faces[[0, 5]])  # sharp, exactly
    for face, sigma, view in list(zip(faces, sigmas, found))[1:5]:
        for channel in range(3):
            total, weight = (
                scipy.ndimage.gaussian_filter(x, float(sigma), mode="constant", truncate=12)
                for x in (face[:, :, channel].astype(np.float64), np.ones(face.shape[:2]))
            )
            np.testing.assert_allclose(view[:, :, channel], total / weight, atol=1e-3)


def in_yiq_by_loop(face, saturation, hue, gains):
    """The NTSC matrix of a textbook, pixel by pixel."""
    to_yiq = np.array(
        [[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]]
    )
    out = np.zeros(face.shape)
    for i in range(face.shape[0]):
        for j in range(face.shape[1]):
            y, in_phase, quadrature = to_yiq @ (gains * face[i, j])
            chroma = saturation * complex(in_phase, quadrature) * np.exp(1j * hue)
            out[i, j] = np.linalg.solve(to_yiq, [y, chroma.real, chroma.imag])
    return out


def test_recolouring_equals_a_loop_over_pixels(faces):
    colours = recolour.Colours(
        saturation=np.float32([1, 0.3, 1.6, 0, 1, 0.8]),
        hue=np.float32([0, 0, 0, 0.4, -1.2, 3.0]),
        gains=np.float32([[1, 1, 1]] * 4 + [[1.2, 0.9, 1]] * 2),
    )
    values = faces.astype(np.float32)
    found = np.asarray(recolour.recolour(values, jax.tree.map(jnp.asarray, colours)))
    for i, face in enumerate(faces):
        expected = in_yiq_by_loop(face, *(part[i].astype(np.float64) for part in colours))
        np.testing.assert_allclose(found[i], expected, atol=5e-2)
    np.testing.assert_allclose(found[0], faces[0], atol=1e-3)


def test_grey_equals_opencvs_and_keeps_three_equal_channels(faces):
    found = np.asarray(augment.augment_faces(jax.random.key(0), faces, **OFF, grey=1, hue=30))
    for face, view in zip(faces, found):
        np.testing.assert_allclose(view[..., 0], cv2.cvtColor(face, cv2.COLOR_RGB2GRAY), atol=0.6)
        np.testing.assert_allclose(view[..., 1:], view[..., :1].repeat(2, -1), atol=1e-3)


def test_cutout_equals_a_loop_over_pixels_and_squares(faces):
    centres = np.random.default_rng(3).random((6, 2, 2)).astype(np.float32)
    found = np.asarray(cutout.cut_out(faces.astype(np.float32), centres, 0.4))
    expected = faces.astype(np.float32)
    height, width = faces.shape[1:3]
    for n, i, j in np.ndindex(6, height, width):
        for row, column in centres[n]:
            if abs((i + 0.5) / height - row) < 0.2 and abs((j + 0.5) / width - column) < 0.2:
                expected[n, i, j] = 127.5
    np.testing.assert_array_equal(found, expected)
    assert (found == 127.5).any(axis=(1, 2, 3)).all()


def test_samples_are_uniform_over_their_ranges_and_chosen_with_their_probability():
    n, keys = 20_000, jax.random.split(jax.random.key(0), 4)
    motion = affine.sample_motion(keys[0], n, 30, 0.25, 0.1)
    sigmas = np.asarray(blur.sample_sigmas(keys[1], n, 0.25, 2.0))
    colours = recolour.sample_colours(keys[2], n, 0.5, 90, 0.2, 0.3)
    squares = np.asarray(cutout.sample_squares(keys[3], n, 2))
    grey = np.asarray(colours.saturation) == 0
    assert abs((sigmas > 0).mean() - 0.25) < 0.015 and abs(grey.mean() - 0.3) < 0.015
    for values, low, high in (
        (np.degrees(motion.angle), -30, 30),
        (motion.factor, 0.75, 1.25),
        (motion.right, -0.1, 0.1),
        (motion.down, -0.1, 0.1),
        (sigmas[sigmas > 0], 0, 2),
        (np.asarray(colours.saturation)[~grey], 0.5, 1.5),
        (np.degrees(colours.hue), -90, 90),
        *((np.asarray(colours.gains)[:, i], 0.8, 1.2) for i in range(3)),
        *((squares[:, i, j], 0, 1) for i in range(2) for j in range(2)),
    ):
        share = np.histogram(values, 10, (low - 1e-4, high + 1e-4))[0] / len(values)
        np.testing.assert_allclose(share, 0.1, atol=0.02)
        assert np.min(values) >= low - 1e-4 and np.max(values) <= high + 1e-4


@pytest.mark.parametrize(
    "wrong",
    [
        *({name: -0.1} for name in ALL),
        {"rotation": 181},
        {"scale": 0.6},
        {"translation": 0.6},
        {"blur": 1.5},
        {"blur_sigma": 17},
        {"saturation": 1},
        {"hue": 181},
        {"channel_gain": 1},
        {"grey": 1.1},
        {"cutout": 17},
        {"cutout_size": 1.1},
    ],
    ids=lambda wrong: "{} {}".format(*next(iter(wrong.items()))),
)
def test_options_out_of_bounds_are_refused_by_name(faces, wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        augment.augment_faces(jax.random.key(0), faces, **wrong)
