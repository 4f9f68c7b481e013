"""Reads and writes FEC's csv files: rows of three faces and the raters' choices; opens no photo."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
import math
import os
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from imagefec import files
from imagefec.errors import UserError
from imagefec.fec import SPLITS, TYPE_OF_CSV_NAME, TripletType, csv_file_name
from imagefec.maths.geometry import Box


@dataclasses.dataclass(frozen=True, slots=True)
class FaceRef:
    """A face as the csv file names it: the URL of a photo and a box in fractions of the photo."""

    url: str
    box: Box

    @property
    def face_id(self) -> str:
        """20 hexadecimal digits of the URL and the box, because a photo may show several faces."""
        box = self.box
        key = f"{self.url}|{box.left:.8f}|{box.right:.8f}|{box.top:.8f}|{box.bottom:.8f}"
        return hashlib.sha256(key.encode()).hexdigest()[:20]


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """One triplet of a csv file with the raters' choices.

    Attributes:
      line: number in the file, from 1.
      faces: in the order of the file.
      type: of the triplet.
      annotators: ids of the raters who chose.
      choices: index (0, 1, 2) of the odd face, one per annotator.
    """

    line: int
    faces: tuple[FaceRef, FaceRef, FaceRef]
    type: TripletType
    annotators: tuple[str, ...]
    choices: tuple[int, ...]

    @property
    def odd(self) -> int | None:
        """The index chosen more often than each other; None if choices tie or are missing."""
        counts = [self.choices.count(index) for index in range(3)]
        most = max(counts)
        return counts.index(most) if most and counts.count(most) == 1 else None

    @property
    def agreement(self) -> float:
        """Fraction of the choices, in (1/3, 1], for the odd face; nan if there is none."""
        odd = self.odd
        return math.nan if odd is None else self.choices.count(odd) / len(self.choices)

    @property
    def why_unlabelled(self) -> str | None:
        """Why there is no odd face: "no votes" or "tie"; None if there is one."""
        if not self.choices:
            return "no votes"
        return "tie" if self.odd is None else None


@dataclasses.dataclass
class RowReport:
    """Counts of one csv file, filled while its rows are read.

    Attributes:
      path: of the file.
      n_rows: good rows.
      n_blank: blank lines.
      n_ties: rows without an odd face because choices tie.
      n_no_votes: rows without choices.
      n_missing_choices: annotators without an annotation; their rows count, with the other choices.
      refused: (line, reason) of bad rows.
      by_type: number of good rows by the csv file's name of the type.
    """

    path: str = ""
    n_rows: int = 0
    n_blank: int = 0
    n_ties: int = 0
    n_no_votes: int = 0
    n_missing_choices: int = 0
    refused: list[tuple[int, str]] = dataclasses.field(default_factory=list)
    by_type: dict[str, int] = dataclasses.field(
        default_factory=lambda: dict.fromkeys(TYPE_OF_CSV_NAME, 0)
    )

    def as_json(self) -> dict[str, Any]:
        """The report as JSON values."""
        return dataclasses.asdict(self) | {"refused": [list(refusal) for refusal in self.refused]}


def read_rows(
    path: str | os.PathLike[str], report: RowReport | None = None, skip_bad_rows: bool = False
) -> Iterator[Row]:
    """Reads the rows of one of FEC's csv files, one at a time.

    Args:
      path: csv file without a header: three times (URL, left, right, top, bottom), the type of the
        triplet, then any number of (annotator, annotation) pairs. UTF-8; a byte order mark, CRLF
        and blank lines are accepted.
      report: gets counts while the rows are read.
      skip_bad_rows: add a bad row to `report.refused` and continue, instead of raising.

    Yields:
      Row, in the file's order, including ties and rows without choices.

    Raises:
      UserError: the file is missing, empty, not text or has no good row; or a row is bad and not
        skipped.

    Source: Vemulapalli & Agarwala 2019, arXiv:1811.11283, and the README of Google's
      FEC_dataset.zip.
    """
    report = RowReport() if report is None else report
    report.path = str(path)
    with _open(path) as file:
        _check_looks_like_text(path, file)
        for line, raw in enumerate(iter(lambda: file.readline(_MAX_LINE_BYTES), b""), start=1):
            if raw.isspace():
                report.n_blank += 1
                continue
            try:
                row, n_missing_choices = _row_of(line, raw)
            except _BadRow as bad:
                if not skip_bad_rows:
                    raise UserError(
                        f"{path}, line {line}: {bad}. Fix or delete the row, download the csv file "
                        "again, or pass --skip_bad_rows."
                    ) from None
                report.refused.append((line, str(bad)))
                continue
            _count(report, row, n_missing_choices)
            yield row
    if not report.n_rows:
        first = "; the first at line {}: {}".format(*report.refused[0]) if report.refused else ""
        raise UserError(
            f"{path}: no row of FEC's format ({report.n_blank} blank lines, {len(report.refused)} "
            f"bad rows{first}). Download the csv file again."
        )


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
            text = _line_of(row)
            if any(mark in text[:-1] for mark in "\n\r\0"):
                raise ValueError(
                    "a row of FEC's csv files is one line; found a line end or NUL in "
                    f"{text!r:.300}"
                )
            file.write(text)


def split_of(path: str | os.PathLike[str]) -> str:
    """The split of one of FEC's csv files: "train", "test", or "validation" (synthetic faces).

    Args:
      path: of the file; only its name counts.

    Raises:
      UserError: the name is none of FEC's.
    """
    splits = {csv_file_name(split): split for split in SPLITS}
    name = Path(path).name
    if name not in splits:
        raise UserError(
            f"{path}: this file name has no split; allowed are {', '.join(splits)}. Rename the "
            "file."
        )
    return splits[name]


class _BadRow(Exception):
    """A row is refused; the text says why."""


_URL = re.compile(r"(?:https?://[^/?#\s]|file://(?:localhost)?/.)", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_CHOICES = {"1": 0, "2": 1, "3": 2}
_BOM = b"\xef\xbb\xbf"
_TYPE_COLUMN = 15
_MAX_LINE_BYTES = 1 << 20  # far above any row: a file without line ends must not fill the memory
_SIDES = ("left", "right", "top", "bottom")


def _open(path: str | os.PathLike[str]) -> BinaryIO:
    try:
        return Path(path).open("rb")
    except FileNotFoundError:
        raise UserError(
            f"{path}: no such file. Give one of FEC's csv files, from FEC_dataset.zip or made by "
            "`imagefec draw`."
        ) from None
    except IsADirectoryError:
        raise UserError(f"{path}: this is a directory. Give a csv file in it.") from None
    except (OSError, ValueError) as error:  # ValueError: the path contains a NUL byte
        raise UserError(
            f"{path}: cannot be read ({error}). Check the path and its permissions."
        ) from None


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
    try:
        file.seek(len(_BOM) if head.startswith(_BOM) else 0)
    except io.UnsupportedOperation:
        raise UserError(f"{path}: this is a pipe. Save it as a file first.") from None


def _row_of(line: int, raw: bytes) -> tuple[Row, int]:
    cells = _cells_of(raw)
    n_cells = len(cells)
    if n_cells <= _TYPE_COLUMN or n_cells % 2:
        raise _BadRow(
            f"found {n_cells} columns; allowed are 16 and then (annotator, annotation) pairs: "
            "16, 18, 20, …"
        )
    kind = TYPE_OF_CSV_NAME.get(cells[_TYPE_COLUMN])
    faces = (_face_of(cells, 0), _face_of(cells, 5), _face_of(cells, 10))
    if kind is None:
        raise _BadRow(
            f"unknown type {_short(cells[_TYPE_COLUMN])} in column 16; allowed are "
            f"{', '.join(TYPE_OF_CSV_NAME)}"
        )
    annotators: list[str] = []
    choices: list[int] = []
    n_missing = 0
    for column in range(_TYPE_COLUMN + 1, n_cells, 2):
        annotator, annotation = cells[column], cells[column + 1].strip()
        if annotation in _CHOICES:
            # Interned: a few hundred raters appear in half a million rows, which may all be held.
            annotators.append(sys.intern(annotator))
            choices.append(_CHOICES[annotation])
        elif annotation:
            raise _BadRow(
                f"unknown annotation {_short(annotation)} in column {column + 2}; allowed are 1, "
                "2, 3 (the odd one out)"
            )
        elif annotator:
            n_missing += 1  # two empty cells are padding, as spreadsheets write it
    return Row(line, faces, kind, tuple(annotators), tuple(choices)), n_missing


def _cells_of(raw: bytes) -> list[str]:
    # A physical line is a row, so that a stray quote affects no row but its own.
    if len(raw) >= _MAX_LINE_BYTES:
        raise _BadRow(f"the line has {_MAX_LINE_BYTES} bytes or more, too long for a row")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise _BadRow(
            f"byte 0x{raw[error.start]:02x} at byte {error.start + 1} is not UTF-8"
        ) from None
    if "\0" in text:
        raise _BadRow(f"a NUL byte at column {text.index(chr(0)) + 1} of the line; it must be text")
    try:
        return next(csv.reader((text.rstrip("\r\n"),), strict=True))
    except csv.Error as error:
        raise _BadRow(f"broken csv ({error}); URLs must be in double quotes") from None


def _face_of(cells: list[str], column: int) -> FaceRef:
    url = cells[column]
    if not _URL.match(url) or _CONTROL.search(url):
        raise _BadRow(
            f"unsupported URL {_short(url)} in column {column + 1}; allowed are http://…, "
            "https://… and file:///…"
        )
    try:
        # + 0.0 turns -0.0, which would give another face_id, into 0.0.
        left, right = float(cells[column + 1]) + 0.0, float(cells[column + 2]) + 0.0
        top, bottom = float(cells[column + 3]) + 0.0, float(cells[column + 4]) + 0.0
    except ValueError:
        raise _bad_number(cells, column) from None
    # Written so that NaN, for which comparisons are false, is refused as well.
    if not (0.0 <= left < right <= 1.0 and 0.0 <= top < bottom <= 1.0):
        raise _bad_box((left, right, top, bottom), column)
    return FaceRef(url, Box(left, right, top, bottom))


def _bad_number(cells: list[str], column: int) -> _BadRow:
    side, cell = next(
        (side, cell)
        for side, cell in enumerate(cells[column + 1 : column + 5])
        if not _is_number(cell)
    )
    return _BadRow(
        f"face box has {_SIDES[side]} {_short(cell)} in column {column + side + 2}; it must be a "
        "number from 0 to 1 (FEC's files have no header)"
    )


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _bad_box(sides: tuple[float, float, float, float], column: int) -> _BadRow:
    allowed = "boxes are fractions of the image, 0 <= left < right <= 1 and 0 <= top < bottom <= 1"
    where = f"face box from column {column + 2} has"
    for name, side in zip(_SIDES, sides):
        if not 0.0 <= side <= 1.0:
            return _BadRow(f"{where} {name} {side:.6g}, outside 0 to 1; {allowed}")
    first, second = (0, 1) if sides[0] >= sides[1] else (2, 3)
    return _BadRow(
        f"{where} {_SIDES[first]} {sides[first]:.6g} >= {_SIDES[second]} {sides[second]:.6g}; "
        f"{allowed}"
    )


def _short(text: str) -> str:
    return repr(text) if len(text) <= 80 else repr(text[:77]) + "…"


def _count(report: RowReport, row: Row, n_missing_choices: int) -> None:
    report.n_rows += 1
    report.by_type[row.type.csv_name] += 1
    report.n_missing_choices += n_missing_choices
    if not row.choices:
        report.n_no_votes += 1
    elif row.odd is None:
        report.n_ties += 1


def _line_of(row: Row) -> str:
    # As in Google's files, URLs are quoted and other cells only where necessary.
    cells: list[str] = []
    for face in row.faces:
        box = face.box
        cells.append('"' + face.url.replace('"', '""') + '"')
        cells += [repr(float(side)) for side in box.sides]
    pairs = [
        cell for name, choice in zip(row.annotators, row.choices) for cell in (name, choice + 1)
    ]
    tail = io.StringIO()
    csv.writer(tail, lineterminator="\n").writerow([row.type.csv_name, *pairs])
    return ",".join(cells) + "," + tail.getvalue()
