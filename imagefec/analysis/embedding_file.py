"""Writes files of embeddings: columns of arrays as .npz, .parquet or .csv; vectors/ reads them."""

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np

from imagefec import files
from imagefec.analysis import output
from imagefec.errors import UserError

FORMATS = (".npz", ".parquet", ".csv")


def check_output(path: Path) -> None:
    """Checks before any work that the file can be written, and creates its folder.

    Raises:
      UserError: the suffix is unknown, pyarrow is missing, the path is a folder, or its folder
        cannot be written to.
    """
    if path.suffix.lower() not in FORMATS:
        raise UserError(
            f"{path}: unknown suffix {path.suffix!r}; allowed are .npz, .parquet and .csv."
        )
    if path.suffix.lower() == ".parquet":
        import_pyarrow("Writing")
    output.make_folder(path.parent)
    if path.is_dir():
        raise UserError(f"{path}: is a folder, but a file must be written. Give another --out.")
    output.check_writable(path)


def write_columns(path: Path, columns: dict[str, np.ndarray]) -> None:
    """Writes the file atomically.

    Args:
      path: accepted by `check_output`.
      columns: name -> array [n] or [n, d].

    Raises:
      UserError: the file cannot be written.
    """
    file = io.BytesIO()
    if path.suffix.lower() == ".csv":
        file.write(_as_csv(columns).encode("utf-8", "surrogateescape"))
    elif path.suffix.lower() == ".npz":
        # The stub declares a keyword allow_pickle, so mypy checks the other keywords against it.
        np.savez_compressed(file, **columns)  # type: ignore[arg-type]
    else:
        _write_parquet(file, columns)
    try:
        files.write_bytes(path, file.getvalue())
    except OSError as error:
        raise output.unwritable(path, error) from None


def import_pyarrow(doing: str) -> tuple[Any, Any]:
    """Imports pyarrow and pyarrow.parquet.

    Args:
      doing: "Writing" or "Reading", for the message.

    Raises:
      UserError: it is not installed.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise UserError(
            f"{doing} .parquet requires pyarrow, which is not installed: pip install pyarrow. Or "
            "use .npz, which requires nothing else."
        ) from None
    return pyarrow, parquet


def _as_csv(columns: dict[str, np.ndarray]) -> str:
    """A column of each array; name_0, name_1, … of an array [n, d]. NaN is an empty cell."""
    header, cells = list[str](), list[list]()
    for name, column in columns.items():
        if column.ndim == 2:
            header += [f"{name}_{place}" for place in range(column.shape[1])]
            cells += column.T.astype(str).tolist()  # of float32 as few digits as identify it
        else:
            header.append(name)
            cells.append(column.astype(str).tolist())
        if column.dtype.kind == "f":
            width = column.shape[1] if column.ndim == 2 else 1
            cells[-width:] = [["" if c == "nan" else c for c in each] for each in cells[-width:]]
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(header)
    writer.writerows(zip(*cells))
    return text.getvalue()


def _write_parquet(file: io.BytesIO, columns: dict[str, np.ndarray]) -> None:
    pyarrow, parquet = import_pyarrow("Writing")
    table = {}
    for name, column in columns.items():
        if column.ndim == 2:  # a list of fixed length per row
            flat = pyarrow.array(np.ascontiguousarray(column).reshape(-1))
            table[name] = pyarrow.FixedSizeListArray.from_arrays(flat, column.shape[1])
        else:
            table[name] = pyarrow.array(column.tolist() if column.dtype.kind == "U" else column)
    parquet.write_table(pyarrow.table(table), file)
