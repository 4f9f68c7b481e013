"""Normalisation layers, and a backward pass of batch norm that is fast on a CPU."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from imagefec.compat import tl
from imagefec.model.layers import Relu
from imagefec.model.network.architecture import NORMS

# Up to this ratio of E[x^2] to the variance, E[x^2] - E[x]^2 loses at most two decimal digits.
_MAX_SQUARE_TO_VARIANCE = 100.0


def norm_and_activation(
    norm: str, momentum: float, mode: str
) -> tuple[Callable[..., list], Callable[[], list]]:
    """Makers of a norm layer and of the activation that belongs to it.

    Args:
      norm: "batch", "group", "frn" (filter response norm, whose activation is a thresholded linear
        unit instead of a ReLU, arXiv:1911.09737) or "none".
      momentum: batch norm's, see BatchNorm.
      mode: "train" or "eval".

    Returns:
      (make_norm, make_activation); each returns a new list of layers. Batch norm's maker accepts
      `scale`, the initial scale.

    Raises:
      ValueError: the norm is unknown.
    """
    if norm not in NORMS:
        raise ValueError(f"norm must be one of {', '.join(NORMS)}; found {norm!r}")
    makers: dict[str, Callable[..., list]] = {
        "batch": lambda scale=1.0: [BatchNorm(momentum, mode=mode, scale=scale)],
        "group": lambda: [GroupNorm()],
        "frn": lambda: [tl.FilterResponseNorm()],
        "none": list,
    }
    activation = tl.ThresholdedLinearUnit if norm == "frn" else Relu
    return makers[norm], lambda: [activation()]


class BatchNorm(tl.Layer):
    """Batch normalisation over all axes but the last, with a variance that cannot be negative.

    Trax's layer computes the variance as E[x^2] - E[x]^2. In float32 that is rounding noise, even
    below zero, where the mean is large compared with the spread. In eval mode the running
    statistics are used and stay unchanged. Statistics of bfloat16 values are float32; the result is
    bfloat16.

    Args:
      momentum: weight of the old running statistics in an update, in [0, 1).
      epsilon: added to the variance.
      mode: "train" uses and accumulates the batch's statistics; any other mode uses the running
        ones.
      scale: initial scale of every channel.
    """

    def __init__(
        self, momentum: float = 0.9, epsilon: float = 1e-5, mode: str = "train", scale: float = 1.0
    ) -> None:
        super().__init__()
        self._momentum, self._epsilon, self._mode, self._scale = momentum, epsilon, mode, scale

    def init_weights_and_state(self, input_signature: Any) -> None:
        """Weights are (scale, offset), the state is (running mean, running variance)."""
        channels = input_signature.shape[-1:]
        self.weights = (
            jnp.full(channels, self._scale, jnp.float32),
            jnp.zeros(channels, jnp.float32),
        )
        self.state = (jnp.zeros(channels, jnp.float32), jnp.ones(channels, jnp.float32))

    def forward(self, x: jnp.ndarray) -> jnp.ndarray:
        """Normalises x [..., channels]; the result has the dtype of x."""
        scale, offset = (weight.astype(jnp.float32) for weight in self.weights)
        mean, variance = self.state
        dtype, x = x.dtype, x.astype(jnp.float32)
        if self._mode == "train":
            y, batch_mean, batch_variance = self._by_batch(x, scale, offset)
            self.state = (
                self._smoothed(mean, batch_mean),
                self._smoothed(variance, batch_variance),
            )
            return y.astype(dtype)
        return self._scaled(x, mean, variance, scale, offset).astype(dtype)

    def _by_batch(
        self, x: jnp.ndarray, scale: jnp.ndarray, offset: jnp.ndarray
    ) -> tuple[jnp.ndarray, jnp.ndarray, jnp.ndarray]:
        if jax.default_backend() == "cpu":
            return batch_norm(x, scale, offset, self._epsilon)
        mean, variance = mean_and_variance(x)
        return self._scaled(x, mean, variance, scale, offset), mean, variance

    def _scaled(
        self,
        x: jnp.ndarray,
        mean: jnp.ndarray,
        variance: jnp.ndarray,
        scale: jnp.ndarray,
        offset: jnp.ndarray,
    ) -> jnp.ndarray:
        return (x - mean) * (scale * jax.lax.rsqrt(variance + self._epsilon)) + offset

    def _smoothed(self, old: jnp.ndarray, new: jnp.ndarray) -> jnp.ndarray:
        return self._momentum * old + (1 - self._momentum) * jax.lax.stop_gradient(new)


class GroupNorm(tl.Layer):
    """Normalises each image over groups of channels, independent of batch size and mode.

    Args:
      groups: number of groups; if it does not divide the channels, the largest smaller divisor.
      epsilon: added to the variance.

    Source: Wu & He 2018, arXiv:1803.08494.
    """

    def __init__(self, groups: int = 8, epsilon: float = 1e-5) -> None:
        super().__init__()
        self._groups, self._epsilon = groups, epsilon

    def init_weights_and_state(self, input_signature: Any) -> None:
        """Weights are (scale, offset); there is no state."""
        channels = input_signature.shape[-1:]
        self.weights = (jnp.ones(channels, jnp.float32), jnp.zeros(channels, jnp.float32))

    def forward(self, x: jnp.ndarray) -> jnp.ndarray:
        """Normalises x [n, ..., channels]; the result has the dtype of x."""
        scale, offset = (weight.astype(jnp.float32) for weight in self.weights)
        dtype, x = x.dtype, x.astype(jnp.float32)
        channels = x.shape[-1]
        groups = max(g for g in range(1, min(self._groups, channels) + 1) if channels % g == 0)
        grouped = x.reshape(x.shape[0], -1, groups, channels // groups)
        mean = jnp.mean(grouped, axis=(1, 3), keepdims=True)
        variance = jnp.mean(jnp.square(grouped - mean), axis=(1, 3), keepdims=True)
        normed = (grouped - mean) * jax.lax.rsqrt(variance + self._epsilon)
        return (normed.reshape(x.shape) * scale + offset).astype(dtype)


def mean_and_variance(x: jnp.ndarray) -> tuple[jnp.ndarray, jnp.ndarray]:
    """Mean and variance over all axes but the last, in one pass over x.

    Both are computed relative to one of the values, so that no large numbers cancel as in
    E[x^2] - E[x]^2.

    Args:
      x: float32 [..., channels].

    Returns:
      (mean, variance), float32 [channels] each; the variance is 0 or more.
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
    """Batch normalisation with as few passes over x and its gradient as XLA allows on a CPU.

    On a CPU XLA reduces a plain array in one pass, but writes x - mean to memory before reducing
    it. So this sums x, x^2 and gradient * x, and sums differences only where those sums would
    cancel (a mean much larger than the spread). On GPU and TPU XLA fuses the difference, and a
    branch waits for the host: use the plain formula there.

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
    precise = jnp.all(square <= _MAX_SQUARE_TO_VARIANCE * plain)
    mean, variance = jax.lax.cond(precise, lambda _: (mean, plain), mean_and_variance, x)
    slope = scale * jax.lax.rsqrt(variance + epsilon)
    return ((x - mean) * slope + offset, mean, variance), (x, scale, mean, variance, precise)


def _backward(epsilon: float, residuals: tuple, gradients: tuple) -> tuple:
    x, scale, mean, variance, precise = residuals
    gradient, axes, n = gradients[0], tuple(range(x.ndim - 1)), x.size // x.shape[-1]
    total = jnp.sum(gradient, axis=axes)
    along = jax.lax.cond(
        precise,
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
