"""The folders of folds, OUT/fold0, OUT/fold1, …: their number, and the faces that they share."""

from __future__ import annotations

import os
import re
from pathlib import Path

from imagefec.errors import UserError

MOST_FOLDS = 100
FACES = "faces"


def fold_folders(out: Path, n_folds: int) -> list[Path]:
    """The folders of the folds; refuses those that this number of folds would not replace.

    Args:
      out: folder that holds them.
      n_folds: 2 to MOST_FOLDS.

    Raises:
      UserError: n_folds is another number, or `out` has a fold of a higher number.
    """
    if not 2 <= n_folds <= MOST_FOLDS:
        raise UserError(
            f"--folds={n_folds}: allowed are 2 to {MOST_FOLDS}. Each fold is trained and tested, "
            "and with one there is nothing to train on."
        )
    for path, number in _found(out):
        if number >= n_folds:
            raise UserError(
                f"{path}: of an earlier call with more folds than {n_folds}, which `fold*` would "
                "mix with these. Delete it, or give another --out."
            )
    return [out / f"fold{number}" for number in range(n_folds)]


def refuse_folds(out: Path) -> None:
    """Refuses a folder of folds, beside which other csv files would be written.

    Args:
      out: the folder; it may be missing.

    Raises:
      UserError: it holds a fold.
    """
    for path, _ in _found(out):
        raise UserError(
            f"{path}: of an earlier call with --folds, whose triplets must not be mixed with "
            "others. Give another --out, or delete it."
        )


def link_faces(fold: Path, faces: Path) -> None:
    """Links FOLD/faces to a folder of faces, which may be cropped later; a real folder stays.

    Args:
      fold: one of `fold_folders`.
      faces: of all folds.

    Raises:
      OSError: the link cannot be made.
    """
    link = fold / FACES
    if link.is_symlink():
        link.unlink()
    if not link.exists():
        link.symlink_to(os.path.relpath(faces.absolute(), fold.absolute()), True)


def _found(out: Path) -> list[tuple[Path, int]]:
    """The folds in a folder, with their numbers."""
    named = ((path, re.fullmatch(r"fold(\d+)", path.name)) for path in sorted(out.glob("fold*")))
    return [(path, int(number[1])) for path, number in named if number]
