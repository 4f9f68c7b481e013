"""Triplets of a dataset's split as indices into a face store; without TFDS and sampling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from imagefec.data.store.face_store import (
    NAMES,
    Batches,
    FaceStore,
    FaceStoreWriter,
    read_names,
    write_names,
)

INDEX = "triplets.npz"
ODD_LAST = np.array([[1, 2, 0], [0, 2, 1], [0, 1, 2]])  # row k: the order that puts image k last


@dataclass(frozen=True)
class Triplets:
    """The triplets of a split and the faces that they refer to, each face stored once.

    Attributes:
      faces: uint8 [n, size, size, 3], RGB, in the order in which the triplets first refer to them;
        a read-only array, or a face_store.IndexedFaces.
      face_ids: n ids, in the order of `faces`.
      urls: the photo of each face, n of them; several faces may share one.
      triplets: int32 [t, 3], indices into `faces`; the odd face is LAST, the alike pair is in the
        dataset's order.
      types: int8 [t], a fec.TripletType each; -1 if the dataset has no types.
      vote_counts: int32 [t, 3], how many raters chose the face of that column of `triplets` as the
        odd one; 0 if the dataset has no raters.
      agreement: float32 [t], share of the choices for the odd face, in (0, 1]; 1 if the dataset has
        no raters.
    """

    faces: np.ndarray
    face_ids: list[str]
    urls: list[str]
    triplets: np.ndarray
    types: np.ndarray
    vote_counts: np.ndarray
    agreement: np.ndarray

    def __len__(self) -> int:
        return len(self.triplets)


@dataclass(frozen=True)
class TripletIndex:
    """Triplets in the dataset's own order, their faces as indices into a store.

    Attributes:
      rows: int32 [t, 3], face indices of images a, b, c.
      odd: int8 [t], 0, 1 or 2: which image is the odd one.
      types: as in Triplets.
      vote_counts: int32 [t, 3], for images a, b, c.
      agreement: as in Triplets.
    """

    rows: np.ndarray
    odd: np.ndarray
    types: np.ndarray
    vote_counts: np.ndarray
    agreement: np.ndarray

    @classmethod
    def joined(cls, parts: list[TripletIndex]) -> TripletIndex:
        """Concatenates indices, in order."""
        return cls(
            *(np.concatenate([getattr(part, each.name) for part in parts]) for each in fields(cls))
        )

    @classmethod
    def open(cls, folder: Path, n_faces: int) -> TripletIndex:
        """Reads what `save` wrote.

        Raises:
          OSError: the file cannot be read.
          KeyError: an array is missing.
          ValueError: the file is damaged, or has indices of n_faces or above.
        """
        with np.load(folder / INDEX, allow_pickle=False) as arrays:
            index = cls(**{each.name: arrays[each.name] for each in fields(cls)})
        t = len(index.rows)
        shapes = [getattr(index, each.name).shape for each in fields(cls)]
        if shapes != [(t, 3), (t,), (t,), (t, 3), (t,)] or (
            t and not 0 <= index.rows.min() <= index.rows.max() < n_faces
        ):
            raise ValueError(f"{INDEX} does not fit {n_faces} faces")
        return index

    def save(self, folder: Path) -> None:
        """Writes triplets.npz, which `np.load` reads without pickle."""
        np.savez(folder / INDEX, **{each.name: getattr(self, each.name) for each in fields(self)})

    def with_rows(self, rows: np.ndarray) -> TripletIndex:
        """The same triplets with the face indices of another store."""
        return replace(self, rows=rows)

    def select(self, store: FaceStore, chosen: np.ndarray) -> Triplets:
        """Selects triplets, with the faces that they refer to.

        Args:
          store: the store into which `rows` are indices.
          chosen: int [m], indices of the triplets, in the order of the result.
        """
        used, rows = _first_occurrences(self.rows[chosen])
        faces, order = store.part(used), ODD_LAST[self.odd[chosen]]
        return Triplets(
            faces.faces,
            faces.face_ids,
            faces.urls,
            np.take_along_axis(rows, order, axis=1),
            self.types[chosen],
            np.take_along_axis(self.vote_counts[chosen], order, axis=1),
            self.agreement[chosen],
        )


def write_triplets(batches: Batches, size: int, folder: Path) -> None:
    """Writes the store and the index of self-contained triplets, faces in order of occurrence."""
    index_of: dict[bytes, int] = {}
    parts = []
    with FaceStoreWriter(folder, size) as store:
        for batch in batches:
            new = _number_new(batch["face_ids"], index_of)
            store.add(
                [batch["image_" + "abc"[image]][triplet] for triplet, image in new],
                [
                    (batch["face_ids"][place].decode(), batch["urls"][place].decode())
                    for place in new
                ],
            )
            parts.append(_index_of_batch(batch, index_of))
    TripletIndex.joined(parts).save(folder)


def read_triplets(folder: Path, size: int) -> tuple[FaceStore, TripletIndex]:
    """Reads what write_triplets wrote.

    Raises:
      OSError, ValueError, KeyError: a file is damaged, as for FaceStore.open and TripletIndex.open.
    """
    store = FaceStore.open(folder, size)
    return store, TripletIndex.open(folder, len(store))


def write_index(batches: Batches, folder: Path) -> None:
    """Writes the index of triplets that refer to faces by id, and the ids that its indices mean."""
    index_of: dict[bytes, int] = {}
    parts = []
    for batch in batches:
        _number_new(batch["face_ids"], index_of)
        parts.append(_index_of_batch(batch, index_of))
    TripletIndex.joined(parts).save(folder)
    with (folder / NAMES).open("w", encoding="utf-8") as file:
        write_names(file, [(face_id.decode(),) for face_id in index_of])


def read_index(folder: Path) -> tuple[list[str], TripletIndex]:
    """Reads what write_index wrote, as (ids, index).

    Raises:
      OSError, ValueError, KeyError: a file is damaged, as for TripletIndex.open.
    """
    face_ids = [face_id for (face_id,) in read_names(folder / NAMES)]
    return face_ids, TripletIndex.open(folder, len(face_ids))


def _first_occurrences(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the distinct values in `rows` by first occurrence, and `rows` as int32 into these."""
    distinct, first, places = np.unique(rows.reshape(-1), return_index=True, return_inverse=True)
    order = np.argsort(first)
    place_of = np.empty(len(order), np.int32)
    place_of[order] = np.arange(len(order), dtype=np.int32)
    return distinct[order], place_of[places.reshape(-1)].reshape(rows.shape)


def _number_new(face_ids: np.ndarray, index_of: dict[bytes, int]) -> list[tuple[int, ...]]:
    """Adds the ids of [b, 3] that `index_of` lacks; returns where each occurs first."""
    new = []
    for place, face_id in np.ndenumerate(face_ids):
        if face_id not in index_of:
            index_of[face_id] = len(index_of)
            new.append(place)
    return new


def _index_of_batch(batch: Mapping[str, np.ndarray], index_of: Mapping[bytes, int]) -> TripletIndex:
    n, ids = len(batch["odd"]), batch["face_ids"].reshape(-1).tolist()
    rows = np.array([index_of[face_id] for face_id in ids], np.int32).reshape(n, 3)
    odd = batch["odd"].astype(np.int8)
    if "votes" not in batch:
        return TripletIndex(
            rows, odd, np.full(n, -1, np.int8), np.zeros((n, 3), np.int32), np.ones(n, np.float32)
        )
    return TripletIndex(
        rows, odd, batch["type"].astype(np.int8), batch["votes"], batch["agreement"]
    )
