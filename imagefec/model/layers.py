"""The small Trax layers that ImageFEC is made of: scaling, convolution, norms, unit length, augmentation.

No network (resnet.py) and no loss.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from imagefec.compat import tl
from imagefec.maths import augment
from imagefec.model.batch_norm import batch_norm, mean_and_variance

LOWERINGS = ("auto", "lax", "matmul")
NORMS = ("batch", "group", "frn", "none")
PADDINGS = ("same", "symmetric")
SCALINGS = {  # name -> (subtracted, divided by), of values 0..255
    "unit": (127.5, 127.5),
    "imagenet": (
        np.array([123.675, 116.28, 103.53], np.float32),
        np.array([58.395, 57.12, 57.375], np.float32),
    ),
}


def Normalise(scaling: str = "unit") -> tl.Layer:
    """Turns faces of 0..255 (uint8 or float32) into float32.

    Args:
      scaling: "unit" gives -1..1; "imagenet" takes off ImageNet's mean of each channel and divides
        by its spread, as torchvision's weights want it.
    """
    subtracted, divisor = SCALINGS[scaling]
    return tl.Fn("Normalise", lambda faces: (faces.astype(jnp.float32) - subtracted) / divisor)


def L2Norm(epsilon: float = 1e-12) -> tl.Layer:
    """Scales vectors along the last axis to unit length; one shorter than sqrt(epsilon) stays shorter than 1.

    The gradient is finite everywhere, at the zero vector too. The result is float32 whatever the
    vectors are.
    """

    def unit_length(x: jnp.ndarray) -> jnp.ndarray:
        x = x.astype(jnp.float32)
        squared = jnp.sum(jnp.square(x), axis=-1, keepdims=True)
        return x * jax.lax.rsqrt(jnp.maximum(squared, epsilon))

    return tl.Fn("L2Norm", unit_length)


def Relu() -> tl.Layer:
    """max(0, x); Trax's own comes wrapped in a Serial, which lengthens every path of a network's weights."""
    return tl.Fn("Relu", lambda x: jax.nn.relu(x))


def GlobalMean() -> tl.Layer:
    """Mean over the map: [n, h, w, c] -> [n, c], whatever h and w are."""
    return tl.Fn("GlobalMean", lambda x: jnp.mean(x, axis=(1, 2)))


def MaxPool(padding: str = "same") -> tl.Layer:
    """Largest value under 3x3 windows of stride 2: [n, h, w, c] -> [n, ceil(h / 2), ceil(w / 2), c].

    Taken as maxima of shifted maps, rows first: the gradient of XLA's own window reduction took a
      tenth of
    ResNet-50's whole training step on a CPU, this one's a hundredth. Where values tie they share
    the gradient.
    """
    return tl.Fn("MaxPool", lambda x: max_pool(x, padding))


class Augment(tl.Layer):
    """Random crop, flip, brightness and contrast of faces on the device; in eval mode faces pass unchanged.

    uint8 [n, h, w, 3] -> float32 [views * n, h, w, 3] of 0..255: first all faces' first view, then
      all
    faces' second, and so on, each drawn anew. In eval mode there is one view whatever `views` says.
    """

    def __init__(
        self,
        crop: float = 0.15,
        flip: float = 0.5,
        brightness: float = 0.1,
        contrast: float = 0.1,
        views: int = 1,
        mode: str = "train",
    ):
        super().__init__()
        self._ranges = {"crop": crop, "flip": flip, "brightness": brightness, "contrast": contrast}
        self._views = views
        self._mode = mode

    def forward(self, faces: jnp.ndarray) -> jnp.ndarray:
        if self._mode != "train":
            return faces.astype(jnp.float32)
        faces = jnp.concatenate([faces] * self._views) if self._views > 1 else faces
        return augment.augment_faces(self.rng, faces, **self._ranges)


class Conv(tl.Conv):
    """Trax's convolution with the same weights, computed the way the device is quickest at.

    It computes in the kernel's precision: with a bfloat16 kernel what comes in is rounded to
      bfloat16.

    Args:
      filters: channels out.
      size: side of the square kernel.
      stride: step between kernel positions, both axes.
      gain: variance gain of the normal initialiser: He's 2 ahead of a ReLU, 1 where none follows.
      use_bias: leave it False where a norm follows.
      padding: "same" as TensorFlow and XLA have it, which at stride 2 begins at the first pixel of
        an even map; "symmetric" as PyTorch has it: half the kernel on every side.
      lowering: "lax" is XLA's convolution; "matmul" gathers the kernel's taps into one matrix
        product (for 1x1 kernels there is nothing to gather). "auto" takes lax on GPU and TPU, and
        on CPU matmul where it measured quicker forward and backward: 1x1 kernels (three times), 3x3
        ones that stride, and all that are larger than their map (over fifty times: XLA takes such a
        map for the kernel, and computes it value by value).
    """

    def __init__(
        self,
        filters: int,
        size: int,
        stride: int = 1,
        gain: float = 2.0,
        use_bias: bool = False,
        padding: str = "same",
        lowering: str = "auto",
    ):
        if padding not in PADDINGS:
            raise ValueError(f"padding must be one of {', '.join(PADDINGS)}; found {padding!r}")
        if lowering not in LOWERINGS:
            raise ValueError(f"lowering must be one of {', '.join(LOWERINGS)}; found {lowering!r}")
        half = (size // 2, (size - 1) // 2)
        super().__init__(
            filters,
            (size, size),
            (stride, stride),
            padding="SAME" if padding == "same" else (half, half),
            kernel_initializer=fan_in_normal(gain),
            bias_initializer=_zeros,
            use_bias=use_bias,
        )
        self._size, self._stride, self._pads, self._lowering = size, stride, padding, lowering

    def forward(self, x: jnp.ndarray) -> jnp.ndarray:
        kernel, bias = self.weights if self._use_bias else (self.weights, None)
        x = x.astype(kernel.dtype)
        if not self._by_matmul(min(x.shape[1:3])):
            return super().forward(x)
        y = conv_by_matmul(x, kernel, self._stride, self._pads)
        return y if bias is None else y + bias

    def _by_matmul(self, side: int) -> bool:
        if self._lowering != "auto":
            return self._lowering == "matmul"
        quicker = self._size == 1 or (self._size == 3 and self._stride > 1) or side < self._size
        return quicker and jax.default_backend() == "cpu"


def conv_by_matmul(
    x: jnp.ndarray, kernel: jnp.ndarray, stride: int, padding: str = "same"
) -> jnp.ndarray:
    """Convolution as one matrix product over the gathered taps of the kernel.

    Args:
      x: float32 [n, h, w, c_in].
      kernel: float32 [k, k, c_in, c_out].
      stride: both axes.
      padding: "same" or "symmetric", as Conv has them.

    Returns:
      float32 [n, ceil(h / stride), ceil(w / stride), c_out] (of an odd kernel), what
      jax.lax.conv_general_dilated gives.
    """
    size, (n, height, width, c_in) = kernel.shape[0], x.shape
    out_h, pad_h = _padding(height, size, stride, padding)
    out_w, pad_w = _padding(width, size, stride, padding)
    x = jnp.pad(x, ((0, 0), pad_h, pad_w, (0, 0)))
    span_h, span_w = (out_h - 1) * stride + 1, (out_w - 1) * stride + 1
    taps = [
        x[:, dy : dy + span_h : stride, dx : dx + span_w : stride]
        for dy in range(size)
        for dx in range(size)
    ]
    gathered = taps[0] if len(taps) == 1 else jnp.concatenate(taps, axis=-1)
    y = gathered.reshape(-1, size * size * c_in) @ kernel.reshape(size * size * c_in, -1)
    return y.reshape(n, out_h, out_w, -1)


def max_pool(x: jnp.ndarray, padding: str = "same") -> jnp.ndarray:
    """Maximum of each 3x3 window at stride 2, padded as Conv has it: [n, h, w, c] -> [n, ceil(h / 2), ceil(w / 2), c]."""
    for axis in (1, 2):
        widths = [(0, 0)] * x.ndim
        out, widths[axis] = _padding(x.shape[axis], 3, 2, padding)
        padded = jnp.pad(x, widths, constant_values=-jnp.inf)
        taps = [jax.lax.slice_in_dim(padded, k, k + 2 * out - 1, 2, axis) for k in range(3)]
        x = jnp.maximum(jnp.maximum(taps[0], taps[1]), taps[2])
    return x


class BatchNorm(tl.Layer):
    """Batch normalisation over all axes but the last, with a variance that cannot go negative.

    Trax's own takes the variance as E[x^2] - E[x]^2, which float32 turns into noise, even below
    zero, where the mean is large against the spread. In eval mode the running statistics are used
    and nothing changes. Of bfloat16 values the statistics are taken in float32, and the result is
    bfloat16 again.

    Args:
      momentum: share of the running statistics that a batch leaves standing, in [0, 1).
      epsilon: added to the variance.
      mode: "train" uses and gathers the batch's statistics; any other uses the running ones.
      scale: every channel's learned scale at the start.
    """

    def __init__(
        self, momentum: float = 0.9, epsilon: float = 1e-5, mode: str = "train", scale: float = 1.0
    ):
        super().__init__()
        self._momentum, self._epsilon, self._mode, self._scale = momentum, epsilon, mode, scale

    def init_weights_and_state(self, input_signature: Any) -> None:
        channels = input_signature.shape[-1:]
        self.weights = (
            jnp.full(channels, self._scale, jnp.float32),
            jnp.zeros(channels, jnp.float32),
        )
        self.state = (jnp.zeros(channels, jnp.float32), jnp.ones(channels, jnp.float32))

    def forward(self, x: jnp.ndarray) -> jnp.ndarray:
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

    def _by_batch(self, x: jnp.ndarray, scale: jnp.ndarray, offset: jnp.ndarray) -> tuple:
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
    """Normalises each image over groups of channels, so neither batch size nor mode matters.

    Args:
      groups: number of groups; where it does not divide the channels, the largest divisor below it
        is taken.
      epsilon: added to the variance.

    Source: Wu & He 2018, arXiv:1803.08494.
    """

    def __init__(self, groups: int = 8, epsilon: float = 1e-5):
        super().__init__()
        self._groups, self._epsilon = groups, epsilon

    def init_weights_and_state(self, input_signature: Any) -> None:
        channels = input_signature.shape[-1:]
        self.weights = (jnp.ones(channels, jnp.float32), jnp.zeros(channels, jnp.float32))

    def forward(self, x: jnp.ndarray) -> jnp.ndarray:
        scale, offset = (weight.astype(jnp.float32) for weight in self.weights)
        dtype, x = x.dtype, x.astype(jnp.float32)
        channels = x.shape[-1]
        groups = max(g for g in range(1, min(self._groups, channels) + 1) if channels % g == 0)
        grouped = x.reshape(x.shape[0], -1, groups, channels // groups)
        mean = jnp.mean(grouped, axis=(1, 3), keepdims=True)
        variance = jnp.mean(jnp.square(grouped - mean), axis=(1, 3), keepdims=True)
        normed = (grouped - mean) * jax.lax.rsqrt(variance + self._epsilon)
        return (normed.reshape(x.shape) * scale + offset).astype(dtype)


def norm_and_activation(
    norm: str, momentum: float, mode: str
) -> tuple[Callable[[], list], Callable[[], list]]:
    """Makers of the norm layer and of the activation that belongs to it.

    Args:
      norm: "batch", "group", "frn" (filter response norm, whose activation is a thresholded linear
        unit instead of a ReLU, arXiv:1911.09737) or "none".
      momentum: of the batch norm.
      mode: "train" or "eval".

    Returns:
      (make_norm, make_activation), each giving a fresh list of layers; a batch norm's maker takes
      its first scale.

    Raises:
      ValueError: the norm is unknown.
    """
    if norm not in NORMS:
        raise ValueError(f"norm must be one of {', '.join(NORMS)}; found {norm!r}")
    makers = {
        "batch": lambda scale=1.0: [BatchNorm(momentum, mode=mode, scale=scale)],
        "group": lambda: [GroupNorm()],
        "frn": lambda: [tl.FilterResponseNorm()],
        "none": list,
    }
    activation = tl.ThresholdedLinearUnit if norm == "frn" else Relu
    return makers[norm], lambda: [activation()]


def fan_in_normal(gain: float) -> Callable[[tuple[int, ...], jax.Array], jnp.ndarray]:
    """Normal initialiser of variance gain / fan-in for kernels [..., c_in, c_out].

    Trax's own Kaiming initialiser leaves the kernel's area out of the fan-in: 9 times the variance
      at 3x3.
    """

    def init(shape: tuple[int, ...], key: jax.Array) -> jnp.ndarray:
        shape = tuple(int(side) for side in shape)
        if isinstance(key, jax.core.Tracer):  # Trax asks for the shape alone
            return jnp.zeros(shape, jnp.float32)
        # NumPy draws the same on every device, and XLA would compile a program of its own for every
        # shape.
        drawn = np.random.default_rng(np.asarray(key)).standard_normal(shape, np.float32)
        return jnp.asarray(drawn * np.float32((gain / np.prod(shape[:-1])) ** 0.5))

    return init


def _zeros(shape: tuple[int, ...], key: jax.Array) -> jnp.ndarray:
    del key
    return jnp.zeros(shape, jnp.float32)


def _padding(size_px: int, kernel: int, stride: int, kind: str) -> tuple[int, tuple[int, int]]:
    """Length of the output and (before, after) padding along one axis."""
    if kind == "symmetric":
        return (size_px + kernel - 1 - kernel) // stride + 1, (kernel // 2, (kernel - 1) // 2)
    out = -(-size_px // stride)
    total = max((out - 1) * stride + kernel - size_px, 0)
    return out, (total // 2, total - total // 2)
