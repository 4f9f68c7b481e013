"""Reads and writes FEC's csv files; `fec_row` has a single row. No photo is opened."""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from imagefec import files
from imagefec.data.fec_row import MAX_LINE_BYTES, BadRow, FaceRef, Row, parse_row, row_line
from imagefec.errors import UserError
from imagefec.fec import SPLITS, csv_file_name

__all__ = ["FaceRef", "Row", "RowReport", "read_rows", "split_of", "write_rows"]


@dataclasses.dataclass
class RowReport:
    """Counts of one csv file, filled while its rows are read.

    Attributes:
      n_rows: good rows.
      n_blank: blank lines.
      n_refused: bad rows, each of which is a lost triplet.
      refused: (line, reason) of the first 1000 bad rows.
      kinds: number of bad rows of each kind; the kinds are few.
    """

    n_rows: int = 0
    n_blank: int = 0
    n_refused: int = 0
    refused: list[tuple[int, str]] = dataclasses.field(default_factory=list)
    kinds: Counter[str] = dataclasses.field(default_factory=Counter)

    def refuse(self, line: int, bad: BadRow) -> None:
        """Counts a bad row."""
        self.n_refused += 1
        self.kinds[bad.kind] += 1
        if len(self.refused) < _MAX_LISTED:
            self.refused.append((line, str(bad)))


def read_rows(
    path: str | os.PathLike[str], report: RowReport | None = None, skip_bad_rows: bool = False
) -> Iterator[Row]:
    """Reads the rows of one of FEC's csv files, one at a time.

    Args:
      path: csv file without a header: three times (URL, left, right, top, bottom), the type of the
        triplet, then any number of (annotator, annotation) pairs. UTF-8; a byte order mark, CRLF
        and blank lines are accepted.
      report: gets counts while the rows are read.
      skip_bad_rows: count a bad row in `report` and continue, instead of raising.

    Yields:
      Row, in the file's order, including ties and rows without choices.

    Raises:
      UserError: the file is missing, empty, not text or has no good row; or a row is bad and not
        skipped.

    Source: Vemulapalli & Agarwala 2019, arXiv:1811.11283, and the README of Google's
      FEC_dataset.zip.
    """
    report = RowReport() if report is None else report
    with _open(path) as file:
        _check_looks_like_text(path, file)
        for line, raw in enumerate(_lines(file), start=1):
            if raw.isspace():
                report.n_blank += 1
                continue
            try:
                row = parse_row(line, raw)
            except BadRow as bad:
                if not skip_bad_rows:
                    other = "" if report.n_rows else _IF_ANOTHER_FILE
                    raise UserError(
                        f"{path}, line {line}: {bad}. {other}Fix or delete the row, download the "
                        "csv file again, or pass --skip_bad_rows."
                    ) from None
                report.refuse(line, bad)
                continue
            report.n_rows += 1
            yield row
    if not report.n_rows:
        first = "; the first at line {}: {}".format(*report.refused[0]) if report.refused else ""
        raise UserError(
            f"{path}: no row of FEC's format ({report.n_blank} blank lines, {report.n_refused} "
            f"bad rows{first}). Download the csv file again."
        )


def check_file(path: str | os.PathLike[str]) -> None:
    """Checks that a csv file can be read and looks like text, before anything is made for it.

    Raises:
      UserError: it cannot, or does not.
    """
    with _open(path) as file:
        _check_looks_like_text(path, file)


def write_rows(path: str | os.PathLike[str], rows: Iterable[Row]) -> None:
    """Writes rows in FEC's format, so that `read_rows` returns them; `Row.line` is not written.

    Args:
      path: file to write, complete or not at all.
      rows: in the order of the file.

    Raises:
      ValueError: a row contains a line end or a NUL.
    """
    with files.atomic_open(path, "w", encoding="utf-8", newline="") as file:
        for row in rows:
            file.write(row_line(row))


def split_of(path: str | os.PathLike[str]) -> str:
    """The split of a csv file with one of FEC's names: "train", "test" or "validation".

    Args:
      path: of the file; its name counts, and it need not exist.

    Raises:
      UserError: the name is none of FEC's, or it is a directory.
    """
    splits = {csv_file_name(split): split for split in SPLITS}
    name = Path(path).name
    if Path(path).is_dir():
        raise UserError(f"{path}: {_DIRECTORY}")
    if name not in splits:
        raise UserError(
            f"{path}: this file name has no split; allowed are {', '.join(splits)}. Rename or copy "
            "the file to the name of its split (validation: your own triplets, to choose settings "
            "on)."
        )
    return splits[name]


_MAX_LISTED = 1000
_IF_ANOTHER_FILE = (
    f"If this is not a file of triplets, give one, such as {csv_file_name('train')}. Else: "
)
_DIRECTORY = "this is a directory. Give a csv file in it."
_BOM = b"\xef\xbb\xbf"


def _open(path: str | os.PathLike[str]) -> BinaryIO:
    try:
        return files.open_regular(path)
    except FileNotFoundError:
        raise UserError(
            f"{path}: no such file. Give one of FEC's csv files, from FEC_dataset.zip or made by "
            "`imagefec draw`."
        ) from None
    except IsADirectoryError:
        raise UserError(f"{path}: {_DIRECTORY}") from None
    except files.NotAFileError:
        raise UserError(f"{path}: this is a pipe or a device. Save it as a file first.") from None
    except (OSError, ValueError) as error:  # ValueError: the path contains a NUL byte
        raise UserError(
            f"{path}: cannot be read ({error}). Check the path and its permissions."
        ) from None


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """Yields lines; of a line that is too long for a row only its start, to limit the memory."""
    while raw := file.readline(MAX_LINE_BYTES):
        rest = raw
        while len(rest) == MAX_LINE_BYTES and not rest.endswith(b"\n"):
            rest = file.readline(MAX_LINE_BYTES)
        yield raw


def _check_looks_like_text(path: str | os.PathLike[str], file: BinaryIO) -> None:
    head = file.read(4096)
    if not head or head == _BOM:
        raise UserError(f"{path}: the file is empty. Download the csv file again.")
    if head.startswith(b"PK\x03\x04"):
        raise UserError(f"{path}: this is a zip archive. Unzip it and give a csv file in it.")
    if b"\0" in head or head.startswith((b"\xff\xfe", b"\xfe\xff", b"\x1f\x8b")):
        raise UserError(
            f"{path}: this is a binary file or UTF-16 text; it must be a csv file in UTF-8. Unpack "
            "or convert it, or download the csv file again."
        )
    file.seek(len(_BOM) if head.startswith(_BOM) else 0)
