"""Exports a run: writes the file, runs it, compares it with the run, and records the result."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from imagefec import files
from imagefec.errors import UserError
from imagefec.export import check, onnx, quantise
from imagefec.export.record import record_of_run
from imagefec.model.network import Network, load_network
from imagefec.model.run import Run
from imagefec.paths import readable, user_path
from imagefec.progress import say

FORMATS = ("archive", "onnx", "savedmodel", "tflite", "stablehlo")
_LAST = "last"
Writer = Callable[[Path, dict[str, Any]], None]


class Format(NamedTuple):
    """How a format is written and run.

    Attributes:
      write: writes the file or folder, with a record in it.
      open: opens it for running.
    """

    write: Writer
    open: Callable[[Path], check.Engine]


def export_run(
    run_dir: str | os.PathLike[str],
    out: str | os.PathLike[str],
    form: str,
    data_dir: str | os.PathLike[str] | None = None,
    dataset: str | None = None,
    split: str | None = None,
    precision: str = "float32",
) -> dict[str, Any]:
    """Writes a run in a format, and compares the written file with the run.

    Args:
      run_dir: run directory or archive.
      out: file to write, replaced if it exists; for "savedmodel" a folder that must not exist.
      form: one of FORMATS.
      data_dir: where datasets are built: the comparison then uses faces of the run's dataset;
        None for synthetic faces.
      dataset: name in data_dir; None for the run's.
      split: None for the split that the run was evaluated on, or else "test".
      precision: "float32", or for "onnx" also "int8", whose TPA is measured on the split.

    Returns:
      {"path", "format", "precision", "check": see `check.compare`, or for int8
      `quantise.measured`, "bytes"}; JSON.

    Raises:
      UserError: the run, the dataset or a package is missing or damaged, or `out` is in use.
      RuntimeError: the file differs from the run; nothing is left at `out`.
      OSError: `out` cannot be written.
    """
    out = user_path(out, "--out")
    quantise.check_precision(precision, form, data_dir)
    run = Run.open(run_dir)
    _check_out(out, form)
    export = _Export(run, out, dataset or run.info.get("dataset") or "fec", data_dir, split)
    out.parent.mkdir(parents=True, exist_ok=True)
    # Beside the result, so that it can be renamed; a folder, as a SavedModel is one.
    with tempfile.TemporaryDirectory(
        prefix=f".{out.name}.", suffix=files.TEMPORARY_SUFFIX, dir=out.parent
    ) as folder:
        found = (
            export.int8(Path(folder)) if precision == "int8" else export.float32(Path(folder), form)
        )
        last = Path(folder, _LAST)
        n_bytes = sum(part.stat().st_size for part in (last, *last.rglob("*")) if part.is_file())
        # What belongs to the file, such as last.json, first.
        for part in sorted(Path(folder).glob(f"{_LAST}*"), reverse=True):
            part.replace(out.with_name(out.name + part.name.removeprefix(_LAST)))
    return {
        "path": readable(out),
        "format": form,
        "precision": precision,
        "check": found,
        "bytes": n_bytes,
    }


class _Export:
    """Writes FOLDER/last, after a first file without the result of the check."""

    def __init__(
        self,
        run: Run,
        out: Path,
        dataset: str,
        data_dir: str | os.PathLike[str] | None,
        split: str | None,
    ) -> None:
        self.run, self.out, self.dataset, self.data_dir = run, out, dataset, data_dir
        self.split = split or run.info.get("eval_split") or "test"
        self.record = record_of_run(run)

    def float32(self, folder: Path, form: str) -> dict[str, Any]:
        """Writes a file whose embeddings are the run's."""
        faces = self._faces()
        made, expected = _format(form, self.run), self._embeddings(faces.faces)
        first, last = folder / "first", folder / _LAST
        say("export", f"writing {form}, and comparing it with the run")
        made.write(first, self.record)
        found = check.compare(made.open(first), expected, faces, self.out)
        made.write(last, {**self.record, "check": found})
        check.compare(made.open(last), expected, faces, self.out)
        return found

    def int8(self, folder: Path) -> dict[str, Any]:
        """Writes an ONNX file in integers, and measures its TPA and the run's."""
        network, data = load_network(self.run), self._triplets(self.split)
        training = self._triplets(self.run.train_split)
        n = min(quantise.CALIBRATION_FACES, len(training.faces))
        calibration = np.stack([training.faces[i] for i in range(n)])
        before = self._embeddings(data.faces)
        first, last = folder / "first", folder / _LAST
        say("export", "writing onnx in integers, and measuring it")
        quantise.write_int8(network, first, self.record, calibration)
        after, found = quantise.measured(before, _opened_onnx(first), data, self._name())
        files.write_bytes(last, onnx.with_record(first, {**self.record, "check": found}))
        faces = check.faces_of_dataset(data, self._name())
        check.compare(_opened_onnx(last), after[: len(faces.faces)], faces, self.out)
        return found

    def _faces(self) -> check.Faces:
        if self.data_dir is None:
            return check.synthetic_faces(self.run)
        return check.faces_of_dataset(self._triplets(self.split), self._name())

    def _triplets(self, split: str) -> Any:
        from imagefec.data.store import datasets

        data_dir = self.data_dir or ""
        return datasets.load_triplets(data_dir, self.dataset, split, self.run.image_size)

    def _name(self) -> str:
        return f"{readable(self.dataset)}, split {readable(self.split)}"

    def _embeddings(self, faces: Any) -> np.ndarray:
        from imagefec.model import Embedder

        return Embedder.load(self.run).embed(faces)


def _check_out(out: Path, form: str) -> None:
    if form == "savedmodel" and os.path.lexists(out):
        raise UserError(f"{out}: exists already. Give another --out, or delete it.")
    if form != "savedmodel" and out.is_dir():
        raise UserError(f"{out}: is a folder. Give --out the name of a file in it.")


def _format(form: str, run: Run) -> Format:
    if form == "archive":
        return _archive(run)
    return _OF_NETWORK[form](load_network(run))


def _archive(run: Run) -> Format:
    from imagefec.export.archive import write_archive
    from imagefec.model import Embedder

    return Format(
        lambda path, record: write_archive(run, path, record),
        lambda path: Embedder.load(path).embed,
    )


def _onnx(network: Network) -> Format:
    return Format(lambda path, record: onnx.write_onnx(network, path, record), _opened_onnx)


def _opened_onnx(path: Path) -> check.Engine:
    session = onnx.open_session(path)
    return lambda faces: onnx.embed(session, faces)


def _savedmodel(network: Network) -> Format:
    from imagefec.export import tensorflow

    return Format(
        lambda path, record: tensorflow.write_savedmodel(network, path, record),
        tensorflow.open_savedmodel,
    )


def _tflite(network: Network) -> Format:
    from imagefec.export import tensorflow

    return Format(
        lambda path, record: tensorflow.write_tflite(network, path, record),
        tensorflow.open_tflite,
    )


def _stablehlo(network: Network) -> Format:
    from imagefec.export import stablehlo

    return Format(
        lambda path, record: stablehlo.write_stablehlo(network, path, record),
        stablehlo.open_stablehlo,
    )


_OF_NETWORK = {
    "onnx": _onnx,
    "savedmodel": _savedmodel,
    "tflite": _tflite,
    "stablehlo": _stablehlo,
}
