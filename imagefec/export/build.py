"""Exports a run: writes the file, runs it, compares it with the run, and records the result."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from imagefec import files
from imagefec.errors import UserError
from imagefec.export import check
from imagefec.export.record import record_of_run
from imagefec.model.network import Network, load_network
from imagefec.model.run import Run
from imagefec.paths import readable, user_path

FORMATS = ("archive", "onnx", "savedmodel", "tflite", "stablehlo")
Writer = Callable[[Path, dict[str, Any]], None]


class Format(NamedTuple):
    """How a format is written and run.

    Attributes:
      write: writes the file or folder, with a record in it.
      open: opens it for running.
      beside: further files that belong to it, whose names begin with its own.
    """

    write: Writer
    open: Callable[[Path], check.Engine]
    beside: Callable[[Path], list[Path]] = lambda path: []  # noqa: ARG005  # none


def export_run(
    run_dir: str | os.PathLike[str],
    out: str | os.PathLike[str],
    form: str,
    data_dir: str | os.PathLike[str] | None = None,
    dataset: str | None = None,
    split: str | None = None,
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

    Returns:
      {"path", "format", "check": see `check.compare`, "bytes"}; JSON.

    Raises:
      UserError: the run, the dataset or a package is missing or damaged, or `out` is in use.
      RuntimeError: the file differs from the run; nothing is left at `out`.
      OSError: `out` cannot be written.
    """
    out = user_path(out, "--out")
    run = Run.open(run_dir)
    _check_out(out, form)
    faces = _faces(run, data_dir, dataset, split)
    made = _format(form, run)
    expected = _run_embeddings(run, faces.faces)
    record = record_of_run(run)
    out.parent.mkdir(parents=True, exist_ok=True)
    # Beside the result, so that it can be renamed; a folder, as a SavedModel is one.
    with tempfile.TemporaryDirectory(
        prefix=f".{out.name}.", suffix=files.TEMPORARY_SUFFIX, dir=out.parent
    ) as folder:
        first, last = Path(folder, "first"), Path(folder, "last")
        made.write(first, record)
        found = check.compare(made.open(first), expected, faces, out)
        made.write(last, {**record, "check": found})
        check.compare(made.open(last), expected, faces, out)
        n_bytes = sum(part.stat().st_size for part in (last, *last.rglob("*")) if part.is_file())
        for part in made.beside(last):
            part.replace(out.with_name(out.name + part.name.removeprefix(last.name)))
        last.replace(out)
    return {"path": readable(out), "format": form, "check": found, "bytes": n_bytes}


def _check_out(out: Path, form: str) -> None:
    if form == "savedmodel" and os.path.lexists(out):
        raise UserError(f"{out}: exists already. Give another --out, or delete it.")
    if form != "savedmodel" and out.is_dir():
        raise UserError(f"{out}: is a folder. Give --out the name of a file in it.")


def _faces(
    run: Run,
    data_dir: str | os.PathLike[str] | None,
    dataset: str | None,
    split: str | None,
) -> check.Faces:
    if data_dir is None:
        return check.synthetic_faces(run)
    from imagefec.data.store import datasets

    dataset = dataset or run.info.get("dataset") or "fec"
    split = split or run.info.get("eval_split") or "test"
    data = datasets.load_triplets(data_dir, dataset, split, run.image_size)
    return check.faces_of_dataset(data, f"{readable(dataset)}, split {readable(split)}")


def _run_embeddings(run: Run, faces: np.ndarray) -> np.ndarray:
    from imagefec.model import Embedder

    return Embedder.load(run).embed(faces)


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
    from imagefec.export import onnx

    def opened(path: Path) -> check.Engine:
        session = onnx.open_session(path)
        return lambda faces: onnx.embed(session, faces)

    return Format(lambda path, record: onnx.write_onnx(network, path, record), opened)


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
        lambda path: [stablehlo.record_path(path)],
    )


_OF_NETWORK = {
    "onnx": _onnx,
    "savedmodel": _savedmodel,
    "tflite": _tflite,
    "stablehlo": _stablehlo,
}
