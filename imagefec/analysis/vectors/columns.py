"""Reads named columns of .npz, .parquet and .csv files that anyone may have written."""

from __future__ import annotations

import csv
import io
import math
import os
import re
import struct
import sys
import tokenize
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from imagefec import files
from imagefec.analysis.embedding_file import FORMATS, import_pyarrow
from imagefec.errors import UserError

# A file that grows more than this when it is decompressed was made to fill the memory.
MAX_BYTES, MAX_GROWTH = 2**30, 50
META = "meta.json"  # in a checkpoint or archive of a run, which is no file of vectors
_COMPRESSIONS = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED
_NPY = ".npy"
_NUMBERED = re.compile(r"(\w+?)_(\d{1,6})", re.ASCII)  # a column of a matrix in a .csv file
_HOW = "Save it with numpy.savez(FILE, ids=…, vectors=…)."


def is_vector_file(path: Path) -> bool:
    """Whether a path names a file of vectors and not a run's archive: by suffix, then content."""
    if path.suffix.lower() not in FORMATS or path.is_dir():
        return False
    try:
        with files.open_regular(path) as file, zipfile.ZipFile(file) as archive:
            return META not in archive.namelist()
    except (OSError, ValueError, zipfile.BadZipFile):
        return True  # reading it says what is wrong


def read_columns(path: Path, names: Collection[str]) -> tuple[dict[str, np.ndarray], list[str]]:
    """Reads the columns of these names.

    Args:
      path: the file.
      names: columns to read; the others are left.

    Returns:
      (columns, all names in the file). A column of an .npz is its array; one of a .parquet file is
      [n] of texts or numbers, or [n, d] of numbers if its cells are lists of one length. Columns
      name_0, name_1, … of a .csv file are one column [n, d]; its others are texts. Missing texts
      are ""; missing numbers NaN.

    Raises:
      UserError: the file is missing, damaged, of another format, pickled, or larger when
        decompressed than such a file can be; or a column of a .csv file has one of the names but
        for blanks and capital letters.
    """
    if path.suffix.lower() not in FORMATS:
        raise UserError(
            f"{path}: unknown suffix {path.suffix!r}; allowed are .npz, .parquet and .csv. {_HOW}"
        )
    read = {".npz": _read_npz, ".parquet": _read_parquet, ".csv": _read_csv}[path.suffix.lower()]
    try:
        with files.open_regular(path) as file:
            return read(path, file, names)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file. Give an .npz, .parquet or .csv file.") from None
    except IsADirectoryError:
        raise UserError(f"{path}: is a folder. Give an .npz, .parquet or .csv file.") from None
    except _BROKEN as error:
        text = (error.strerror if isinstance(error, OSError) else None) or str(error)
        text = " ".join(text.split())[:200] or type(error).__name__
        raise UserError(f"{path}: cannot be read ({text}). {_HOW}") from None


def check_texts(column: np.ndarray) -> None:
    """Checks that an array of texts (dtype kind "U") holds characters only.

    Raises:
      ValueError: it does not; NumPy would make texts that crash.
    """
    if column.size and column.dtype.itemsize:
        codes = np.ascontiguousarray(column).view(f"{column.dtype.byteorder}u4")
        if codes.max() > sys.maxunicode:
            raise ValueError("not all of it is text")


# What zipfile, NumPy and pyarrow (whose errors are these too) raise for damaged files.
_BROKEN = (
    OSError,
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    ValueError,
    LookupError,
    EOFError,
    RuntimeError,
    TypeError,
    OverflowError,
    MemoryError,
    csv.Error,
)


def _read_npz(
    path: Path, file: BinaryIO, names: Collection[str]
) -> tuple[dict[str, np.ndarray], list[str]]:
    size = os.fstat(file.fileno()).st_size
    with zipfile.ZipFile(file) as archive:
        members = {each.filename.removesuffix(_NPY): each for each in archive.infolist()}
        if len(members) < len(archive.infolist()):
            raise ValueError("it holds two arrays of one name")
        wanted = {name: members[name] for name in names if name in members}
        if any(each.compress_type not in _COMPRESSIONS for each in wanted.values()):
            raise ValueError("it is compressed in a way that NumPy does not use")
        _check_growth(sum(each.file_size for each in wanted.values()), size)
        columns = {name: _read_array(path, archive, each) for name, each in wanted.items()}
    return columns, list(members)


def _read_array(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(member) as file:
        shape, dtype, start = _read_header(file)
    if dtype.hasobject:
        name = member.filename.removesuffix(_NPY)
        raise UserError(
            f"{path}: {name} holds Python objects, which only pickle could read, and pickle may "
            f"run code. Save {name} as {'numbers' if name == 'vectors' else 'texts'}: "
            f"{name}=numpy.array(list({name}), {'float' if name == 'vectors' else 'str'})."
        )
    if start + math.prod(shape) * dtype.itemsize != member.file_size:
        raise ValueError(f"{member.filename} is shorter or longer than {dtype} {list(shape)}")
    with archive.open(member) as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def _read_header(file: Any) -> tuple[tuple[int, ...], np.dtype, int]:
    """Shape, dtype and size of the header of an .npy file."""
    version = np.lib.format.read_magic(file)
    try:
        if version == (1, 0):
            shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        else:
            shape, _, dtype = np.lib.format.read_array_header_2_0(file)
    except (SyntaxError, tokenize.TokenError):  # NumPy reads the header as Python's literals
        raise ValueError("an array has a damaged header") from None
    return shape, dtype, file.tell()


def _read_parquet(
    path: Path, file: BinaryIO, names: Collection[str]
) -> tuple[dict[str, np.ndarray], list[str]]:
    _, parquet = import_pyarrow("Reading")
    opened = parquet.ParquetFile(file)
    found = opened.schema_arrow.names
    size = os.fstat(file.fileno()).st_size
    groups = (opened.metadata.row_group(number) for number in range(opened.num_row_groups))
    _check_growth(sum(group.total_byte_size for group in groups), size)
    table = opened.read(columns=[name for name in found if name in names])
    return {name: _array_of(path, name, table.column(name)) for name in table.column_names}, found


def _read_csv(
    path: Path, file: BinaryIO, names: Collection[str]
) -> tuple[dict[str, np.ndarray], list[str]]:
    text = io.StringIO(file.read().decode("utf-8-sig", "surrogateescape"), newline="")
    header, *rows = [row for row in csv.reader(text, strict=True) if row] or [[]]
    if len(set(header)) < len(header):
        raise ValueError("two columns have one name")
    if wrong := [number for number, row in enumerate(rows, 2) if len(row) != len(header)]:
        raise ValueError(f"row {wrong[0]} has another number of cells than the header")
    _refuse_misspelt(path, header, names)
    places: dict[str, dict[int, int]] = {}  # of a matrix: number of the column -> its place
    for place, name in enumerate(header):
        if match := _NUMBERED.fullmatch(name):
            places.setdefault(match[1], {})[int(match[2])] = place
    columns: dict[str, np.ndarray] = {}
    for name in names:
        if name in header:
            columns[name] = np.array([row[header.index(name)] for row in rows], np.str_)
        elif name in places:
            if sorted(places[name]) != list(range(len(places[name]))):
                raise ValueError(f"the columns {name}_0, {name}_1, … are not complete")
            ordered = [places[name][number] for number in range(len(places[name]))]
            numbers = [[float(row[place] or "nan") for place in ordered] for row in rows]
            columns[name] = np.array(numbers, np.float64).reshape(len(rows), len(ordered))
    return columns, [*(name for name in header if name not in columns), *places]


def _refuse_misspelt(path: Path, header: Collection[str], names: Collection[str]) -> None:
    """Raises UserError if a column has one of the names but for blanks and capital letters.

    It would be left out, and vectors would lose a dimension.
    """
    for column in header:
        name = "".join(column.split()).lower()
        match = _NUMBERED.fullmatch(name)
        if (match[1] if match else name) in names and name not in header:
            raise UserError(
                f"{path}: has a column {column!r}; it must be {name!r}, without blanks and capital "
                "letters. Rename it, or give it another name to have it left out."
            )


def _array_of(path: Path, name: str, column: Any) -> np.ndarray:
    """A column of a table as an array."""
    pyarrow, _ = import_pyarrow("Reading")
    column = column.combine_chunks()
    if isinstance(column, pyarrow.ChunkedArray):  # of an older pyarrow, or without rows
        column = pyarrow.concat_arrays(column.chunks) if column.num_chunks else column.chunk(0)
    if isinstance(column, pyarrow.ExtensionArray):
        column = column.storage
    types = pyarrow.types
    if types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if types.is_fixed_size_list(column.type) or (
        types.is_list(column.type) or types.is_large_list(column.type)
    ):
        return _matrix_of(path, name, column)
    if types.is_integer(column.type) or types.is_floating(column.type):
        return column.to_numpy(zero_copy_only=False)
    texts = (_text_of(value) for value in column.to_pylist())
    return np.array(list(texts), np.str_)


def _matrix_of(path: Path, name: str, column: Any) -> np.ndarray:
    """Lists of numbers, all of one length: [n, d]."""
    from pyarrow import compute

    lengths = compute.list_value_length(column)
    if column.null_count or len(distinct := lengths.unique()) > 1:
        what = (
            f"{column.null_count} of {len(column)} are null"
            if column.null_count
            else "they differ in length"
        )
        example = "" if column.null_count else f": {distinct[0]} and {distinct[1]} numbers"
        raise UserError(
            f"{path}: {name} must be a list of d numbers in every row, but {what}{example}. Leave "
            "these rows out."
        )
    flat = column.flatten().to_numpy(zero_copy_only=False)
    return flat.reshape(len(column), -1 if len(column) else 0)


def _text_of(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return "" if value is None else str(value)


def _check_growth(n_bytes: int, file_size: int) -> None:
    if n_bytes > max(MAX_BYTES, MAX_GROWTH * file_size):
        raise ValueError(
            f"it takes {n_bytes:,} bytes when decompressed, {n_bytes // max(file_size, 1)} times "
            "its size; save it uncompressed, with numpy.savez"
        )
