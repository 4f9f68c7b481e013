"""Convolution and max pooling against those of XLA and Trax, gradients included."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from imagefec.compat import signature, tl
from imagefec.model import convolution


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def lax_conv(x, kernel, stride):
    return jax.lax.conv_general_dilated(
        x, kernel, (stride, stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


@pytest.mark.parametrize(
    ("size", "stride"), [(1, 1), (1, 2), (2, 1), (2, 2), (3, 1), (3, 2), (3, 3), (7, 2)]
)
def test_convolution_by_matmul_and_its_gradients_equal_those_of_lax(size, stride):
    # 9 and 8: odd and even maps are padded differently.
    x, kernel = numbers(2, 9, 8, 3), numbers(size, size, 3, 5, seed=1)
    expected, expected_pull = jax.vjp(lambda x, k: lax_conv(x, k, stride), x, kernel)
    found, pull = jax.vjp(jax.jit(lambda x, k: convolution.conv_by_matmul(x, k, stride)), x, kernel)
    np.testing.assert_allclose(found, expected, atol=2e-5)
    slope = numbers(*expected.shape, seed=2)
    for gradient, expected_gradient in zip(pull(slope), expected_pull(slope)):
        np.testing.assert_allclose(gradient, expected_gradient, atol=1e-4)


@pytest.mark.parametrize(
    ("size", "stride", "use_bias"), [(1, 2, True), (3, 1, True), (3, 2, False)]
)
def test_every_lowering_has_the_weights_and_the_result_of_traxs_convolution(size, stride, use_bias):
    x = numbers(2, 8, 8, 3)
    reference = tl.Conv(4, (size, size), (stride, stride), "SAME", use_bias=use_bias)
    reference.init(signature(x))
    for lowering in convolution.LOWERINGS:
        conv = convolution.Conv(4, size, stride, use_bias=use_bias, lowering=lowering)
        conv.init(signature(x))
        assert jax.tree.map(np.shape, conv.weights) == jax.tree.map(np.shape, reference.weights)
        conv.weights = reference.weights
        np.testing.assert_allclose(conv(x), reference(x), atol=1e-5)


@pytest.mark.parametrize(("height", "width"), [(2, 2), (2, 9), (1, 1)])
def test_a_map_smaller_than_the_kernel_is_convolved_by_matmul(height, width):
    # XLA uses the smaller of the two as the kernel, which is over fifty times slower.
    x = numbers(5, height, width, 3)
    conv = convolution.Conv(4, 3)
    conv.init(signature(x))

    def forward(x):
        return conv.pure_fn(x, conv.weights, conv.state, None)[0]

    np.testing.assert_allclose(forward(x), lax_conv(x, conv.weights, 1), atol=1e-5)
    if jax.default_backend() == "cpu":
        assert "convolution" not in jax.jit(jax.grad(lambda x: forward(x).sum())).lower(x).as_text()


def test_an_unknown_lowering_is_refused():
    with pytest.raises(ValueError, match="auto, lax, matmul; found 'fft'"):
        convolution.Conv(4, 3, lowering="fft")


def test_convolutions_keep_the_variance_through_a_relu():
    conv = convolution.Conv(64, 3)
    x = np.maximum(numbers(4, 16, 16, 32), 0)
    conv.init(signature(x), rng=jax.random.PRNGKey(0))
    second_moment = (x**2).mean() * 32 * 9 * np.asarray(conv.weights).var()
    assert second_moment == pytest.approx(1.0, rel=0.05)  # E[relu(z)^2] is 1/2, He's gain is 2


@pytest.mark.parametrize("shape", [(2, 8, 8, 3), (1, 7, 10, 2), (1, 1, 2, 1)])
def test_max_pool_and_its_gradient_equal_xlas_window_reduction(shape):
    def xlas(x):
        return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 3, 3, 1), (1, 2, 2, 1), "SAME")

    x = jnp.asarray(
        np.random.default_rng(0).permutation(np.prod(shape)).reshape(shape).astype(np.float32)
    )  # no ties
    np.testing.assert_array_equal(convolution.max_pool(x), xlas(x))
    weights = jnp.arange(xlas(x).size, dtype=jnp.float32).reshape(xlas(x).shape)
    ours, theirs = (
        jax.grad(lambda x, pool=pool: jnp.sum(pool(x) * weights))(x)
        for pool in (convolution.max_pool, xlas)
    )
    np.testing.assert_array_equal(ours, theirs)
