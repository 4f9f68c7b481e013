"""From what the user names, a run, an archive or an ONNX file, to an engine."""

import hashlib
import json
import logging
import sys
import tempfile
from pathlib import Path
from typing import Any

from imagefec import files
from imagefec.errors import UserError
from imagefec.export import onnx
from imagefec.export.record import record_of_run
from imagefec.model.network import load_network
from imagefec.model.run import Run
from imagefec.paths import cache_folder
from imagefec.serving.engine import OnnxEngine
from imagefec.workers import worker_pool

_log = logging.getLogger(__name__)


def open_engine(model: Path) -> OnnxEngine:
    """Opens a model. A run or an archive is exported once, to the cache folder.

    Args:
      model: run directory, archive of `imagefec export`, or its .onnx file.

    Raises:
      UserError: it is missing, damaged, of another version or of another kind.
    """
    if model.suffix == ".onnx":
        return OnnxEngine(model)
    run = Run.open(model)
    folder = cache_folder("exports")
    if folder is None:
        return _of_temporary_export(run)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        files.remove_temporary_files(folder)
        path = folder / f"{_key(run)}.onnx"
        if path.exists():
            try:
                return OnnxEngine(path, run.name)
            except UserError:  # damaged; it is made again
                path.unlink()
        _export(run, path)
        return OnnxEngine(path, run.name)
    except OSError as error:
        _log.warning("%s: cannot be used (%s); nothing is cached", folder, error.strerror)
        return _of_temporary_export(run)


def _of_temporary_export(run: Run) -> OnnxEngine:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")
        _export(run, path)
        return OnnxEngine(path, run.name)


def _key(run: Run) -> str:
    """Names an export: other weights or settings have another."""
    # What an archive says of its weights may be wrong, so their own digest is part of it.
    record = json.dumps([record_of_run(run), run.checkpoint_digest], sort_keys=True)
    return hashlib.sha256(record.encode()).hexdigest()


def _export(run: Run, path: Path) -> None:
    """Writes a run as ONNX in a process of its own, whose memory is returned when it ends."""
    print(f"exporting {run.name}, which later starts need not do", file=sys.stderr)
    with worker_pool(1, "export") as pool:
        pool.submit(_write, run.path, path).result()


def _write(run_dir: Path, path: Path) -> None:
    run = Run.open(run_dir)
    record: dict[str, Any] = record_of_run(run)
    onnx.write_onnx(load_network(run), path, record)
