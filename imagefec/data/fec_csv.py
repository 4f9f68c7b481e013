"""FEC's csv files as rows of three faces and their votes, read and written; no photo is touched here."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
import math
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from imagefec.errors import UserError
from imagefec.fec import SPLITS, TYPE_OF_CSV_NAME, TripletType, csv_file_name
from imagefec.maths.geometry import Box


@dataclasses.dataclass(frozen=True)
class FaceRef:
    """A face as the csv names it: a photograph's url and a box in fractions of the image."""

    url: str
    box: Box

    @property
    def face_id(self) -> str:
        """20 hex digits of the url AND the box: one photograph may hold several faces."""
        box = self.box
        key = f"{self.url}|{box.left:.8f}|{box.right:.8f}|{box.top:.8f}|{box.bottom:.8f}"
        return hashlib.sha256(key.encode()).hexdigest()[:20]


@dataclasses.dataclass(frozen=True)
class Row:
    """One triplet of a csv file with its raters' votes.

    `line` counts from 1. `choices` are 0-based indices of the odd face, one a rater of `annotators`
    that voted.
    """

    line: int
    faces: tuple[FaceRef, FaceRef, FaceRef]
    type: TripletType
    annotators: tuple[str, ...]
    choices: tuple[int, ...]

    @property
    def odd(self) -> int | None:
        """The index with strictly more votes than either other; None where votes tie or are missing."""
        counts = [self.choices.count(index) for index in range(3)]
        most = max(counts)
        return counts.index(most) if most and counts.count(most) == 1 else None

    @property
    def agreement(self) -> float:
        """The share of the votes, in (1/3, 1], that went to the odd face; nan where there is none."""
        odd = self.odd
        return math.nan if odd is None else self.choices.count(odd) / len(self.choices)

    @property
    def why_unlabelled(self) -> str | None:
        """None for a labelled row, else 'no votes' or 'tie'."""
        if not self.choices:
            return "no votes"
        return "tie" if self.odd is None else None


@dataclasses.dataclass
class RowReport:
    """What reading one csv file met; filled while the rows are read."""

    path: str = ""
    n_rows: int = 0
    n_blank: int = 0
    n_ties: int = 0
    n_no_votes: int = 0
    n_missing_choices: int = (
        0  # raters named without an annotation; their row stays, with the other votes
    )
    refused: list[tuple[int, str]] = dataclasses.field(default_factory=list)
    by_type: dict[str, int] = dataclasses.field(
        default_factory=lambda: dict.fromkeys(TYPE_OF_CSV_NAME, 0)
    )

    def as_json(self) -> dict:
        return dataclasses.asdict(self) | {"refused": [list(refusal) for refusal in self.refused]}


def read_rows(
    path: str | os.PathLike, report: RowReport | None = None, skip_bad_rows: bool = False
) -> Iterator[Row]:
    """Reads the rows of one of FEC's csv files, one at a time.

    Args:
      path: csv file without header: three times (url, left, right, top, bottom), the triplet's
        type, then any number of (annotator, annotation) pairs. UTF-8; a byte order mark, CRLF and
        blank lines are fine.
      report: counts go here while the rows are read.
      skip_bad_rows: put a bad row into `report.refused` as (line, reason) and read on, instead of
        raising.

    Yields:
      Row, in the file's order. Ties and rows without votes are counted and yielded; nothing is
      guessed.

    Raises:
      UserError: the file is missing, empty, no text or holds no good row; or a row is bad and not
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
                        f"{path}, line {line}: {bad}. Mend or drop the row, get the csv again, or pass "
                        "--skip_bad_rows."
                    ) from None
                report.refused.append((line, str(bad)))
                continue
            _count(report, row, n_missing_choices)
            yield row
    if not report.n_rows:
        first = "; the first at line {}: {}".format(*report.refused[0]) if report.refused else ""
        raise UserError(
            f"{path}: found no row of FEC's format ({report.n_blank} blank lines, {len(report.refused)} bad "
            f"rows{first}), at least one is wanted. Get the csv again."
        )


def write_rows(path: str | os.PathLike, rows: Iterable[Row]) -> None:
    """Writes rows in FEC's own format, so that `read_rows` gives them back; `Row.line` is not kept."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        for row in rows:
            text = _line_of(row)
            if any(mark in text[:-1] for mark in "\n\r\0"):
                raise ValueError(
                    f"a row of FEC's csv is one line; found a line end or NUL in {text!r:.300}"
                )
            file.write(text)


def split_of(path: str | os.PathLike) -> str:
    """Says from one of FEC's file names which split it holds: 'train', 'test', or 'validation' (drawn worlds)."""
    splits = {csv_file_name(split): split for split in SPLITS}
    name = Path(path).name
    if name not in splits:
        raise UserError(
            f"{path}: the file's name does not say its split; allowed are {', '.join(splits)}."
        )
    return splits[name]


class _BadRow(Exception):
    """Why a row is refused."""


_URL = re.compile(r"(?:https?://[^/?#\s]|file://(?:localhost)?/.)", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_CHOICES = {"1": 0, "2": 1, "3": 2}
_BOM = b"\xef\xbb\xbf"
_TYPE_COLUMN = 15
_MAX_LINE_BYTES = (
    1 << 20
)  # no row of FEC comes near; a file without line ends must not fill the memory
_SIDES = ("left", "right", "top", "bottom")


def _open(path: str | os.PathLike) -> BinaryIO:
    try:
        return open(path, "rb")
    except FileNotFoundError:
        raise UserError(
            f"{path}: no such file; give one of FEC's csv files, as in FEC_dataset.zip or made by "
            "`imagefec draw`."
        ) from None
    except IsADirectoryError:
        raise UserError(
            f"{path}: found a directory where a csv file is wanted; name the file in it."
        ) from None
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL byte in it
        raise UserError(
            f"{path}: cannot be read ({error}); check the path and its permissions."
        ) from None


def _check_looks_like_text(path: str | os.PathLike, file: BinaryIO) -> None:
    head = file.read(4096)
    if not head or head == _BOM:
        raise UserError(f"{path}: the file is empty; a csv file of FEC is wanted. Get it again.")
    if head.startswith(b"PK\x03\x04"):
        raise UserError(f"{path}: found a zip archive where a csv file is wanted; unzip it first.")
    if b"\0" in head or head.startswith((b"\xff\xfe", b"\xfe\xff", b"\x1f\x8b")):
        raise UserError(
            f"{path}: found a binary file (or UTF-16 text) where a csv file in UTF-8 is wanted; unpack or "
            "convert it, or get the csv again."
        )
    try:
        file.seek(len(_BOM) if head.startswith(_BOM) else 0)
    except io.UnsupportedOperation:
        raise UserError(
            f"{path}: found a pipe where a csv file is wanted; save it as a file first."
        ) from None


def _row_of(line: int, raw: bytes) -> tuple[Row, int]:
    cells = _cells_of(raw)
    n_cells = len(cells)
    if n_cells <= _TYPE_COLUMN or n_cells % 2:
        raise _BadRow(
            f"found {n_cells} columns; allowed are 16 and then (annotator, annotation) pairs: 16, 18, 20, …"
        )
    kind = TYPE_OF_CSV_NAME.get(cells[_TYPE_COLUMN])
    faces = (_face_of(cells, 0), _face_of(cells, 5), _face_of(cells, 10))
    if kind is None:
        raise _BadRow(
            f"unknown type {_short(cells[_TYPE_COLUMN])} in column 16; allowed are {', '.join(TYPE_OF_CSV_NAME)}"
        )
    annotators, choices, n_missing = [], [], 0
    for column in range(_TYPE_COLUMN + 1, n_cells, 2):
        annotator, annotation = cells[column], cells[column + 1].strip()
        if annotation in _CHOICES:
            annotators.append(annotator)
            choices.append(_CHOICES[annotation])
        elif annotation:
            raise _BadRow(
                f"unknown annotation {_short(annotation)} in column {column + 2}; allowed are 1, 2, 3 "
                "(the odd one out)"
            )
        elif annotator:
            n_missing += 1  # a pair of two empty cells is only padding, as spreadsheets write it
    return Row(line, faces, kind, tuple(annotators), tuple(choices)), n_missing


def _cells_of(raw: bytes) -> list[str]:
    # One physical line is one row: a stray quote then spoils its own row, and not all that follow.
    if len(raw) >= _MAX_LINE_BYTES:
        raise _BadRow(f"a line of {_MAX_LINE_BYTES} bytes or more, too long for a row")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise _BadRow(
            f"byte 0x{raw[error.start]:02x} at byte {error.start + 1} is not UTF-8"
        ) from None
    if "\0" in text:
        raise _BadRow(f"a NUL byte at column {text.index(chr(0)) + 1} of the line; text is wanted")
    try:
        return next(csv.reader((text.rstrip("\r\n"),), strict=True))
    except csv.Error as error:
        raise _BadRow(f"broken csv ({error}); urls stand in double quotes") from None


def _face_of(cells: list[str], column: int) -> FaceRef:
    url = cells[column]
    if not _URL.match(url) or _CONTROL.search(url):
        raise _BadRow(
            f"unsupported url {_short(url)} in column {column + 1}; allowed are http://…, https://… and "
            "file:///…"
        )
    try:
        # + 0.0 makes -0.0 a plain 0.0, which would have another face_id.
        left, right = float(cells[column + 1]) + 0.0, float(cells[column + 2]) + 0.0
        top, bottom = float(cells[column + 3]) + 0.0, float(cells[column + 4]) + 0.0
    except ValueError:
        _refuse_number(cells, column)
    # Written so that NaN, which compares as false, is refused as well.
    if not (0.0 <= left < right <= 1.0 and 0.0 <= top < bottom <= 1.0):
        _refuse_box((left, right, top, bottom), column)
    return FaceRef(url, Box(left, right, top, bottom))


def _refuse_number(cells: list[str], column: int) -> None:
    for side, cell in enumerate(cells[column + 1 : column + 5]):
        try:
            float(cell)
        except ValueError:
            raise _BadRow(
                f"face box has {_SIDES[side]} {_short(cell)} in column {column + side + 2}; a number from 0 "
                "to 1 is allowed (FEC's files have no header)"
            ) from None


def _refuse_box(sides: tuple[float, float, float, float], column: int) -> None:
    allowed = "boxes are fractions of the image, 0 <= left < right <= 1 and 0 <= top < bottom <= 1"
    for name, side in zip(_SIDES, sides):
        if not 0.0 <= side <= 1.0:
            raise _BadRow(
                f"face box from column {column + 2} has {name} {side:.6g}, outside 0 to 1; {allowed}"
            )
    first, second = (0, 1) if sides[0] >= sides[1] else (2, 3)
    raise _BadRow(
        f"face box from column {column + 2} has {_SIDES[first]} {sides[first]:.6g} >= {_SIDES[second]} "
        f"{sides[second]:.6g}; {allowed}"
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
    # As in Google's files every url is quoted and nothing else is, unless it must be.
    cells = []
    for face in row.faces:
        box = face.box
        cells.append('"' + face.url.replace('"', '""') + '"')
        cells += [repr(float(side)) for side in box.sides]
    judged = [
        cell for name, choice in zip(row.annotators, row.choices) for cell in (name, choice + 1)
    ]
    tail = io.StringIO()
    csv.writer(tail, lineterminator="\n").writerow([row.type.csv_name, *judged])
    return ",".join(cells) + "," + tail.getvalue()
