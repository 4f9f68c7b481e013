"""Input scaling, unit length and augmentation, against values worked by hand."""

import jax
import jax.numpy as jnp
import numpy as np

from imagefec.compat import signature
from imagefec.model import layers


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_l2_norm_gives_unit_length_and_a_finite_gradient_at_zero():
    x = numbers(5, 4) * np.float32([[1e-3], [1], [1e3], [1e6], [0]])
    found = np.asarray(layers.L2Norm()(x))
    np.testing.assert_allclose(np.linalg.norm(found[:4], axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(found[4], 0)
    gradient = jax.grad(lambda x: layers.L2Norm()(x).sum())(x)
    assert np.isfinite(gradient).all()


def test_faces_are_scaled_to_minus_one_to_one():
    found = layers.Normalise()(np.array([[0, 51, 255]], np.uint8))
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, [[-1, -0.6, 1]], rtol=1e-6)


def test_augmentation_returns_the_requested_views_and_leaves_faces_unchanged_in_evaluation():
    faces = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
    augment = layers.Augment(views=2)
    augment.init(signature(faces))
    found = np.asarray(augment(faces, rng=jax.random.PRNGKey(1)))
    assert found.shape == (6, 16, 16, 3)
    assert np.abs(found[:3] - found[3:]).max() > 1  # two views, not the same one twice
    np.testing.assert_allclose(found[:3].mean((1, 2, 3)), faces.mean((1, 2, 3)), rtol=0.2)
    other = np.asarray(augment(faces, rng=jax.random.PRNGKey(2)))
    assert np.abs(found - other).max() > 1
    evaluation = layers.Augment(views=2, mode="eval")
    np.testing.assert_array_equal(evaluation(faces), faces)


def test_augmentation_uses_the_given_ranges():
    faces = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
    augment = layers.Augment(crop=0, flip=1.0, brightness=0, contrast=0)
    np.testing.assert_array_equal(augment(faces), faces[:, :, ::-1])


def test_dropout_sets_its_share_of_values_to_0_and_enlarges_the_others():
    x = np.abs(numbers(200, 100)) + 1
    layer = layers.WithDropout(layers.Relu(), 0.25)
    layer.init(signature(x))
    found = np.asarray(layer(x, rng=jax.random.PRNGKey(0)))
    left = found != 0
    assert abs(left.mean() - 0.75) < 0.01 and abs(left.mean(axis=0) - 0.75).max() < 0.15
    np.testing.assert_allclose(found[left], x[left] / 0.75, rtol=1e-6)
    other = np.asarray(layer(x, rng=jax.random.PRNGKey(1)))
    assert not np.array_equal(other != 0, left)
    np.testing.assert_array_equal(layer(-x, rng=jax.random.PRNGKey(0)), 0)  # Relu comes first
