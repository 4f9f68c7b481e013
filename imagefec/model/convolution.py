"""Trax layers of convolution and max pooling; their arithmetic is in maths/convolution.py."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from imagefec.compat import tl
from imagefec.maths.convolution import conv_by_matmul, matmul_is_faster, max_pool
from imagefec.model.network.architecture import PADDINGS

__all__ = ["LOWERINGS", "Conv", "MaxPool", "conv_by_matmul", "fan_in_normal", "max_pool"]

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
        return matmul_is_faster(self._size, self._stride, side)


def MaxPool(padding: str = "same") -> tl.Layer:
    """Maximum of 3x3 windows at stride 2: [n, h, w, c] -> [n, ceil(h / 2), ceil(w / 2), c].

    Args:
      padding: "same" or "symmetric", as for Conv.
    """
    return tl.Fn("MaxPool", lambda x: max_pool(x, padding))


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
