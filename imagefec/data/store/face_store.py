"""All faces of a dataset's split as one memory-mapped array with an index by id; knows nothing of TFDS or triplets.

A bank is a folder of plain files, read with `np.load(…, mmap_mode="r")` and `json.loads`:

    faces.npy     uint8 [n, size, size, 3], RGB
    names.jsonl   n lines, each a JSON list: [face id, url] or [face id, url, identity]
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from imagefec.errors import UserError

FACES, NAMES = "faces.npy", "names.jsonl"


@dataclass(frozen=True)
class FaceStore:
    """Faces, mapped from a file: they take memory only where they are looked at, and the system may have it back.

    Attributes:
      faces: uint8 [n, size, size, 3], RGB, not to be written to.
      face_ids: n ids.
      urls: the photograph of each face.
      identities: who is on each; None where the dataset does not say.
    """

    faces: np.ndarray
    face_ids: list[str]
    urls: list[str]
    identities: list[str] | None

    @classmethod
    def open(cls, folder: Path, size: int) -> FaceStore:
        """Opens what a FaceStoreWriter wrote.

        Raises:
          OSError, ValueError: it is damaged, or its faces have another size.
        """
        faces = np.load(folder / FACES, mmap_mode="r", allow_pickle=False)
        names = read_names(folder / NAMES)
        if faces.dtype != np.uint8 or faces.shape != (len(names), size, size, 3):
            raise ValueError(
                f"{FACES} is {faces.dtype} {list(faces.shape)}, and {NAMES} names {len(names)} faces of {size} px"
            )
        if len({len(name) for name in names}) > 1:
            raise ValueError(f"{NAMES} has lines of several lengths")
        ids, urls, *others = (list(column) for column in zip(*names)) if names else ([], [])
        return cls(np.asarray(faces), ids, urls, others[0] if others else None)

    def __len__(self) -> int:
        return len(self.faces)

    def rows_of(self, face_ids: Sequence[str]) -> np.ndarray:
        """int64, the row of each of these ids; -1 for one that is not there."""
        row_of = {face_id: row for row, face_id in enumerate(self.face_ids)}
        return np.array([row_of.get(face_id, -1) for face_id in face_ids], np.int64)

    def part(self, rows: np.ndarray) -> FaceStore:
        """The bank of these rows only, in their order; no face is copied or read."""
        if np.array_equal(rows, np.arange(len(self))):
            return self
        listed = rows.tolist()
        neighbours = len(rows) > 0 and np.array_equal(rows, np.arange(rows[0], rows[0] + len(rows)))
        faces = (
            self.faces[rows[0] : rows[0] + len(rows)] if neighbours else FaceRows(self.faces, rows)
        )
        return FaceStore(
            faces,
            *([column[row] for row in listed] for column in (self.face_ids, self.urls)),
            self.identities and [self.identities[row] for row in listed],
        )


class FaceRows:
    """Rows of a mapped array, in any order, read where they are asked for; else like the array [n, size, size, 3].

    Args:
      faces: the mapped array.
      rows: int [n].
    """

    def __init__(self, faces: np.ndarray, rows: np.ndarray):
        self._faces, self._rows = faces, rows
        self.dtype, self.ndim, self.shape = faces.dtype, faces.ndim, (len(rows), *faces.shape[1:])
        self.nbytes = len(rows) * faces[:1].nbytes

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self._faces[row] for row in self._rows)

    def __getitem__(self, key: Any) -> np.ndarray:
        first, *others = key if isinstance(key, tuple) else (key,)
        rows = self._rows[first]
        return (
            self._faces[(rows, *others)]
            if np.ndim(rows) == 0
            else self._faces[rows][(slice(None), *others)]
        )

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("rows of a face bank are an array only as a copy")
        return np.asarray(self._faces[self._rows], dtype)


class FaceStoreWriter:
    """Writes a bank, face after face, in a `with`: memory does not grow with it.

    Args:
      folder: is there, and empty.
      size: side of the faces in the bank, in pixels; faces given are averaged by area to a smaller
        one, interpolated to a larger.
    """

    def __init__(self, folder: Path, size: int):
        self._size, self._n = size, 0
        with contextlib.ExitStack() as opened:
            self._faces = opened.enter_context(open(folder / FACES, "wb"))
            self._names = opened.enter_context(open(folder / NAMES, "w", encoding="utf-8"))
            self._pool = opened.enter_context(ThreadPoolExecutor(min(8, os.cpu_count() or 1)))
            self._write_head()
            self._opened = opened.pop_all()

    def __enter__(self) -> FaceStoreWriter:
        return self

    def __exit__(self, *error: Any) -> None:
        with self._opened:
            if error[0] is None:
                self._faces.seek(0)
                self._write_head()

    def add(self, pictures: Sequence[bytes], names: Sequence[tuple[str, ...]]) -> None:
        """Adds faces.

        Args:
          pictures: PNG or JPEG files, each of a face.
          names: (face id, url) or (face id, url, identity) of each.

        Raises:
          UserError: a picture is damaged.
          OSError: there is no room.
        """
        faces = np.empty((len(pictures), self._size, self._size, 3), np.uint8)
        list(self._pool.map(_decode, pictures, (name[0] for name in names), faces))
        self._faces.write(faces.data)
        write_names(self._names, names)
        self._n += len(pictures)

    def _write_head(self) -> None:
        """NumPy pads the head of an array so that it has the same length for any n."""
        np.lib.format.write_array_header_1_0(
            self._faces,
            {"descr": "|u1", "fortran_order": False, "shape": (self._n, self._size, self._size, 3)},
        )


def write_names(file: Any, names: Sequence[Sequence[str]]) -> None:
    """Writes a JSON list a line."""
    file.writelines(json.dumps(name) + "\n" for name in names)


def read_names(path: Path) -> list[list[str]]:
    """Reads what write_names wrote; ValueError if it was cut."""
    text = path.read_text(encoding="utf-8")
    if text and not text.endswith("\n"):
        raise ValueError(f"{path.name} ends within a line")
    return [json.loads(line) for line in text.splitlines()]


def _decode(picture: bytes, face_id: str, to: np.ndarray) -> None:
    bgr = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    if bgr is None:
        raise UserError(f"The image of face {face_id} is damaged; build again with --overwrite.")
    size = to.shape[0]
    if bgr.shape[:2] != (size, size):
        # INTER_AREA averages when it shrinks; when it enlarges it only repeats pixels.
        how = cv2.INTER_AREA if size < min(bgr.shape[:2]) else cv2.INTER_CUBIC
        bgr = cv2.resize(bgr, (size, size), interpolation=how)
    cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB, dst=to)
