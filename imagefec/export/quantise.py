"""Writes an ONNX file whose convolutions compute in 8-bit integers, and measures what it costs."""

import logging
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from imagefec import files
from imagefec.errors import UserError
from imagefec.export import onnx
from imagefec.model.network import Network

if TYPE_CHECKING:
    from imagefec.data.store.datasets import Triplets

CALIBRATION_FACES = 128
_BATCH = 64
# The head stays in float32: its share of the time is small, that of the error would not be.
_OPERATIONS = ["Conv", "Add", "MaxPool", "GlobalAveragePool"]


def write_int8(
    network: Network, path: str | os.PathLike[str], record: Mapping[str, Any], faces: np.ndarray
) -> None:
    """Writes an ONNX file with 8-bit weights, one scale a filter, and 8-bit maps.

    Args:
      network: folded.
      path: file to write, atomically.
      record: as for `onnx.write_onnx`.
      faces: uint8 [n, side, side, 3] RGB, typical of what the file will see and not of the split
        that it is measured on; they give the range of each map.

    Raises:
      UserError: as `onnx.write_onnx`.
      OSError: the file cannot be written.
    """
    onnx.open_package("onnx"), onnx.open_package("onnxruntime")
    from onnxruntime import quantization

    class Reader(quantization.CalibrationDataReader):
        """Hands out the faces one by one."""

        def __init__(self) -> None:
            self._faces: Iterator[np.ndarray] = iter(faces)

        def get_next(self) -> dict[str, np.ndarray] | None:
            face = next(self._faces, None)
            return None if face is None else {onnx.INPUT: face[None]}

    with tempfile.TemporaryDirectory() as folder:
        plain, small = Path(folder, "plain.onnx"), Path(folder, "int8.onnx")
        onnx.write_onnx(network, plain, record)
        logging.disable(logging.WARNING)  # it recommends a step for models with other operations
        try:
            quantization.quantize_static(
                str(plain),
                str(small),
                Reader(),
                quant_format=quantization.QuantFormat.QDQ,
                op_types_to_quantize=_OPERATIONS,
                per_channel=True,
            )
        finally:
            logging.disable(logging.NOTSET)
        files.write_bytes(path, onnx.with_record(small, record))


def measured(
    before: np.ndarray, engine: Any, data: "Triplets", name: str
) -> tuple[np.ndarray, dict[str, Any]]:
    """Compares the TPA of a run and of a file of lower precision on the same triplets.

    Args:
      before: float32 [n, d], the run's embeddings of data.faces.
      engine: runs the file: faces uint8 [k, side, side, 3] -> float32 [k, d].
      data: the triplets.
      name: of the split, for the record.

    Returns:
      (the file's embeddings, {"split", "n_triplets", "tpa_before", "tpa_after",
      "mean_distance"}), the last one between the two embeddings of a face.
    """
    after = np.concatenate(
        [
            engine(np.stack([data.faces[i] for i in range(at, min(at + _BATCH, len(data.faces)))]))
            for at in range(0, len(data.faces), _BATCH)
        ]
    )
    return after, {
        "split": name,
        "n_triplets": len(data),
        "tpa_before": tpa(before, data),
        "tpa_after": tpa(after, data),
        "mean_distance": float(np.linalg.norm(before - after, axis=1).mean()),
    }


def tpa(vectors: np.ndarray, data: "Triplets") -> float:
    """Share of the triplets whose odd face the embeddings find."""
    from imagefec.maths import metrics

    distances = metrics.triplet_distances(vectors[data.triplets])
    return float(np.mean(np.asarray(metrics.correct_triplets(*distances))))


def check_precision(precision: str, form: str, data_dir: Any) -> None:
    """Refuses a precision that the format does not have, or that nothing would measure.

    Raises:
      UserError: see above.
    """
    if precision == "float32":
        return
    if precision != "int8" or form != "onnx":
        raise UserError(
            f"--format={form} --precision={precision} is not available: --format=onnx has float32 "
            "and int8, the other formats float32. To compute in bfloat16, run the float32 file of "
            "--format=onnx with OpenVINO, whose default that is on CPUs that have it."
        )
    if data_dir is None:
        raise UserError(
            "--precision=int8 needs --data_dir: the triplets of a split show what it costs, and "
            "faces of the training split give the ranges of the integers."
        )
