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
from imagefec.model.forward import compute
from imagefec.model.network import Network

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
    exported = export.export(
        jax.jit(lambda faces: compute(network, faces, lowering="lax")), platforms=PLATFORMS
    )(jax.ShapeDtypeStruct(shape, jnp.uint8))
    files.write_bytes(path, bytes(exported.serialize()))
    files.write_text(record_path(path), json.dumps(record, indent=1) + "\n")


def record_path(path: str | os.PathLike[str]) -> Path:
    """The file of the record of a StableHLO file."""
    return Path(f"{os.fspath(path)}.json")


def open_stablehlo(path: str | os.PathLike[str]) -> Callable[[np.ndarray], np.ndarray]:
    """Loads a file of `write_stablehlo`: faces uint8 [n, side, side, 3] -> float32 [n, d]."""
    exported = export.deserialize(bytearray(Path(path).read_bytes()))
    return lambda faces: np.asarray(exported.call(faces))
