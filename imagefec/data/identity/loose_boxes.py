"""VGGFace2's own boxes, from loose_bb_train.csv and loose_bb_test.csv: 24 bytes per photo."""

from __future__ import annotations

import array
import csv
import functools
import hashlib
import itertools
import math
import os
from pathlib import Path

import numpy as np

from imagefec.data.identity.folders import SPLIT_FOLDERS
from imagefec.errors import UserError
from imagefec.maths.geometry import Box

HEADER = ["NAME_ID", "X", "Y", "W", "H"]
_FOLDERS = (".", "bb_landmark", "meta", "meta/bb_landmark")


class LooseBoxes:
    """Boxes by identity and file name, in pixels of the photo as stored.

    Only the path is pickled: each process reads the file once.

    Args:
      path: of the csv file.
      keys: uint64 [n], digests of identity/name.
      boxes: float32 [n, 4], (x, y, width, height) in pixels.
    """

    def __init__(self, path: str | os.PathLike[str], keys: np.ndarray, boxes: np.ndarray) -> None:
        order = np.argsort(keys, kind="stable")
        self._path, self._keys, self._boxes = path, keys[order], boxes[order]

    def find(self, identity: str, file_name: str) -> Box | None:
        """The box of a photo; None if the csv file has none, or an empty one."""
        key = _key(f"{identity}/{Path(file_name).stem}")
        at = np.searchsorted(self._keys, key)
        if at == len(self._keys) or self._keys[at] != key:
            return None
        x, y, w, h = (float(v) for v in self._boxes[at])
        return Box(x, x + w, y, y + h) if w > 0 and h > 0 and math.isfinite(x + y + w + h) else None

    def __len__(self) -> int:
        return len(self._keys)

    def __reduce__(self) -> tuple:
        return _read_once, (self._path,)


def find_loose_boxes(split: str, folder: Path, manual_dir: str | os.PathLike[str]) -> Path:
    """Finds the split's csv file beside its folder or in a folder above it.

    The search ends at the manual directory; bb_landmark and meta in each folder are searched too.

    Raises:
      UserError: it is not found.
    """
    names, root = [f"loose_bb_{name}.csv" for name in SPLIT_FOLDERS[split]], Path(manual_dir)
    above = [
        parent for parent in (folder, *folder.parents) if parent == root or root in parent.parents
    ]
    for parent in above:
        for inside, name in itertools.product(_FOLDERS, names):
            if (parent / inside / name).is_file():
                return parent / inside / name
    raise UserError(
        f"{root}: boxes='loose_bb' requires {' or '.join(names)}; found none in it, in its "
        f"{' or '.join(_FOLDERS[1:])}, or beside {folder}. Put VGGFace2's file there, or omit "
        "boxes, so that the detector searches complete photos."
    )


def read_loose_boxes(path: str | os.PathLike[str]) -> LooseBoxes:
    """Reads a loose_bb file; a byte order mark, CRLF and blank lines are accepted.

    Raises:
      UserError: it cannot be read, its header is not VGGFace2's, or a row is not a name and four
        numbers; the text names the line.
    """
    keys, numbers = array.array("Q"), array.array("f")
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file, skipinitialspace=True)
            filled = (row for row in rows if any(cell.strip() for cell in row))
            header = next(filled, [])
            if header != HEADER:
                raise UserError(
                    f"{path}: found the header {','.join(header)[:80]!r}, not "
                    f"{','.join(HEADER)!r}. Get VGGFace2's file again."
                )
            for row in filled:
                if len(row) != len(HEADER):
                    raise ValueError
                numbers.extend(float(cell) for cell in row[1:])
                keys.append(_key(row[0]))
    except (ValueError, csv.Error):  # UnicodeDecodeError is a ValueError
        raise UserError(
            f"{path}, line {rows.line_num}: not a name and four numbers ({','.join(HEADER)}). Get "
            "the file again, or omit boxes, so that the detector searches complete photos."
        ) from None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}.") from None
    return LooseBoxes(
        path, np.frombuffer(keys, np.uint64), np.frombuffer(numbers, np.float32).reshape(-1, 4)
    )


@functools.lru_cache(maxsize=2)
def _read_once(path: str | os.PathLike[str]) -> LooseBoxes:
    return read_loose_boxes(path)


def _key(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest())
