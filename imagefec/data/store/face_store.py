"""All faces of a dataset's split as one memory-mapped array; without TFDS and triplets.

A store is a folder of plain files, read with `np.load(…, mmap_mode="r")` and `json.loads`:

    faces.npy     uint8 [n, size, size, 3], RGB
    names.jsonl   n lines, each a JSON list: [face id, url] or [face id, url, identity]
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import cv2
import numpy as np

from imagefec.cpu import cpu_count
from imagefec.errors import UserError
from imagefec.faces import opencv

FACES, NAMES = "faces.npy", "names.jsonl"

# Examples of a dataset: feature -> [b, ...]. Texts and encoded images are bytes; "votes" are counts
# per image.
Batches = Iterable[Mapping[str, np.ndarray]]


@dataclass(frozen=True)
class FaceStore:
    """Faces mapped from a file: pages take memory when they are read, and the system may free them.

    Attributes:
      faces: uint8 [n, size, size, 3], RGB, read-only; an array or an IndexedFaces.
      face_ids: n ids.
      urls: the photo of each face.
      identities: the identity of each face; None if the dataset has none.
    """

    faces: np.ndarray
    face_ids: list[str]
    urls: list[str]
    identities: list[str] | None

    @classmethod
    def open(cls, folder: Path, size: int) -> FaceStore:
        """Opens what a FaceStoreWriter wrote.

        Raises:
          OSError: a file cannot be read.
          ValueError: a file is damaged, or the faces have another size.
        """
        faces = np.load(folder / FACES, mmap_mode="r", allow_pickle=False)
        names = read_names(folder / NAMES)
        if faces.dtype != np.uint8 or faces.shape != (len(names), size, size, 3):
            raise ValueError(
                f"{FACES} is {faces.dtype} {list(faces.shape)}, but {NAMES} lists {len(names)} "
                f"faces of {size} px"
            )
        if len({len(name) for name in names}) > 1:
            raise ValueError(f"{NAMES} has lines of several lengths")
        ids, urls, *others = (list(column) for column in zip(*names)) if names else ([], [])
        return cls(np.asarray(faces), ids, urls, others[0] if others else None)

    def __len__(self) -> int:
        return len(self.faces)

    def indices_of(self, face_ids: Sequence[str]) -> np.ndarray:
        """The index of each of these ids, int64; -1 for an id that the store lacks."""
        index_of = {face_id: index for index, face_id in enumerate(self.face_ids)}
        return np.array([index_of.get(face_id, -1) for face_id in face_ids], np.int64)

    def part(self, indices: np.ndarray) -> FaceStore:
        """The store of these faces only, in this order; no face is copied or read."""
        if np.array_equal(indices, np.arange(len(self))):
            return self
        n, listed = len(indices), indices.tolist()
        first = listed[0] if listed else 0
        contiguous = n > 0 and np.array_equal(indices, np.arange(first, first + n))
        return FaceStore(
            self.faces[first : first + n] if contiguous else IndexedFaces(self.faces, indices),  # type: ignore[arg-type] # an array to its users
            [self.face_ids[index] for index in listed],
            [self.urls[index] for index in listed],
            self.identities and [self.identities[index] for index in listed],
        )


class IndexedFaces:
    """Faces of a mapped array in any order, read on access; behaves like an array of them.

    Args:
      faces: the mapped array, uint8 [m, size, size, 3].
      indices: int [n], into `faces`.
    """

    def __init__(self, faces: np.ndarray, indices: np.ndarray) -> None:
        self._faces, self._indices = faces, indices
        self.dtype, self.ndim = faces.dtype, faces.ndim
        self.shape = (len(indices), *faces.shape[1:])
        self.nbytes = len(indices) * faces[:1].nbytes

    def __len__(self) -> int:
        return len(self._indices)

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self._faces[index] for index in self._indices)

    def __getitem__(self, key: Any) -> np.ndarray:
        first, *others = key if isinstance(key, tuple) else (key,)
        indices = self._indices[first]
        return (
            self._faces[(indices, *others)]
            if np.ndim(indices) == 0
            else self._faces[indices][(slice(None), *others)]
        )

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("IndexedFaces becomes an array only as a copy; found copy=False")
        return np.asarray(self._faces[self._indices], dtype)


class FaceStoreWriter:
    """Writes a store, batch by batch, as a context manager; memory does not grow with the store.

    Args:
      folder: exists and is empty.
      size: side of the stored faces, pixels; larger faces are averaged by area, smaller ones
        interpolated.
    """

    def __init__(self, folder: Path, size: int) -> None:
        self._size, self._n = size, 0
        with contextlib.ExitStack() as opened:
            self._faces = opened.enter_context((folder / FACES).open("wb"))
            self._names = opened.enter_context((folder / NAMES).open("w", encoding="utf-8"))
            self._pool = opened.enter_context(ThreadPoolExecutor(min(8, cpu_count())))
            self._write_header()
            self._opened = opened.pop_all()

    def __enter__(self) -> FaceStoreWriter:
        return self

    def __exit__(self, *error: Any) -> None:
        with self._opened:
            if error[0] is None:
                self._faces.seek(0)
                self._write_header()

    def add(self, images: Sequence[bytes], names: Sequence[tuple[str, ...]]) -> None:
        """Adds faces.

        Args:
          images: PNG or JPEG files, each of a square face.
          names: (face id, url) or (face id, url, identity) of each.

        Raises:
          UserError: an image is damaged.
          OSError: the disk is full.
        """
        faces = np.empty((len(images), self._size, self._size, 3), np.uint8)
        list(self._pool.map(_decode, images, (name[0] for name in names), faces))
        self._faces.write(faces.data)
        write_names(self._names, names)
        self._n += len(images)

    def _write_header(self) -> None:
        """Writes the header in place: NumPy pads it, so that its length is the same for any n."""
        np.lib.format.write_array_header_1_0(
            self._faces,
            {"descr": "|u1", "fortran_order": False, "shape": (self._n, self._size, self._size, 3)},
        )


def write_faces(batches: Batches, size: int, folder: Path) -> None:
    """Writes a store from examples of single faces.

    Args:
      batches: with the features image, face_id, url and, if the dataset has it, identity.
      size: as for FaceStoreWriter.
      folder: as for FaceStoreWriter.
    """
    with FaceStoreWriter(folder, size) as store:
        for batch in batches:
            columns = [batch[name] for name in ("face_id", "url", "identity") if name in batch]
            names = [tuple(text.decode() for text in example) for example in zip(*columns)]
            store.add(list(batch["image"]), names)


def write_names(file: IO[str], names: Iterable[Sequence[str]]) -> None:
    """Writes one JSON list per line."""
    file.writelines(json.dumps(name) + "\n" for name in names)


def read_names(path: Path) -> list[list[str]]:
    """Reads what write_names wrote.

    Raises:
      OSError: the file cannot be read.
      ValueError: the file is damaged.
    """
    text = path.read_text(encoding="utf-8")
    if text and not text.endswith("\n"):
        raise ValueError(f"{path.name} ends within a line")
    try:
        names = [json.loads(line) for line in text.splitlines()]
    except RecursionError:
        raise ValueError(f"{path.name} has a line that is nested too deeply") from None
    for name in names:
        if not isinstance(name, list) or not all(isinstance(part, str) for part in name):
            raise ValueError(f"{path.name} has a line that is no list of texts")
    return names


def _decode(image: bytes, face_id: str, to: np.ndarray) -> None:
    bgr = cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR)
    if bgr is None:
        raise UserError(
            f"The image of face {face_id} is damaged; build the dataset again with --overwrite."
        )
    size = to.shape[0]
    cv2.cvtColor(opencv.resize(bgr, size, size), cv2.COLOR_BGR2RGB, dst=to)
