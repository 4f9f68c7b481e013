"""The file of an index: a file of vectors with one more column, which names the run.

index: one text, JSON: {"format": 1, "run": null or digest, path, step, dataset}.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from imagefec import json_files
from imagefec.analysis import embedding_file
from imagefec.analysis.vectors import columns
from imagefec.errors import UserError
from imagefec.model.embedding.run_identity import RunIdentity
from imagefec.paths import user_path

FORMAT = 1
_VECTORS, _IDS, _INDEX = "vectors", "ids", "index"
_REMEDY = "Make the index again."


def write(
    path: str | os.PathLike[str],
    vectors: np.ndarray,
    ids: Sequence[str] | Sequence[int],
    run: RunIdentity | None,
) -> Path:
    """Writes an index; arguments and errors as for `NeighbourIndex.save`."""
    path = user_path(path, "the index")
    if path.suffix.lower() != ".npz":
        raise UserError(f"{path}: an index is an .npz file. Give a name with this suffix.")
    column = np.array(ids)
    if column.dtype.kind not in "Ui" or column.tolist() != list(ids):
        raise ValueError("ids must be texts that do not end in a zero character, or 64-bit numbers")
    embedding_file.check_output(path)
    about = json.dumps({"format": FORMAT, "run": run and run.as_json()})
    embedding_file.write_columns(path, {_VECTORS: vectors, _IDS: column, _INDEX: np.array([about])})
    return path


def read(
    path: str | os.PathLike[str],
) -> tuple[np.ndarray, list[str] | list[int], RunIdentity | None]:
    """Reads what `write` wrote.

    Returns:
      (float32 or float64 [n, d], n ids, the run): not checked any further.

    Raises:
      UserError: the file is missing, damaged, or no index.
    """
    path = user_path(path, "the index")
    if path.suffix.lower() != ".npz":
        raise UserError(f"{path}: an index is an .npz file. Give a name with this suffix.")
    found, _ = columns.read_columns(path, (_VECTORS, _IDS, _INDEX))
    if found.keys() != {_VECTORS, _IDS, _INDEX}:
        missing = sorted({_VECTORS, _IDS, _INDEX} - found.keys())
        raise UserError(
            f"{path}: no index of neighbours, because it has no {' and no '.join(missing)}. Give a "
            "file that NeighbourIndex.save wrote."
        )
    try:
        return _vectors(found[_VECTORS]), _ids(found[_IDS]), _run(found[_INDEX])
    except ValueError as error:
        raise UserError(f"{path}: a damaged index: {error}. {_REMEDY}") from None


def _vectors(column: np.ndarray) -> np.ndarray:
    if column.dtype not in (np.float32, np.float64) or column.ndim != 2:
        raise ValueError(f"vectors is {column.dtype} {list(column.shape)}")
    return column


def _ids(column: np.ndarray) -> list[str] | list[int]:
    if column.dtype.kind not in "Ui" or column.ndim != 1:
        raise ValueError(f"ids is {column.dtype} {list(column.shape)}")
    return _texts(column) if column.dtype.kind == "U" else column.tolist()


def _run(column: np.ndarray) -> RunIdentity | None:
    if column.dtype.kind != "U" or column.shape != (1,):
        raise ValueError(f"index is {column.dtype} {list(column.shape)}")
    about = json_files.parse_object(_texts(column)[0].encode())
    if about.get("format") != FORMAT or isinstance(about["format"], bool):
        raise ValueError(
            f"format {about.get('format')!r}; this version of Image FEC reads format {FORMAT}"
        )
    run = about.get("run")
    return None if run is None else RunIdentity.from_json(run)


def _texts(column: np.ndarray) -> list[str]:
    """The texts of a column, after a check that they are texts, or NumPy would crash."""
    columns.check_texts(column)
    return column.tolist()
