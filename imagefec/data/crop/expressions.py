"""Reads expressions.csv, which may lie beside FEC's csv files and names each face's expression.

FEC has no such labels. They serve the report of the crop only: no later stage reads them.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from imagefec import files
from imagefec.data.fec_csv import FaceRef
from imagefec.errors import UserError
from imagefec.fec import EXPRESSIONS_CSV, EXPRESSIONS_HEADER
from imagefec.maths.geometry import Box

MOST_LABELS = 200  # FEC's photos were searched for with 30 words
_MAX_LENGTH = 60


def read_expressions(csv_paths: Sequence[str | os.PathLike[str]]) -> dict[str, str]:
    """Reads the labels beside csv files.

    Args:
      csv_paths: FEC's csv files. Each of their folders may have an expressions.csv, UTF-8 with the
        header url,left,right,top,bottom,expression: the URL and box as in FEC's files, and a word.

    Returns:
      Label by face id; empty if there is no such file.

    Raises:
      UserError: a file is damaged, or has more different labels than there are expressions.
    """
    labels: dict[str, str] = {}
    for folder in dict.fromkeys(Path(path).parent for path in csv_paths):
        path = folder / EXPRESSIONS_CSV
        try:
            labels.update(_read(path))
        except FileNotFoundError:
            continue
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise UserError(
                f"{path}: cannot be read ({error}). Fix or delete the file: it is optional."
            ) from None
    return labels


def _read(path: Path) -> Iterator[tuple[str, str]]:
    distinct: dict[str, str] = {}
    with files.open_regular(path) as file:
        lines = csv.reader((raw.decode("utf-8-sig") for raw in file), strict=True)
        for number, cells in enumerate(lines, start=1):
            if number == 1:
                if tuple(cells) != EXPRESSIONS_HEADER:
                    raise _bad(path, number, f"the header is {','.join(cells)!r:.80}")
                continue
            if not cells:
                continue
            try:
                url, left, right, top, bottom, label = cells
                # + 0.0 turns -0.0 into 0.0, as in the csv files
                box = Box(*(float(side) + 0.0 for side in (left, right, top, bottom)))
            except ValueError:
                raise _bad(path, number, f"found {','.join(cells)!r:.80}") from None
            label = " ".join(label.split())
            if not 0 < len(label) <= _MAX_LENGTH or not label.isprintable():
                raise _bad(path, number, f"the label is {label!r:.80}")
            yield FaceRef(url, box).face_id, distinct.setdefault(label, label)
            if len(distinct) > MOST_LABELS:
                raise _bad(path, number, f"{MOST_LABELS} other labels stand above {label!r}")


def _bad(path: Path, line: int, found: str) -> UserError:
    return UserError(
        f"{path}, line {line}: {found}; allowed are the header {','.join(EXPRESSIONS_HEADER)} and, "
        f"in each further line, a face with a label of 1 to {_MAX_LENGTH} characters, of at most "
        f"{MOST_LABELS} different ones. Fix or delete the file: it is optional."
    )
