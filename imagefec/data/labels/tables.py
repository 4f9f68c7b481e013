"""Reads a csv or parquet table of labelled photos, a row for each face or for each rating."""

from __future__ import annotations

import codecs
import csv
import io
import math
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from imagefec import files
from imagefec.data.labels.columns import Columns, columns_of, photo_columns
from imagefec.data.labels.source import (
    COUNTS,
    LABEL,
    SPLIT_NAMES,
    LabelledFace,
    Source,
    plain,
)
from imagefec.errors import UserError
from imagefec.fec import is_photo_url
from imagefec.maths.geometry import Box

SUFFIXES = (".csv", ".tsv", ".txt", ".parquet")
WRONG_CELLS = "another number of cells than the header"
NO_PHOTO = "no path or URL"
BAD_URL = "not an http, https or file URL"
NO_LABEL = "no label"
NO_NUMBER = "a number is missing or is none"
TOO_LARGE = "a number is too large (beyond a trillion)"
NEGATIVE = "a negative count"
ALL_ZERO = "all counts are zero"
UNKNOWN_SPLIT = "unknown split"
BAD_BOX = "bad box"
_LARGEST = 1e12  # squares and sums of such numbers are far from the end of float64
_LEAST_PX = 2  # most boxes that are narrower or lower than this are fractions, not pixels

Cells = Mapping[str, Any]
Rows = Iterator[tuple[int, Cells | None]]


def read_table(path: Path, by: Columns, photos: Path | None = None) -> Source:
    """Reads a table.

    Args:
      path: of a csv file (UTF-8, separated by commas, semicolons or tabs, with a header), or of a
        parquet file.
      by: from `columns.parse_by`.
      photos: folder that paths are relative to; None for the table's own.

    Returns:
      The faces; rows that cannot be used are counted in `left_out`. Boxes are fractions of the
      photo if none of them exceeds 1, else pixels.

    Raises:
      UserError: it is no table, the columns are not known, no row is usable, or a box exceeds 1
        where most are so small that they must be fractions.
    """
    header, rows_of = read_rows(path)
    kind, columns = columns_of(header, by, str(path))
    source = Source(
        kind, [], _read_as(header, columns), columns.get(kind, ()) if kind != LABEL else ()
    )
    return _filled(source, path, rows_of, columns, path.parent if photos is None else photos)


def read_photos(path: Path) -> Source:
    """Reads a table of photos of which nothing else need be known.

    Args:
      path: as for `read_table`; paths are relative to its folder. By their names, the columns path
        or url, and label, person, split and box are used.

    Returns:
      As `read_table`, with the kind "", and the label "" for a face without one.

    Raises:
      UserError: as `read_table`, or no column names the photos.
    """
    header, rows_of = read_rows(path)
    columns = photo_columns(header, str(path))
    return _filled(Source("", [], _read_as(header, columns)), path, rows_of, columns, path.parent)


def read_rows(path: Path) -> tuple[list[str], Callable[[Columns], Rows]]:
    """Reads a table of any columns.

    Args:
      path: as for `read_table`.

    Returns:
      (column names, a function from the columns that are wanted to an iterator over (line, cells
      by column)); cells are None if their number is another than the header's. Lines of a parquet
      file are rows from 1.

    Raises:
      UserError: it is no table; also while its rows are read.
    """
    return _parquet(path) if path.suffix.lower() == ".parquet" else _csv(path)


def _read_as(header: list[str], columns: Columns) -> dict[str, str]:
    read_as = {role: ", ".join(names) for role, names in columns.items()}
    unused = [name for name in header if not any(name in names for names in columns.values())]
    return read_as | ({"not used": ", ".join(unused)} if unused else {})


def _filled(
    source: Source,
    path: Path,
    rows_of: Callable[[Columns], Rows],
    columns: Columns,
    base: Path,
) -> Source:
    """The source with the faces of the rows."""
    n_rows = 0
    for line, cells in rows_of(columns):
        n_rows += 1
        name = f"line {line}"
        try:
            if cells is None:
                raise _LeftOut(WRONG_CELLS)
            source.faces.append(_face(name, cells, source.kind, columns, base))
        except _LeftOut as out:
            source.left_out.add(out.reason, f"{name} ({out.found})" if out.found else name)
    if not n_rows:
        raise UserError(f"{path}: it has no rows. Give a table with a row for each face.")
    if not source.faces:
        why = "; ".join(source.left_out.lines())
        raise UserError(f"{path}: none of its {n_rows} rows can be used{why and ': '}{why}.")
    boxes = [side for face in source.faces if face.box for side in face.box.sides]
    source.box_in_pixels = max(boxes, default=0) > 1
    if source.box_in_pixels:
        _check_pixels(source, path)
    if boxes:
        source.read_as["box unit"] = "pixels" if source.box_in_pixels else "fractions of the photo"
    return source


def _check_pixels(source: Source, path: Path) -> None:
    """Refuses boxes in pixels if most are too small for pixels, and names the first above 1."""
    given = [(face.name, face.box) for face in source.faces if face.box]
    n_small = sum(min(box.width, box.height) < _LEAST_PX for _, box in given)
    if 2 * n_small <= len(given):
        return
    above = [(name, box) for name, box in given if max(box.right, box.bottom) > 1]
    name, box = above[0]
    side = "right" if box.right > 1 else "bottom"
    raise UserError(
        f"{path}, {name}: the box has {side} {getattr(box, side):g}, and a number above 1 means "
        f"that boxes are in pixels, but {n_small} of {len(given)} boxes would then be less than "
        f"{_LEAST_PX} pixels wide or high. Correct or delete the rows above 1 ({len(above)} in "
        "all)."
    )


class _LeftOut(Exception):
    def __init__(self, reason: str, found: str = "") -> None:
        super().__init__(reason)
        self.reason, self.found = reason, found


def _face(name: str, cells: Cells, kind: str, columns: Columns, base: Path) -> LabelledFace:
    text = {role: text_of(cells[columns[role][0]]) for role in columns if len(columns[role]) == 1}
    path, url = _place(text.get("path", ""), text.get("url", ""), base)
    is_label = kind in (LABEL, "")
    label = text.get(LABEL, "") if is_label else ""
    if kind == LABEL and not label:
        raise _LeftOut(NO_LABEL)
    values = (
        () if kind in (LABEL, "") else tuple(_number(cells[column]) for column in columns[kind])
    )
    if kind == COUNTS and min(values) < 0:
        raise _LeftOut(NEGATIVE, f"{min(values):g}")
    if kind == COUNTS and not sum(values):
        raise _LeftOut(ALL_ZERO)
    split = text.get("split", "")
    if split and plain(split) not in SPLIT_NAMES:
        raise _LeftOut(UNKNOWN_SPLIT, split[:40])
    return LabelledFace(
        name,
        path,
        url,
        label,
        values,
        text.get("person", ""),
        SPLIT_NAMES.get(plain(split), ""),
        _box([cells[column] for column in columns["box"]]) if "box" in columns else None,
    )


def _place(path: str, url: str, base: Path) -> tuple[Path | None, str]:
    """The photo's path or its web address; a path goes before a URL."""
    if not path and not url:
        raise _LeftOut(NO_PHOTO)
    if not path and url[:5].lower() == "file:" and is_photo_url(url):
        return Path(url2pathname(urlsplit(url).path)), ""
    if not path or "://" in path:
        url = path or url
        if not is_photo_url(url):
            raise _LeftOut(BAD_URL, url[:60])
        return (
            (Path(url2pathname(urlsplit(url).path)), "")
            if url[:4].lower() == "file"
            else (None, url)
        )
    if "\0" in path:
        raise _LeftOut(NO_PHOTO)
    found = base / path
    if "\\" in path and not _exists(found):  # written on Windows
        found = base / path.replace("\\", "/")
    return found, ""


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # the name is too long, for example
        return False


def _box(cells: list[Any]) -> Box | None:
    if not any(map(text_of, cells)):
        return None
    try:
        left, right, top, bottom = map(_number, cells)
    except _LeftOut:
        raise _LeftOut(BAD_BOX, ", ".join(map(text_of, cells))[:60]) from None
    if not (0 <= left < right and 0 <= top < bottom):
        raise _LeftOut(BAD_BOX, f"left {left:g}, right {right:g}, top {top:g}, bottom {bottom:g}")
    return Box(left, right, top, bottom)


def _number(cell: Any) -> float:
    try:
        value = float(cell) if isinstance(cell, int | float) else float(text_of(cell))
    except (ValueError, OverflowError):
        value = math.nan
    if not math.isfinite(value) or (isinstance(cell, str) and "_" in cell):
        raise _LeftOut(NO_NUMBER, repr(text_of(cell))[:40])
    if abs(value) > _LARGEST:
        raise _LeftOut(TOO_LARGE, f"{value:g}")
    return value + 0.0  # -0.0 becomes 0.0


def text_of(cell: Any) -> str:
    """A cell as text without spaces around it; "" if it is missing or NaN."""
    return "" if cell is None or cell != cell else str(cell).strip()


def _csv(path: Path) -> tuple[list[str], Callable[[Columns], Rows]]:
    with files.open_regular(path) as file:
        content = file.read()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        is_utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        encoding = "UTF-16" if is_utf16 else "WINDOWS-1252"
        raise UserError(
            f"{path}: not UTF-8 text{' but UTF-16' * is_utf16}. Give a csv file in UTF-8 (iconv -f "
            f"{encoding} -t UTF-8 converts {'it' if is_utf16 else 'others'}) or a parquet file."
        ) from None
    first = next((line for line in text.split("\n") if line.strip()), "")
    if "\0" in text or not first:
        what = "it is empty" if not first else "it holds NUL bytes, so it is no text"
        raise UserError(f"{path}: {what}. Give a csv or parquet file with a header, or a folder.")
    if re.fullmatch('"?sep=.?"?', first.strip(), re.IGNORECASE):
        raise UserError(
            f"{path}: the first line is {first.strip()!r}, a note to Excel, where the names of the "
            "columns must be. Delete this line."
        )
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)

    def rows(_: Columns) -> Rows:
        try:
            for cells in reader:
                if any(cells):
                    right = len(cells) == len(header)
                    yield reader.line_num, dict(zip(header, cells)) if right else None
        except csv.Error as error:
            raise UserError(
                f"{path}, line {reader.line_num}: broken csv ({error}); texts with a comma or a "
                "quote must be in double quotes. Fix the line."
            ) from None

    try:
        header = [name.strip() for name in next(cells for cells in reader if any(cells))]
    except (csv.Error, StopIteration) as error:
        raise UserError(f"{path}: no header of a csv file ({error}).") from None
    return header, rows


def _parquet(path: Path) -> tuple[list[str], Callable[[Columns], Rows]]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise UserError(
            f"{path}: reading .parquet requires pyarrow, which is not installed: pip install "
            "pyarrow. Or save the table as .csv."
        ) from None
    # UnicodeDecodeError is a ValueError; a time zone that is not known is a KeyError.
    errors = (pyarrow.ArrowException, OSError, ValueError, OverflowError, KeyError)

    def no_parquet(error: Exception) -> UserError:
        why = " ".join(str(error).split())[:120]
        return UserError(f"{path}: not a parquet file that can be read ({why}).")

    def rows(columns: Columns) -> Rows:
        names = list(dict.fromkeys(name for of_role in columns.values() for name in of_role))
        try:
            with files.open_regular(path) as file:
                table = parquet.read_table(file, columns=names)
        except errors as error:
            raise no_parquet(error) from None
        cells = []
        for name in names:
            try:
                cells.append([_decoded(cell) for cell in table.column(name).to_pylist()])
            except errors as error:
                why = " ".join(str(error).split())[:120]
                raise UserError(
                    f"{path}: column {name!r} cannot be read ({why}). Write it as UTF-8 text or "
                    "as numbers."
                ) from None
        for number, values in enumerate(zip(*cells), start=1):
            yield number, dict(zip(names, values))

    try:
        with files.open_regular(path) as file:  # not a pipe, which would be waited for
            header = parquet.read_schema(file).names
    except errors as error:
        raise no_parquet(error) from None
    if not header:
        raise UserError(f"{path}: it has no columns. Give a table with a column path or url.")
    return list(header), rows


def _decoded(cell: Any) -> Any:
    """A cell; bytes as text, because some programs write texts as bytes."""
    if isinstance(cell, dict | list):
        raise ValueError(f"it holds a {type(cell).__name__}, not texts or numbers")
    return cell.decode() if isinstance(cell, bytes) else cell
