"""Augmentation against a NumPy oracle, pixel by pixel, and statistics of the sampled parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from imagefec.maths import augment


@pytest.fixture(scope="module")
def faces():
    return np.random.default_rng(0).integers(0, 256, (6, 12, 10, 3), dtype=np.uint8)


def bilinear_at(image: np.ndarray, row: float, column: float) -> np.ndarray:
    """The textbook four-neighbour formula with the border repeated outwards."""
    height, width = image.shape[:2]
    row, column = min(max(row, 0.0), height - 1.0), min(max(column, 0.0), width - 1.0)
    top, left = int(row), int(column)
    low, right = min(top + 1, height - 1), min(left + 1, width - 1)
    down, along = row - top, column - left
    return (1 - down) * ((1 - along) * image[top, left] + along * image[top, right]) + down * (
        (1 - along) * image[low, left] + along * image[low, right]
    )


def augmented_by_loop(image, side, top, left, flip, brightness, contrast) -> np.ndarray:
    image = image.astype(np.float64)
    height, width = image.shape[:2]
    out = np.zeros_like(image)
    for i in range(height):
        for j in range(width):
            row = top * (height - side * height) + (i + 0.5) * side - 0.5
            column = left * (width - side * width) + (j + 0.5) * side - 0.5
            out[i, j] = bilinear_at(image, row, column)
    if flip:
        out = out[:, ::-1]
    out = (out - out.mean()) * contrast + out.mean()
    return np.clip(out * brightness, 0, 255)


def test_each_pixel_equals_the_numpy_oracle_for_given_parameters(faces):
    sampled = augment.Augmentation(
        side=np.float32([1, 0.9, 0.9, 0.81, 0.7, 0.95]),
        top=np.float32([0, 0, 1, 0.3, 0.5, 0.77]),
        left=np.float32([0, 1, 0, 0.6, 0.5, 0.1]),
        flip=np.array([1, 0, 0, 1, 1, 0], bool),
        brightness=np.float32([1, 1, 1, 1.1, 0.9, 1.05]),
        contrast=np.float32([1, 1, 0.9, 1.1, 0.9, 1.1]),
    )
    found = augment.apply_augmentation(faces, jax.tree.map(jnp.asarray, sampled))
    for i, face in enumerate(faces):
        expected = augmented_by_loop(face, *(float(values[i]) for values in sampled))
        np.testing.assert_allclose(found[i], expected, atol=2e-3)


def test_crop_equals_tensorflows_crop_and_resize_away_from_the_border():
    tf = pytest.importorskip("tensorflow")
    image = np.random.default_rng(1).integers(0, 256, (1, 32, 32, 3), dtype=np.uint8)
    # A window of integer pixels: rows and columns 4..27, stretched to 32.
    sampled = augment.Augmentation(*(jnp.array([v]) for v in (0.75, 0.5, 0.5, False, 1.0, 1.0)))
    expected = tf.image.resize(image[:, 4:28, 4:28], (32, 32), method="bilinear").numpy()
    found = np.asarray(augment.apply_augmentation(image, sampled))
    # At the border TensorFlow repeats the crop's edge; ours uses the pixel beyond it.
    np.testing.assert_allclose(found[0, 2:-2, 2:-2], expected[0, 2:-2, 2:-2], atol=1e-2)


def test_ranges_of_zero_change_nothing(faces):
    found = augment.augment_faces(
        jax.random.key(0), faces, crop=0, flip=0, brightness=0, contrast=0
    )
    assert found.dtype == jnp.float32
    np.testing.assert_array_equal(found, faces)


def test_a_certain_flip_mirrors_exactly(faces):
    found = augment.augment_faces(
        jax.random.key(0), faces, crop=0, flip=1, brightness=0, contrast=0
    )
    np.testing.assert_array_equal(found, faces[:, :, ::-1])


def test_uint8_and_float_faces_give_the_same_result_and_another_key_gives_another(faces):
    first = augment.augment_faces(jax.random.key(3), faces)
    again = jax.jit(augment.augment_faces)(jax.random.key(3), faces.astype(np.float32))
    other = augment.augment_faces(jax.random.key(4), faces)
    np.testing.assert_allclose(first, again, atol=1e-3)
    assert np.abs(np.asarray(first) - other).mean() > 1


def test_values_stay_within_0_to_255():
    extremes = np.stack([np.zeros((8, 8, 3), np.uint8), np.full((8, 8, 3), 255, np.uint8)] * 20)
    extremes[:, ::2] = 255 - extremes[:, ::2]
    found = np.asarray(
        augment.augment_faces(jax.random.key(0), extremes, brightness=0.5, contrast=0.5)
    )
    assert found.min() >= 0 and found.max() <= 255 and found.max() > 250


def test_sampled_parameters_are_uniform_over_their_ranges():
    sampled = jax.tree.map(np.asarray, augment.sample_augmentation(jax.random.key(0), 20_000))
    cropped = 1 - sampled.side**2
    assert cropped.min() >= -1e-6 and cropped.max() <= 0.3 + 1e-6
    for values, low, high in (
        (cropped, 0, 0.3),
        (sampled.top, 0, 1),
        (sampled.left, 0, 1),
        (sampled.brightness, 0.9, 1.1),
        (sampled.contrast, 0.9, 1.1),
    ):
        np.testing.assert_allclose(np.histogram(values, 10, (low, high))[0], 2000, atol=200)
    assert abs(sampled.flip.mean() - 0.5) < 0.02


def test_sampled_parameters_are_independent_of_one_another():
    sampled = augment.sample_augmentation(jax.random.key(1), 20_000)
    correlations = np.corrcoef(np.stack([np.asarray(values, np.float64) for values in sampled]))
    assert np.abs(correlations - np.eye(6)).max() < 0.04


def test_images_of_one_batch_get_different_parameters():
    same = np.repeat(
        np.random.default_rng(2).integers(0, 256, (1, 16, 16, 3), dtype=np.uint8), 8, axis=0
    )
    found = np.asarray(augment.augment_faces(jax.random.key(0), same))
    for i in range(8):
        for j in range(i):
            assert np.abs(found[i] - found[j]).max() > 1


@pytest.mark.parametrize(
    "wrong", [{"crop": 0.7}, {"crop": -0.1}, {"flip": 1.5}, {"brightness": 1}, {"contrast": -1}]
)
def test_ranges_out_of_bounds_are_refused_by_name(faces, wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        augment.augment_faces(jax.random.key(0), faces, **wrong)


def test_faces_of_another_shape_are_refused(faces):
    with pytest.raises(ValueError, match=r"\[n, h, w, 3\]"):
        augment.augment_faces(jax.random.key(0), faces[0])
