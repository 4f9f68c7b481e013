"""The norm's own backward pass against JAX's of the plain formula, also where sums of x and x^2 would cancel."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from imagefec.model.batch_norm import batch_norm, mean_and_variance


def plain(x, scale, offset):
    mean, variance = jnp.mean(x, (0, 1, 2)), jnp.var(x, (0, 1, 2))
    return (x - mean) * (scale / jnp.sqrt(variance + 1e-5)) + offset


@pytest.mark.parametrize("mean, spread", [(0, 1), (-3, 0.5), (8, 1), (200, 1), (10_000, 100)])
def test_values_and_gradients_are_those_of_the_formula(mean, spread):
    random = np.random.default_rng(0)
    x = (mean + spread * random.normal(size=(4, 6, 5, 3))).astype(np.float32)
    slope = random.normal(size=x.shape).astype(np.float32)
    scale, offset = np.float32([0.5, 1, 2]), np.float32([1, 0, -1])
    expected, expected_pull = jax.vjp(plain, x, scale, offset)
    found, pull = jax.vjp(jax.jit(lambda *arrays: batch_norm(*arrays, 1e-5)[0]), x, scale, offset)
    np.testing.assert_allclose(found, expected, atol=1e-3)
    for gradient, expected_gradient in zip(pull(slope), expected_pull(slope)):
        np.testing.assert_allclose(
            gradient, expected_gradient, rtol=2e-3, atol=1e-4 * np.abs(expected_gradient).max()
        )


@pytest.mark.parametrize(
    "x, mean, variance",
    [
        ([[1.0, 2.0, 6.0]], 3.0, 14 / 3),
        ([[0.0, 0.0]], 0.0, 0.0),
        ([[1000.5, 1000.5]], 1000.5, 0.0),
        ([[4096.0, 4098.0]], 4097.0, 1.0),
    ],
)
def test_statistics_are_those_worked_by_hand(x, mean, variance):
    x = jnp.asarray(x, jnp.float32).T
    for found in (batch_norm(x, jnp.ones(1), jnp.zeros(1), 1e-5)[1:], mean_and_variance(x)):
        np.testing.assert_allclose(found, [[mean], [variance]], rtol=1e-5, atol=1e-6)
