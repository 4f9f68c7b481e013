"""Batch normalisation's arithmetic with a backward pass of its own; the layer around it is in layers.py."""

import functools

import jax
import jax.numpy as jnp

_STEADY = 100.0  # E[x^2] up to so many times the variance loses no more than two digits of it


def mean_and_variance(x: jnp.ndarray) -> tuple[jnp.ndarray, jnp.ndarray]:
    """Mean and variance over all axes but the last, in one pass over x.

    Both are taken about one of the values themselves, so that nothing large cancels as in E[x^2] -
    E[x]^2.
    """
    axes = tuple(range(x.ndim - 1))
    near = jax.lax.stop_gradient(x[(0,) * len(axes)])
    offset = jnp.mean(x - near, axis=axes)
    square = jnp.mean(jnp.square(x - near), axis=axes)
    return near + offset, jnp.maximum(square - jnp.square(offset), 0.0)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def batch_norm(
    x: jnp.ndarray, scale: jnp.ndarray, offset: jnp.ndarray, epsilon: float
) -> tuple[jnp.ndarray, jnp.ndarray, jnp.ndarray]:
    """Normalises over all axes but the last, reading x and its gradient as seldom as XLA on a CPU can.

    There a reduction over plain arrays is one pass, while one over x - mean first writes the
    difference down. So the sums are those of x, x^2 and gradient x, and only where these would
    cancel (a mean that dwarfs the spread) those of the differences. On GPU and TPU, where XLA fuses
    the difference and a branch waits for the host, write it plainly instead.

    Args:
      x: float32 [..., channels].
      scale: float32 [channels].
      offset: float32 [channels].
      epsilon: added to the variance.

    Returns:
      (normalised x, mean, variance); no gradient flows through the last two.
    """
    return _forward(x, scale, offset, epsilon)[0]


def _forward(x: jnp.ndarray, scale: jnp.ndarray, offset: jnp.ndarray, epsilon: float) -> tuple:
    axes = tuple(range(x.ndim - 1))
    mean, square = jnp.mean(x, axis=axes), jnp.mean(x * x, axis=axes)
    plain = square - mean * mean
    steady = jnp.all(square <= _STEADY * plain)
    mean, variance = jax.lax.cond(steady, lambda x: (mean, plain), mean_and_variance, x)
    slope = scale * jax.lax.rsqrt(variance + epsilon)
    return ((x - mean) * slope + offset, mean, variance), (x, scale, mean, variance, steady)


def _backward(epsilon: float, kept: tuple, gradients: tuple) -> tuple:
    x, scale, mean, variance, steady = kept
    gradient, axes, n = gradients[0], tuple(range(x.ndim - 1)), x.size // x.shape[-1]
    total = jnp.sum(gradient, axis=axes)
    along = jax.lax.cond(
        steady,
        lambda gradient, x: jnp.sum(gradient * x, axis=axes) - mean * total,
        lambda gradient, x: jnp.sum(gradient * (x - mean), axis=axes),
        gradient,
        x,
    )
    inverse = jax.lax.rsqrt(variance + epsilon)
    slope = scale * inverse
    of_x = slope * gradient - (
        (x - mean) * (slope * inverse * inverse * along / n) + slope * total / n
    )
    return of_x, inverse * along, total


batch_norm.defvjp(_forward, _backward)
