"""Convolution and max pooling, in the form that is fastest on the device; no other layers."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from imagefec.compat import tl
from imagefec.model.network.architecture import PADDINGS

LOWERINGS = ("auto", "lax", "matmul")


class Conv(tl.Conv):
    """Trax's convolution with the same weights, computed in the form that is fastest on the device.

    It computes in the kernel's precision: with a bfloat16 kernel the input is rounded to bfloat16.

    Args:
      filters: output channels.
      size: side of the square kernel.
      stride: on both axes.
      gain: variance gain of the normal initialiser: 2 before a ReLU (He), else 1.
      use_bias: False where a norm follows.
      padding: "same" is TensorFlow's and XLA's, which at stride 2 starts at the first pixel of an
        even map; "symmetric" is PyTorch's, half the kernel on every side.
      lowering: "lax" is XLA's convolution; "matmul" gathers the kernel's taps into one matrix
        product (1x1 kernels need no gathering). "auto" is lax on GPU and TPU. On CPU it is matmul
        where measurements, forward and backward, were faster: 1x1 kernels (three times), 3x3
        kernels with a stride, and kernels larger than their map (over fifty times: XLA then uses
        the map as the kernel and computes value by value).

    Raises:
      ValueError: padding or lowering is unknown.
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
    ) -> None:
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

    @property
    def padding(self) -> str:
        """Where the input is padded: "same" or "symmetric"."""
        return self._pads

    def forward(self, x: jnp.ndarray) -> jnp.ndarray:
        """Convolves x, float [n, h, w, c_in]; the result has the kernel's dtype."""
        kernel, bias = self.weights if self._use_bias else (self.weights, None)
        x = x.astype(kernel.dtype)
        if not self._by_matmul(min(x.shape[1:3])):
            return super().forward(x)
        y = conv_by_matmul(x, kernel, self._stride, self._pads)
        return y if bias is None else y + bias

    def _by_matmul(self, side: int) -> bool:
        if self._lowering != "auto":
            return self._lowering == "matmul"
        faster = self._size == 1 or (self._size == 3 and self._stride > 1) or side < self._size
        return faster and jax.default_backend() == "cpu"


def conv_by_matmul(
    x: jnp.ndarray, kernel: jnp.ndarray, stride: int, padding: str = "same"
) -> jnp.ndarray:
    """Convolution as one matrix product over all taps of the kernel.

    Args:
      x: float32 [n, h, w, c_in].
      kernel: float32 [k, k, c_in, c_out].
      stride: on both axes.
      padding: "same" or "symmetric", as for Conv.

    Returns:
      float32 [n, ceil(h / stride), ceil(w / stride), c_out] (for odd k), as
      jax.lax.conv_general_dilated computes it.
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


def MaxPool(padding: str = "same") -> tl.Layer:
    """Maximum of 3x3 windows at stride 2: [n, h, w, c] -> [n, ceil(h / 2), ceil(w / 2), c].

    Args:
      padding: "same" or "symmetric", as for Conv.
    """
    return tl.Fn("MaxPool", lambda x: max_pool(x, padding))


def max_pool(x: jnp.ndarray, padding: str = "same") -> jnp.ndarray:
    """Maximum of each 3x3 window at stride 2, as maxima of shifted maps, rows first.

    On a CPU the gradient of XLA's window reduction took a tenth of ResNet-50's training step; this
    one takes a hundredth. Where values tie, they share the gradient.

    Args:
      x: float [n, h, w, c].
      padding: "same" or "symmetric", as for Conv.

    Returns:
      float [n, ceil(h / 2), ceil(w / 2), c].
    """
    for axis in (1, 2):
        widths = [(0, 0)] * x.ndim
        out, widths[axis] = _padding(x.shape[axis], 3, 2, padding)
        padded = jnp.pad(x, widths, constant_values=-jnp.inf)
        taps = [jax.lax.slice_in_dim(padded, k, k + 2 * out - 1, 2, axis) for k in range(3)]
        x = jnp.maximum(jnp.maximum(taps[0], taps[1]), taps[2])
    return x


def fan_in_normal(gain: float) -> Callable[[tuple[int, ...], jax.Array], jnp.ndarray]:
    """Normal initialiser of variance gain / fan-in for kernels [..., c_in, c_out].

    Trax's Kaiming initialiser omits the kernel's area from the fan-in, so its variance is 9 times
    too large at 3x3.

    Args:
      gain: 2 before a ReLU, else 1.

    Returns:
      (shape, key) -> float32 array of that shape.
    """

    def init(shape: tuple[int, ...], key: jax.Array) -> jnp.ndarray:
        shape = tuple(int(side) for side in shape)
        if isinstance(key, jax.core.Tracer):  # Trax requires only the shape
            return jnp.zeros(shape, jnp.float32)
        # NumPy samples the same values on every device, and XLA would compile one program per
        # shape.
        sampled = np.random.default_rng(np.asarray(key)).standard_normal(shape, np.float32)
        return jnp.asarray(sampled * np.float32((gain / np.prod(shape[:-1])) ** 0.5))

    return init


def _zeros(shape: tuple[int, ...], key: jax.Array) -> jnp.ndarray:
    del key
    return jnp.zeros(shape, jnp.float32)


def _padding(size_px: int, kernel: int, stride: int, kind: str) -> tuple[int, tuple[int, int]]:
    """Length of the output and (before, after) padding along one axis."""
    if kind == "symmetric":
        return (size_px - 1) // stride + 1, (kernel // 2, (kernel - 1) // 2)
    out = -(-size_px // stride)
    total = max((out - 1) * stride + kernel - size_px, 0)
    return out, (total // 2, total - total // 2)
