"""Computes the network of a run with JAX alone: importing Trax takes most of a short command."""

import re
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from imagefec.maths.convolution import conv_by_matmul, matmul_is_faster, max_pool
from imagefec.model.network import Network, operations
from imagefec.model.network.graph import network_of
from imagefec.model.network.load import architecture_of, stored_arrays
from imagefec.model.run import Run


class RunNetwork:
    """The network of a run, with the three members of a Trax layer that the Embedder uses.

    Attributes:
      weights: float32 arrays, in the order of the leaves of the Trax layer's weights and state.
      state: empty, as nothing changes in eval mode.
      meta: what the checkpoint says about itself.
    """

    def __init__(self, run: Run) -> None:
        """Reads the checkpoint.

        Raises:
          UserError: as `network.load_network`.
        """
        self._graph = network_of(architecture_of(run), run.image_size)
        stored = stored_arrays(self._graph)
        arrays, self.meta = run.load_checkpoint(stored)
        self._names = sorted(stored, key=_layer_order)
        self.weights = tuple(arrays[name].astype(np.float32, copy=False) for name in self._names)
        self.state: tuple[()] = ()

    def pure_fn(self, faces: Any, weights: Any, state: Any, key: Any) -> tuple[jnp.ndarray, Any]:
        """Embeds faces, uint8 [n, side, side, 3]; returns (float32 [n, d], state)."""
        del key
        return compute(self._graph, faces, dict(zip(self._names, weights))), state


def compute(
    network: Network,
    faces: Any,
    arrays: Mapping[str, Any] | None = None,
    lowering: str = "auto",
) -> jnp.ndarray:
    """Computes a network with JAX.

    Args:
      network: with arrays, or with the names of `arrays` in their place.
      faces: uint8 [n, side, side, 3] RGB.
      arrays: name -> float32 array.
      lowering: of convolutions and pooling: "auto" is the fastest form on this device; "lax" is
        XLA's on every device.

    Returns:
      float32 [n, d], unit length.
    """
    values = [faces]
    for step in network.steps:
        filled = _Filled(step.operation, arrays or {})
        values.append(_compute(step, filled, [values[value] for value in step.inputs], lowering))
    return values[-1]


class _Filled:
    """The attributes of an operation, with arrays in the place of their names."""

    def __init__(self, operation: operations.Operation, arrays: Mapping[str, Any]) -> None:
        self._operation, self._arrays = operation, arrays

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._operation, name)
        if isinstance(value, operations.Stored):
            return self._arrays[value.name]
        return jnp.asarray(value) if isinstance(value, np.ndarray) else value


def _compute(step: operations.Step, given: _Filled, taken: list[Any], lowering: str) -> Any:
    ops, x = operations, taken[0]
    match step.operation:
        case ops.Scale():
            return (x.astype(jnp.float32) - given.subtracted) / given.divisor
        case ops.Convolution():
            return _convolve(x, given, lowering)
        case ops.BatchNorm() | ops.GroupNorm() | ops.ResponseNorm():
            return _normalise(step, given, x)
        case ops.Relu():
            return jnp.maximum(x, 0)
        case ops.Threshold():
            return jnp.maximum(x, given.threshold)
        case ops.MaxPool(pads=pads):
            if lowering == "auto":
                return max_pool(x, pads)
            window, strides = (1, 3, 3, 1), (1, 2, 2, 1)
            padding = ((0, 0), pads, pads, (0, 0))
            return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, window, strides, padding)
        case ops.Add():
            return taken[0] + taken[1]
        case ops.GlobalMean():
            return jnp.mean(x, (1, 2))
        case ops.Flatten():
            return x.reshape(-1, *step.shape)
        case ops.Dense():
            return x @ given.kernel + given.bias
        case ops.UnitLength(epsilon=epsilon):
            square = jnp.sum(jnp.square(x), -1, keepdims=True)
            return x * jax.lax.rsqrt(jnp.maximum(square, epsilon))
    raise ValueError(f"no JAX form of {type(step.operation).__name__}")


def _convolve(x: Any, given: _Filled, lowering: str) -> Any:
    kernel, bias, stride, pads = given.kernel, given.bias, given.stride, given.pads
    if lowering == "auto" and matmul_is_faster(kernel.shape[0], stride, min(x.shape[1:3])):
        y = conv_by_matmul(x, kernel, stride, pads)
    else:
        y = jax.lax.conv_general_dilated(
            x,
            kernel,
            (stride, stride),
            (pads, pads),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
    return y if bias is None else y + bias


def _normalise(step: operations.Step, given: _Filled, x: Any) -> Any:
    ops = operations
    match step.operation:
        case ops.BatchNorm(epsilon=epsilon):
            slope = given.scale * jax.lax.rsqrt(given.variance + epsilon)
            return (x - given.mean) * slope + given.offset
        case ops.GroupNorm(groups=groups, epsilon=epsilon):
            side, _, channels = step.shape
            parts = x.reshape(-1, side * side, groups, channels // groups)
            mean = jnp.mean(parts, (1, 3), keepdims=True)
            variance = jnp.mean(jnp.square(parts - mean), (1, 3), keepdims=True)
            parts = (parts - mean) * jax.lax.rsqrt(variance + epsilon)
            return parts.reshape(-1, *step.shape) * given.scale + given.offset
    square = jnp.mean(jnp.square(x), (1, 2), keepdims=True)
    return x * jax.lax.rsqrt(square + given.epsilon) * given.scale + given.offset


def _layer_order(name: str) -> list[tuple[str, int]]:
    """Sorts "state/…" behind "weights/…", and layers by their numbers instead of their text."""
    kind, *parts = name.split("/")
    numbers = [int(re.match(r"\d+", part).group()) for part in parts]  # type: ignore[union-attr]
    return [("state" if kind == "state" else "", -1), *(("", n) for n in numbers)]
