"""Writes a network with jax.export: StableHLO for CPU, GPU and TPU, for batches of any size.

JAX promises to read such a file for six months; an archive is for longer.
"""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

from imagefec import files
from imagefec.model.network import Network, operations

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")


def write_stablehlo(
    network: Network, path: str | os.PathLike[str], record: Mapping[str, Any]
) -> None:
    """Writes a function of faces, uint8 [n, side, side, 3] RGB -> float32 [n, d].

    Args:
      network: folded.
      path: file to write, atomically.
      record: JSON, written to the file PATH.json, as the format has no place for it.

    Raises:
      OSError: a file cannot be written.
    """
    side = network.image_size
    shape = export.symbolic_shape(f"n, {side}, {side}, 3")
    exported = export.export(jax.jit(lambda faces: compute(network, faces)), platforms=PLATFORMS)(
        jax.ShapeDtypeStruct(shape, jnp.uint8)
    )
    files.write_bytes(path, bytes(exported.serialize()))
    files.write_text(record_path(path), json.dumps(record, indent=1) + "\n")


def record_path(path: str | os.PathLike[str]) -> Path:
    """The file of the record of a StableHLO file."""
    return Path(f"{os.fspath(path)}.json")


def open_stablehlo(path: str | os.PathLike[str]) -> Callable[[np.ndarray], np.ndarray]:
    """Loads a file of `write_stablehlo`: faces uint8 [n, side, side, 3] -> float32 [n, d]."""
    exported = export.deserialize(bytearray(Path(path).read_bytes()))
    return lambda faces: np.asarray(exported.call(faces))


def compute(network: Network, faces: Any) -> jnp.ndarray:
    """Computes a network with JAX.

    Args:
      network: with arrays.
      faces: uint8 [n, side, side, 3] RGB.

    Returns:
      float32 [n, d], unit length.
    """
    values = [faces]
    for step in network.steps:
        values.append(_compute(step, [values[value] for value in step.inputs]))
    return values[-1]


def _compute(step: operations.Step, taken: list[Any]) -> Any:
    ops, operation, x = operations, step.operation, taken[0]
    match operation:
        case ops.Scale(subtracted=subtracted, divisor=divisor):
            return (x.astype(jnp.float32) - subtracted) / divisor
        case ops.Convolution(kernel=kernel, bias=bias, stride=stride, pads=pads):
            y = jax.lax.conv_general_dilated(
                x,
                jnp.asarray(kernel),
                (stride, stride),
                (pads, pads),
                dimension_numbers=("NHWC", "HWIO", "NHWC"),
            )
            return y if bias is None else y + jnp.asarray(bias)
        case ops.GroupNorm(groups=groups, epsilon=epsilon):
            side, _, channels = step.shape
            parts = x.reshape(-1, side * side, groups, channels // groups)
            mean = jnp.mean(parts, (1, 3), keepdims=True)
            variance = jnp.mean(jnp.square(parts - mean), (1, 3), keepdims=True)
            parts = (parts - mean) * jax.lax.rsqrt(variance + epsilon)
            return parts.reshape(-1, *step.shape) * operation.scale + operation.offset
        case ops.ResponseNorm(epsilon=epsilon):
            square = jnp.mean(jnp.square(x), (1, 2), keepdims=True)
            return x * jax.lax.rsqrt(square + epsilon) * operation.scale + operation.offset
        case ops.Relu():
            return jnp.maximum(x, 0)
        case ops.Threshold(threshold=threshold):
            return jnp.maximum(x, jnp.asarray(threshold))
        case ops.MaxPool(pads=pads):
            window, strides = (1, 3, 3, 1), (1, 2, 2, 1)
            padding = ((0, 0), pads, pads, (0, 0))
            return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, window, strides, padding)
        case ops.Add():
            return taken[0] + taken[1]
        case ops.GlobalMean():
            return jnp.mean(x, (1, 2))
        case ops.Flatten():
            return x.reshape(-1, *step.shape)
        case ops.Dense(kernel=kernel, bias=bias):
            return x @ kernel + bias
        case ops.UnitLength(epsilon=epsilon):
            square = jnp.sum(jnp.square(x), -1, keepdims=True)
            return x * jax.lax.rsqrt(jnp.maximum(square, epsilon))
    raise ValueError(f"no JAX form of {type(operation).__name__}")
