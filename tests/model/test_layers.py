"""The layers against lax's convolution, naive NumPy and Trax's own layers; gradients included."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from imagefec.compat import ShapeDtype, signature, tl
from imagefec.model import layers


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def lax_conv(x, kernel, stride):
    return jax.lax.conv_general_dilated(
        x, kernel, (stride, stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


@pytest.mark.parametrize(
    ("size", "stride"), [(1, 1), (1, 2), (2, 1), (2, 2), (3, 1), (3, 2), (3, 3), (7, 2)]
)
def test_convolution_by_matmul_equals_laxs_with_both_gradients(size, stride):
    # 9 and 8: odd and even maps are padded differently.
    x, kernel = numbers(2, 9, 8, 3), numbers(size, size, 3, 5, seed=1)
    expected, expected_pull = jax.vjp(lambda x, k: lax_conv(x, k, stride), x, kernel)
    found, pull = jax.vjp(jax.jit(lambda x, k: layers.conv_by_matmul(x, k, stride)), x, kernel)
    np.testing.assert_allclose(found, expected, atol=2e-5)
    slope = numbers(*expected.shape, seed=2)
    for gradient, expected_gradient in zip(pull(slope), expected_pull(slope)):
        np.testing.assert_allclose(gradient, expected_gradient, atol=1e-4)


@pytest.mark.parametrize(
    ("size", "stride", "use_bias"), [(1, 2, True), (3, 1, True), (3, 2, False)]
)
def test_every_lowering_has_traxs_weights_and_gives_traxs_result(size, stride, use_bias):
    x = numbers(2, 8, 8, 3)
    reference = tl.Conv(4, (size, size), (stride, stride), "SAME", use_bias=use_bias)
    reference.init(signature(x))
    for lowering in layers.LOWERINGS:
        conv = layers.Conv(4, size, stride, use_bias=use_bias, lowering=lowering)
        conv.init(signature(x))
        assert jax.tree.map(np.shape, conv.weights) == jax.tree.map(np.shape, reference.weights)
        conv.weights = reference.weights
        np.testing.assert_allclose(conv(x), reference(x), atol=1e-5)


@pytest.mark.parametrize(("height", "width"), [(2, 2), (2, 9), (1, 1)])
def test_a_map_smaller_than_the_kernel_is_convolved_without_xlas_convolution(height, width):
    # XLA takes the smaller of the two for the kernel, and computes that over fifty times as slowly.
    x = numbers(5, height, width, 3)
    conv = layers.Conv(4, 3)
    conv.init(signature(x))

    def forward(x):
        return conv.pure_fn(x, conv.weights, conv.state, None)[0]

    np.testing.assert_allclose(forward(x), lax_conv(x, conv.weights, 1), atol=1e-5)
    if jax.default_backend() == "cpu":
        assert "convolution" not in jax.jit(jax.grad(lambda x: forward(x).sum())).lower(x).as_text()


def test_an_unknown_lowering_is_refused():
    with pytest.raises(ValueError, match="auto, lax, matmul; found 'fft'"):
        layers.Conv(4, 3, lowering="fft")


def test_convolutions_keep_the_variance_through_a_relu():
    conv = layers.Conv(64, 3)
    x = np.maximum(numbers(4, 16, 16, 32), 0)
    conv.init(signature(x), rng=jax.random.PRNGKey(0))
    second_moment = (x**2).mean() * 32 * 9 * np.asarray(conv.weights).var()
    assert second_moment == pytest.approx(1.0, rel=0.05)  # E[relu(z)^2] is 1/2, He's gain is 2


def norm_by_numpy(x, axes, epsilon=1e-5):
    x = x.astype(np.float64)
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + epsilon)


@pytest.mark.parametrize("shape", [(2, 8, 8, 3), (1, 7, 10, 2), (1, 1, 2, 1)])
def test_max_pool_and_its_gradient_equal_xlas_window_reduction(shape):
    def xlas(x):
        return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 3, 3, 1), (1, 2, 2, 1), "SAME")

    x = jnp.asarray(
        np.random.default_rng(0).permutation(np.prod(shape)).reshape(shape).astype(np.float32)
    )  # no ties
    np.testing.assert_array_equal(layers.max_pool(x), xlas(x))
    weights = jnp.arange(xlas(x).size, dtype=jnp.float32).reshape(xlas(x).shape)
    ours, theirs = (
        jax.grad(lambda x, pool=pool: jnp.sum(pool(x) * weights))(x)
        for pool in (layers.max_pool, xlas)
    )
    np.testing.assert_array_equal(ours, theirs)


def test_batch_norm_in_training_uses_the_batch_and_gathers_its_statistics():
    x = numbers(4, 5, 6, 3) * 2 + 7
    norm = layers.BatchNorm(momentum=0.9)
    norm.init(signature(x))
    norm.weights = (np.float32([1, 2, 3]), np.float32([4, 5, 6]))
    expected = norm_by_numpy(x, (0, 1, 2)) * [1, 2, 3] + [4, 5, 6]
    np.testing.assert_allclose(norm(x), expected, atol=1e-4)
    mean, variance = norm.state
    np.testing.assert_allclose(mean, 0.1 * x.mean((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(variance, 0.9 + 0.1 * x.var((0, 1, 2)), rtol=1e-5)


def test_batch_norm_in_evaluation_uses_the_running_statistics_and_leaves_them():
    x = numbers(4, 5, 6, 3)
    norm = layers.BatchNorm(mode="eval")
    norm.init(signature(x))
    norm.state = (np.float32([1, 2, 3]), np.float32([4, 9, 16]))
    expected = (x - [1, 2, 3]) / np.sqrt(np.array([4, 9, 16]) + 1e-5)
    np.testing.assert_allclose(norm(x), expected, atol=1e-5)
    np.testing.assert_array_equal(norm.state[0], [1, 2, 3])
    np.testing.assert_allclose(
        norm(x[:1]), expected[:1], atol=1e-5
    )  # whatever else is in the batch


@pytest.mark.filterwarnings("ignore:Explicitly requested dtype")  # of Trax's own batch norm
def test_batch_norm_equals_traxs_in_values_and_gradients():
    x, slope = numbers(4, 5, 6, 3), numbers(4, 5, 6, 3, seed=1)
    ours, theirs = layers.BatchNorm(), tl.BatchNorm(momentum=0.9)
    ours.init(signature(x))
    theirs.init(signature(x))

    def pulled(norm):
        return jax.grad(
            lambda x: jnp.sum(norm.pure_fn(x, norm.weights, norm.state, norm.rng)[0] * slope)
        )(x)

    np.testing.assert_allclose(ours(x), theirs(x), atol=1e-5)
    np.testing.assert_allclose(pulled(ours), pulled(theirs), atol=1e-5)


def test_batch_norm_holds_where_the_mean_dwarfs_the_spread():
    x = (
        numbers(64, 8, 8, 1) * 0.1 + 10_000
    )  # as E[x^2] - E[x]^2 the variance would be rounding alone
    norm = layers.BatchNorm()
    norm.init(signature(x))
    found = np.asarray(norm(x))
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found.std(), 1, rtol=0.01)


def test_batch_norm_of_constant_channels_is_its_offset():
    norm = layers.BatchNorm()
    norm.init(ShapeDtype((2, 3, 3, 4), np.float32))
    np.testing.assert_array_equal(norm(np.full((2, 3, 3, 4), 1000.1, np.float32)), 0)


def test_group_norm_equals_numpy_and_forgets_the_batch():
    x = numbers(3, 4, 5, 12) * 3 + 1
    norm = layers.GroupNorm(groups=4)
    norm.init(signature(x))
    expected = norm_by_numpy(x.reshape(3, 4, 5, 4, 3), (1, 2, 4)).reshape(x.shape)
    np.testing.assert_allclose(norm(x), expected, atol=1e-5)
    np.testing.assert_allclose(norm(x[:1]), expected[:1], atol=1e-5)


def test_group_norm_takes_the_nearest_number_of_groups_that_divides():
    x = numbers(2, 3, 3, 10)
    norm = layers.GroupNorm(groups=8)  # of 10 channels: 5 groups of 2
    norm.init(signature(x))
    expected = norm_by_numpy(x.reshape(2, 3, 3, 5, 2), (1, 2, 4)).reshape(x.shape)
    np.testing.assert_allclose(norm(x), expected, atol=1e-5)


@pytest.mark.parametrize("norm", layers.NORMS)
def test_every_norm_comes_with_its_activation(norm):
    make_norm, make_activation = layers.norm_and_activation(norm, 0.9, "train")
    model = tl.Serial(layers.Conv(8, 3), make_norm(), make_activation())
    x = numbers(2, 6, 6, 3)
    model.init(signature(x))
    found = np.asarray(model(x))
    assert found.shape == (2, 6, 6, 8) and np.isfinite(found).all() and found.min() >= 0


def test_an_unknown_norm_is_refused():
    with pytest.raises(ValueError, match="batch, group, frn, none; found 'layer'"):
        layers.norm_and_activation("layer", 0.9, "train")


def test_unit_length_is_unit_length_and_finite_at_zero():
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


def test_augmentation_makes_the_views_asked_for_and_is_still_in_evaluation():
    faces = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
    augment = layers.Augment(views=2)
    augment.init(signature(faces))
    found = np.asarray(augment(faces, rng=jax.random.PRNGKey(1)))
    assert found.shape == (6, 16, 16, 3)
    assert np.abs(found[:3] - found[3:]).max() > 1  # two views, not one twice
    np.testing.assert_allclose(found[:3].mean((1, 2, 3)), faces.mean((1, 2, 3)), rtol=0.2)
    other = np.asarray(augment(faces, rng=jax.random.PRNGKey(2)))
    assert np.abs(found - other).max() > 1
    still = layers.Augment(views=2, mode="eval")
    np.testing.assert_array_equal(still(faces), faces)


def test_augmentation_takes_its_ranges():
    faces = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
    augment = layers.Augment(crop=0, flip=1.0, brightness=0, contrast=0)
    np.testing.assert_array_equal(augment(faces), faces[:, :, ::-1])
