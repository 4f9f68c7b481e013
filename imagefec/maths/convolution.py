"""Convolution and max pooling in the forms that XLA computes fastest on a CPU; no layers."""

import jax
import jax.numpy as jnp

Padding = str | tuple[int, int]  # "same", "symmetric", or zeros (before, after) on both axes


def matmul_is_faster(size: int, stride: int, side: int) -> bool:
    """Whether `conv_by_matmul` is faster than XLA's convolution on this device.

    Args:
      size: side of the kernel.
      stride: on both axes.
      side: the smaller side of the map.
    """
    faster = size == 1 or (size == 3 and stride > 1) or side < size
    return faster and jax.default_backend() == "cpu"


def conv_by_matmul(
    x: jnp.ndarray, kernel: jnp.ndarray, stride: int, padding: Padding = "same"
) -> jnp.ndarray:
    """Convolution as one matrix product over all taps of the kernel.

    Args:
      x: float32 [n, h, w, c_in].
      kernel: float32 [k, k, c_in, c_out].
      stride: on both axes.
      padding: "same" (XLA's), "symmetric" (PyTorch's), or zeros (before, after) on both axes.

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


def max_pool(x: jnp.ndarray, padding: Padding = "same") -> jnp.ndarray:
    """Maximum of each 3x3 window at stride 2, as maxima of shifted maps, rows first.

    On a CPU the gradient of XLA's window reduction took a tenth of ResNet-50's training step; this
    one takes a hundredth. Where values tie, they share the gradient.

    Args:
      x: float [n, h, w, c].
      padding: as for conv_by_matmul.

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


def _padding(size_px: int, kernel: int, stride: int, kind: Padding) -> tuple[int, tuple[int, int]]:
    """Length of the output and (before, after) padding along one axis."""
    if not isinstance(kind, str):
        return (size_px + sum(kind) - kernel) // stride + 1, kind
    if kind == "symmetric":
        return (size_px - 1) // stride + 1, (kernel // 2, (kernel - 1) // 2)
    out = -(-size_px // stride)
    total = max((out - 1) * stride + kernel - size_px, 0)
    return out, (total // 2, total - total // 2)
