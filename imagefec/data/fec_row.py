"""One row of FEC's csv files: its types, parsing and writing; `fec_csv` has the files."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
import math
import sys

from imagefec.fec import TYPE_OF_CSV_NAME, TripletType, is_photo_url
from imagefec.maths.geometry import Box

MAX_LINE_BYTES = 1 << 20  # far above any row: a file without line ends must not fill the memory


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
        """The index chosen more often than either other; None if choices tie or are missing."""
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


class BadRow(Exception):
    """A line is refused; the text says why.

    Attributes:
      kind: short text of few kinds, so that bad rows can be counted.
    """

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


def parse_row(line: int, raw: bytes) -> Row:
    """Parses a line; an annotator without an annotation is skipped.

    Args:
      line: its number in the file.
      raw: its bytes, with or without a line end.

    Raises:
      BadRow: the line is not in FEC's format.
    """
    cells = _cells_of(raw)
    n_cells = len(cells)
    if n_cells <= _TYPE_COLUMN or n_cells % 2:
        raise BadRow(
            "wrong number of columns",
            f"found {n_cells} columns; allowed are 16 and then (annotator, annotation) pairs: "
            "16, 18, 20, …",
        )
    kind = TYPE_OF_CSV_NAME.get(cells[_TYPE_COLUMN])
    faces = (_face_of(cells, 0), _face_of(cells, 5), _face_of(cells, 10))
    if kind is None:
        raise BadRow(
            "unknown type",
            f"unknown type {_short(cells[_TYPE_COLUMN])} in column 16; allowed are "
            f"{', '.join(TYPE_OF_CSV_NAME)}",
        )
    annotators: list[str] = []
    choices: list[int] = []
    for column in range(_TYPE_COLUMN + 1, n_cells, 2):
        annotator, annotation = cells[column], cells[column + 1].strip()
        if annotation in _CHOICES:
            # Interned: a few hundred raters appear in half a million rows, which may all be held.
            annotators.append(sys.intern(annotator))
            choices.append(_CHOICES[annotation])
        elif annotation:
            raise BadRow(
                "unknown annotation",
                f"unknown annotation {_short(annotation)} in column {column + 2}; allowed are 1, "
                "2, 3 (the odd one out)",
            )
    return Row(line, faces, kind, tuple(annotators), tuple(choices))


def row_line(row: Row) -> str:
    """The line of a row, with its line end.

    Args:
      row: to write; its `line` is not written.

    Raises:
      ValueError: the row contains a line end or a NUL.
    """
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
    text = ",".join(cells) + "," + tail.getvalue()
    if any(mark in text[:-1] for mark in "\n\r\0"):
        raise ValueError(
            f"a row of FEC's csv files is one line; found a line end or NUL in {text!r:.300}"
        )
    return text


_CHOICES = {"1": 0, "2": 1, "3": 2}
_TYPE_COLUMN = 15
_SIDES = ("left", "right", "top", "bottom")


def _cells_of(raw: bytes) -> list[str]:
    # A physical line is a row, so that a stray quote affects no row but its own.
    if b"\r" in raw.rstrip(b"\r\n"):
        raise BadRow(
            "carriage return",
            "a carriage return inside the line; lines must end with LF or CRLF (convert an old "
            "Mac's file: tr '\\r' '\\n')",
        )
    if len(raw) >= MAX_LINE_BYTES:
        raise BadRow(
            "line too long", f"the line has {MAX_LINE_BYTES} bytes or more, too long for a row"
        )
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise BadRow(
            "not UTF-8",
            f"byte 0x{raw[error.start]:02x} at byte {error.start + 1} is not UTF-8 (a file in "
            "Windows-1252 must be converted: iconv -f WINDOWS-1252 -t UTF-8)",
        ) from None
    if "\0" in text:
        where = text.index("\0") + 1
        raise BadRow("NUL byte", f"a NUL byte at column {where} of the line; it must be text")
    try:
        return next(csv.reader((text.rstrip("\r\n"),), strict=True))
    except csv.Error as error:
        raise BadRow("broken csv", f"broken csv ({error}); URLs must be in double quotes") from None


def _face_of(cells: list[str], column: int) -> FaceRef:
    url = cells[column]
    if not is_photo_url(url):
        raise BadRow(
            "unsupported URL",
            f"unsupported URL {_short(url)} in column {column + 1}; allowed are http://…, "
            "https://… and file:///…",
        )
    try:
        _check_plain(cells[column + 1 : column + 5])
        # + 0.0 turns -0.0, which would give another face_id, into 0.0.
        left, right = float(cells[column + 1]) + 0.0, float(cells[column + 2]) + 0.0
        top, bottom = float(cells[column + 3]) + 0.0, float(cells[column + 4]) + 0.0
    except ValueError:
        raise _bad_number(cells, column) from None
    # Written so that NaN, for which comparisons are false, is refused as well.
    if not (0.0 <= left < right <= 1.0 and 0.0 <= top < bottom <= 1.0):
        raise _bad_box((left, right, top, bottom), column)
    return FaceRef(url, Box(left, right, top, bottom))


def _check_plain(cells: list[str]) -> None:
    """Raises ValueError for what only Python reads as a number: 0_1, digits of other scripts."""
    text = "".join(cells)
    if "_" in text or not text.isascii():
        raise ValueError


def _bad_number(cells: list[str], column: int) -> BadRow:
    side, cell = next(
        (side, cell)
        for side, cell in enumerate(cells[column + 1 : column + 5])
        if not _is_number(cell)
    )
    return BadRow(
        "box is not a number",
        f"face box has {_SIDES[side]} {_short(cell)} in column {column + side + 2}; it must be a "
        "number from 0 to 1 (FEC's files have no header)",
    )


def _is_number(cell: str) -> bool:
    try:
        _check_plain([cell])
        float(cell)
    except ValueError:
        return False
    return True


def _bad_box(sides: tuple[float, float, float, float], column: int) -> BadRow:
    allowed = "boxes are fractions of the photo, 0 <= left < right <= 1 and 0 <= top < bottom <= 1"
    where = f"face box from column {column + 2} has"
    for name, side in zip(_SIDES, sides):
        if not 0.0 <= side <= 1.0:
            return BadRow(
                "box outside the photo", f"{where} {name} {side:.6g}, outside 0 to 1; {allowed}"
            )
    first, second = (0, 1) if sides[0] >= sides[1] else (2, 3)
    return BadRow(
        "empty box",
        f"{where} {_SIDES[first]} {sides[first]:.6g} >= {_SIDES[second]} {sides[second]:.6g}; "
        f"{allowed}",
    )


def _short(text: str) -> str:
    return repr(text) if len(text) <= 80 else repr(text[:77]) + "…"
