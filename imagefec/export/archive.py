"""Writes an archive: the arrays of a run's network and its record, in one file.

Nothing is pickled. Run.open and Embedder.load read it; model/archive.py checks it.
"""

import hashlib
import io
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from imagefec.model import archive, checkpoint_file
from imagefec.model.network.graph import network_of
from imagefec.model.network.load import architecture_of, stored_arrays
from imagefec.model.run import Run


def write_archive(run: Run, path: str | os.PathLike[str], record: Mapping[str, Any]) -> None:
    """Writes the weights that evaluation uses, without the optimizer's, and the record.

    Args:
      run: the run.
      path: file to write, atomically; an .npz that NumPy reads.
      record: of `record_of_run`, with "check" or without.

    Raises:
      UserError: the run's checkpoint is missing, damaged or of another network.
      OSError: the file cannot be written.
    """
    expected = stored_arrays(network_of(architecture_of(run), run.image_size))
    arrays, _ = run.load_checkpoint(expected)
    meta = {"format": archive.FORMAT, "version": archive.VERSION, **record}
    digests = {name: _digest(array) for name, array in arrays.items()}
    meta["sha256"] = {"meta": archive.meta_digest(meta), "arrays": digests}
    checkpoint_file.save(path, arrays, meta)


def _digest(array: np.ndarray) -> str:
    """SHA-256 of the .npy file that `checkpoint_file.save` writes."""
    file = io.BytesIO()
    np.lib.format.write_array(file, array, allow_pickle=False)
    return hashlib.sha256(file.getbuffer()).hexdigest()
