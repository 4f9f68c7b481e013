"""Norms against NumPy and Trax; batch norm's gradients against those of the plain formula."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from imagefec.compat import ShapeDtype, signature, tl
from imagefec.model import convolution, norms
from imagefec.model.norms import batch_norm, mean_and_variance


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def norm_by_numpy(x, axes, epsilon=1e-5):
    x = x.astype(np.float64)
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + epsilon)


def test_batch_norm_in_training_uses_the_batch_and_accumulates_its_statistics():
    x = numbers(4, 5, 6, 3) * 2 + 7
    norm = norms.BatchNorm(momentum=0.9)
    norm.init(signature(x))
    norm.weights = (np.float32([1, 2, 3]), np.float32([4, 5, 6]))
    expected = norm_by_numpy(x, (0, 1, 2)) * [1, 2, 3] + [4, 5, 6]
    np.testing.assert_allclose(norm(x), expected, atol=1e-4)
    mean, variance = norm.state
    np.testing.assert_allclose(mean, 0.1 * x.mean((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(variance, 0.9 + 0.1 * x.var((0, 1, 2)), rtol=1e-5)


def test_batch_norm_in_evaluation_uses_the_running_statistics_without_changing_them():
    x = numbers(4, 5, 6, 3)
    norm = norms.BatchNorm(mode="eval")
    norm.init(signature(x))
    norm.state = (np.float32([1, 2, 3]), np.float32([4, 9, 16]))
    expected = (x - [1, 2, 3]) / np.sqrt(np.array([4, 9, 16]) + 1e-5)
    np.testing.assert_allclose(norm(x), expected, atol=1e-5)
    np.testing.assert_array_equal(norm.state[0], [1, 2, 3])
    # Independent of the rest of the batch.
    np.testing.assert_allclose(norm(x[:1]), expected[:1], atol=1e-5)


@pytest.mark.filterwarnings("ignore:Explicitly requested dtype")  # of Trax's own batch norm
def test_batch_norm_and_its_gradient_equal_those_of_trax():
    x, slope = numbers(4, 5, 6, 3), numbers(4, 5, 6, 3, seed=1)
    ours, theirs = norms.BatchNorm(), tl.BatchNorm(momentum=0.9)
    ours.init(signature(x))
    theirs.init(signature(x))

    def pulled(norm):
        return jax.grad(
            lambda x: jnp.sum(norm.pure_fn(x, norm.weights, norm.state, norm.rng)[0] * slope)
        )(x)

    np.testing.assert_allclose(ours(x), theirs(x), atol=1e-5)
    np.testing.assert_allclose(pulled(ours), pulled(theirs), atol=1e-5)


def test_batch_norm_is_accurate_where_the_mean_is_large_compared_with_the_spread():
    # Computed as E[x^2] - E[x]^2 the variance would be rounding noise.
    x = numbers(64, 8, 8, 1) * 0.1 + 10_000
    norm = norms.BatchNorm()
    norm.init(signature(x))
    found = np.asarray(norm(x))
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found.std(), 1, rtol=0.01)


def test_batch_norm_of_constant_channels_is_its_offset():
    norm = norms.BatchNorm()
    norm.init(ShapeDtype((2, 3, 3, 4), np.float32))
    np.testing.assert_array_equal(norm(np.full((2, 3, 3, 4), 1000.1, np.float32)), 0)


def test_group_norm_equals_numpy_and_is_independent_of_the_batch():
    x = numbers(3, 4, 5, 12) * 3 + 1
    norm = norms.GroupNorm(groups=4)
    norm.init(signature(x))
    expected = norm_by_numpy(x.reshape(3, 4, 5, 4, 3), (1, 2, 4)).reshape(x.shape)
    np.testing.assert_allclose(norm(x), expected, atol=1e-5)
    np.testing.assert_allclose(norm(x[:1]), expected[:1], atol=1e-5)


def test_group_norm_uses_the_largest_number_of_groups_that_divides_the_channels():
    x = numbers(2, 3, 3, 10)
    norm = norms.GroupNorm(groups=8)  # of 10 channels: 5 groups of 2
    norm.init(signature(x))
    expected = norm_by_numpy(x.reshape(2, 3, 3, 5, 2), (1, 2, 4)).reshape(x.shape)
    np.testing.assert_allclose(norm(x), expected, atol=1e-5)


@pytest.mark.parametrize("norm", norms.NORMS)
def test_every_norm_comes_with_its_activation(norm):
    make_norm, make_activation = norms.norm_and_activation(norm, 0.9, "train")
    model = tl.Serial(convolution.Conv(8, 3), make_norm(), make_activation())
    x = numbers(2, 6, 6, 3)
    model.init(signature(x))
    found = np.asarray(model(x))
    assert found.shape == (2, 6, 6, 8) and np.isfinite(found).all() and found.min() >= 0


def test_an_unknown_norm_is_refused():
    with pytest.raises(ValueError, match="batch, group, frn, none; found 'layer'"):
        norms.norm_and_activation("layer", 0.9, "train")


def plain_batch_norm(x, scale, offset):
    mean, variance = jnp.mean(x, (0, 1, 2)), jnp.var(x, (0, 1, 2))
    return (x - mean) * (scale / jnp.sqrt(variance + 1e-5)) + offset


@pytest.mark.parametrize(("mean", "spread"), [(0, 1), (-3, 0.5), (8, 1), (200, 1), (10_000, 100)])
def test_batch_norm_and_its_gradients_equal_those_of_the_plain_formula(mean, spread):
    random = np.random.default_rng(0)
    x = (mean + spread * random.normal(size=(4, 6, 5, 3))).astype(np.float32)
    slope = random.normal(size=x.shape).astype(np.float32)
    scale, offset = np.float32([0.5, 1, 2]), np.float32([1, 0, -1])
    expected, expected_pull = jax.vjp(plain_batch_norm, x, scale, offset)
    found, pull = jax.vjp(jax.jit(lambda *arrays: batch_norm(*arrays, 1e-5)[0]), x, scale, offset)
    np.testing.assert_allclose(found, expected, atol=1e-3)
    for gradient, expected_gradient in zip(pull(slope), expected_pull(slope)):
        np.testing.assert_allclose(
            gradient, expected_gradient, rtol=2e-3, atol=1e-4 * np.abs(expected_gradient).max()
        )


@pytest.mark.parametrize(
    ("x", "mean", "variance"),
    [
        ([[1.0, 2.0, 6.0]], 3.0, 14 / 3),
        ([[0.0, 0.0]], 0.0, 0.0),
        ([[1000.5, 1000.5]], 1000.5, 0.0),
        ([[4096.0, 4098.0]], 4097.0, 1.0),
    ],
)
def test_batch_statistics_equal_those_worked_by_hand(x, mean, variance):
    x = jnp.asarray(x, jnp.float32).T
    for found in (batch_norm(x, jnp.ones(1), jnp.zeros(1), 1e-5)[1:], mean_and_variance(x)):
        np.testing.assert_allclose(found, [[mean], [variance]], rtol=1e-5, atol=1e-6)
