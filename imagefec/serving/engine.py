"""Engines: from faces to embeddings, without JAX, Trax or TensorFlow. ONNX Runtime is the one."""

import hashlib
import os
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from imagefec.cpu import cpu_count
from imagefec.errors import UserError
from imagefec.export import onnx

MAX_THREADS = 4  # more gain little for one face, and other programs need cores too
_LENGTH_TOLERANCE = 1e-3


class Engine(Protocol):
    """Embeds faces; only one thread at a time may use it.

    Attributes:
      name: of the model, for people.
      digest: changes when the same face may give another embedding, hexadecimal.
      image_size: side in pixels at which the network sees faces.
      d_embedding: length of an embedding.
    """

    name: str
    digest: str
    image_size: int
    d_embedding: int

    def embed(self, faces: np.ndarray) -> np.ndarray:
        """Embeds faces.

        Args:
          faces: uint8 [n, image_size, image_size, 3] RGB, n ≥ 1.

        Returns:
          float32 [n, d_embedding] of unit length.
        """
        ...


class OnnxEngine:
    """Runs a file of `imagefec export --format onnx` with ONNX Runtime, float32 on the CPU.

    Attributes:
      record: what the file says of its run; see export/record.py.
    """

    def __init__(
        self, path: str | os.PathLike[str], name: str = "", threads: int | None = None
    ) -> None:
        """Loads a model and embeds one face with it.

        Args:
          path: the file.
          name: of the model, for people; "" for the file's.
          threads: for one face; None for as many as there are cores, at most MAX_THREADS.

        Raises:
          UserError: it is missing, no ONNX model, one that `imagefec export` did not write, or
            its vectors are not of unit length.
        """
        path = Path(path)
        self.name = name or path.name
        file_digest = _digest(path)
        threads = min(cpu_count(), MAX_THREADS) if threads is None else threads
        self._session = onnx.open_session(path, threads)
        self.record = onnx.record_of(self._session.get_modelmeta().custom_metadata_map, path)
        weights = self.record.get("weights_sha256")  # stays the same if a run is exported again
        self.digest = weights if isinstance(weights, str) else file_digest
        self.image_size, self.d_embedding = _sizes(path, self._session)
        noise = np.random.default_rng(0).integers(0, 256, (1, self.image_size, self.image_size, 3))
        self._check(path, noise.astype(np.uint8))

    def embed(self, faces: np.ndarray) -> np.ndarray:
        """As `Engine.embed`."""
        return onnx.embed(self._session, faces)

    def _check(self, path: Path, faces: np.ndarray) -> None:
        try:
            vectors = self.embed(faces)
        except Exception as error:  # ONNX Runtime's errors have no common class
            raise UserError(
                f"{path}: cannot be run ({_first_line(error)}). Export the run again."
            ) from None
        lengths = np.linalg.norm(np.asarray(vectors, np.float64), axis=-1)
        is_wrong = vectors.shape != (len(faces), self.d_embedding)
        if is_wrong or not (np.abs(lengths - 1) <= _LENGTH_TOLERANCE).all():  # refuses NaN too
            raise UserError(
                f"{path}: its vectors have shape {list(vectors.shape)} and length "
                f"{np.ravel(lengths)[:1]}; allowed is length 1. The weights have diverged, or this "
                "is another kind of model. Give another run."
            )


def _sizes(path: Path, session: Any) -> tuple[int, int]:
    """Image size and embedding length of a model."""
    inputs, outputs = session.get_inputs(), session.get_outputs()
    shapes = [list(each.shape) for each in (*inputs, *outputs)]
    if (
        [each.name for each in inputs] == [onnx.INPUT]
        and [each.name for each in outputs] == [onnx.OUTPUT]
        and inputs[0].type == "tensor(uint8)"
        and outputs[0].type == "tensor(float)"
        and len(shapes[0]) == 4
        and len(shapes[1]) == 2
    ):
        (_, height, width, channels), (_, length) = shapes
        known = isinstance(height, int) and isinstance(length, int)
        if known and height == width and channels == 3 and height > 0 and length > 0:
            return height, length
    kinds = [each.type for each in (*inputs, *outputs)]
    raise UserError(
        f"{path}: its inputs and outputs are {kinds} of shapes {shapes}; an expression embedding "
        "takes uint8 [n, size, size, 3] and gives float [n, d]. Give a file of `imagefec export "
        "--format onnx`."
    )


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}). Give a model file.") from None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
