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
    for path in sorted(out.glob("fold*")):
        number = re.fullmatch(r"fold(\d+)", path.name)
        if number and int(number[1]) >= n_folds:
            raise UserError(
                f"{path}: of an earlier call with more folds than {n_folds}, which `fold*` would "
                "mix with these. Delete it, or give another --out."
            )
    return [out / f"fold{number}" for number in range(n_folds)]


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
