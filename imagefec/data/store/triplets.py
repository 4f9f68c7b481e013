"""Triplets as rows of a face bank, and the order in which batches of them are drawn; knows nothing of TFDS or files of faces."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from imagefec.errors import UserError

if TYPE_CHECKING:
    from imagefec.data.store.face_store import FaceStore

INDEX = "triplets.npz"
ODD_LAST = np.array(
    [[1, 2, 0], [0, 2, 1], [0, 1, 2]]
)  # row k: the images' order that puts image k last


@dataclass(frozen=True)
class Triplets:
    """The triplets of a split and the faces they mention, each face stored once.

    Attributes:
      faces: uint8 [n, size, size, 3], RGB, in the order in which the triplets first mention them;
        an array that is not to be written to, or a face_bank.FaceRows.
      face_ids: n ids, in the order of `faces`.
      urls: the photograph of each face, n of them; several faces may share one.
      triplets: int32 [t, 3], rows of `faces`; the ODD ONE LAST, the alike pair in the dataset's
        order.
      types: int8 [t], 0 one-class, 1 two-class, 2 three-class; -1 where the dataset has no types.
      vote_counts: int32 [t, 3], how many annotators found the face of that column of `triplets` the odd
        one; 0 where nobody was asked.
      agreement: float32 [t], share of the votes that the odd one got, in (0, 1]; 1 where nobody was
        asked.
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
    """Triplets in the dataset's own order, their faces as row numbers.

    Attributes:
      rows: int32 [t, 3], of images a, b, c.
      odd: int8 [t], 0, 1 or 2: which image is the odd one.
      types, agreement: as Triplets has them.
      vote_counts: int32 [t, 3], for images a, b, c.
    """

    rows: np.ndarray
    odd: np.ndarray
    types: np.ndarray
    vote_counts: np.ndarray
    agreement: np.ndarray

    @classmethod
    def joined(cls, parts: list[TripletIndex]) -> TripletIndex:
        """One of several, in their order."""
        return cls(
            *(np.concatenate([getattr(part, each.name) for part in parts]) for each in fields(cls))
        )

    @classmethod
    def open(cls, folder: Path, n_faces: int) -> TripletIndex:
        """Reads what `save` wrote.

        Raises:
          OSError, ValueError, KeyError: it is damaged, or mentions rows beyond n_faces.
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
        """The same triplets of a bank whose rows are others."""
        return replace(self, rows=rows)

    def of(self, bank: FaceStore, chosen: np.ndarray) -> Triplets:
        """The chosen triplets with the faces they mention.

        Args:
          bank: whose rows `rows` are.
          chosen: int [m], which triplets, in which order.
        """
        mentioned, rows = _first_mentions(self.rows[chosen])
        faces, order = bank.part(mentioned), ODD_LAST[self.odd[chosen]]
        return Triplets(
            faces.faces,
            faces.face_ids,
            faces.urls,
            np.take_along_axis(rows, order, axis=1),
            self.types[chosen],
            np.take_along_axis(self.vote_counts[chosen], order, axis=1),
            self.agreement[chosen],
        )


def triplet_batches(
    data: Triplets, batch_triplets: int, seed: int, balanced: bool = False, skip: int = 0
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Draws batches for ever; every triplet comes once an epoch, and each epoch is shuffled anew.

    Where the batch size does not divide the number of triplets, a batch ends one epoch and begins
    the next, so nothing is dropped.

    Args:
      data: what `load_triplets` returned.
      batch_triplets: triplets a batch, 1 or more.
      seed: of the order; the same seed gives the same batches.
      balanced: draw as many of each of the three types, in turns 0, 1, 2, 0, 1, 2, ...; an epoch is
        then each type's own, and a rare type comes round more often.
      skip: batches to pass over at the start without reading their faces: where a resumed run goes
        on.

    Returns:
      An iterator over (faces, types): faces uint8 [3 * batch_triplets, size, size, 3], (alike,
        alike, odd) of
      the first triplet, then of the second, ...; types int8 [batch_triplets].

    Raises:
      UserError: batch_triplets is below 1, above the number of triplets (of any type, if balanced),
        or, if balanced, not a multiple of 3.
    """
    numbers = triplet_numbers(data, batch_triplets, seed, balanced, skip)
    return (
        (data.faces[data.triplets[chosen].reshape(-1)], data.types[chosen]) for chosen in numbers
    )


def triplet_numbers(
    data: Triplets, batch_triplets: int, seed: int, balanced: bool = False, skip: int = 0
) -> Iterator[np.ndarray]:
    """The order of `triplet_batches`, as row numbers int [batch_triplets] into data.triplets; the arguments are its own."""
    if batch_triplets < 1:
        raise UserError(f"The batch is {batch_triplets} triplets; it must be 1 or more.")
    pools = (
        [np.flatnonzero(data.types == kind) for kind in range(3)]
        if balanced
        else [np.arange(len(data))]
    )
    if batch_triplets % len(pools):
        raise UserError(
            f"The batch is {batch_triplets} triplets; a balanced one holds as many of each of 3 types, so "
            "take a multiple of 3, or turn balancing off."
        )
    share = batch_triplets // len(pools)
    for kind, pool in enumerate(pools):
        if len(pool) < share:
            which = f" of type {kind}, which balancing asks for," if balanced else ""
            raise UserError(
                f"A batch takes {share} triplets{which} and the data hold {len(pool)}. Take a smaller batch "
                "or load more triplets."
            )
    return _numbers(pools, share, np.random.default_rng(seed), skip)


def shuffled_forever(
    pool: np.ndarray, share: int, random: np.random.Generator
) -> Iterator[np.ndarray]:
    """Shares of the pool, all of it once an epoch, each epoch shuffled anew; nothing is dropped between epochs."""
    waiting = np.empty(0, pool.dtype)
    while True:
        while len(waiting) < share:
            waiting = np.concatenate([waiting, random.permutation(pool)])
        yield waiting[:share]
        waiting = waiting[share:]


def _first_mentions(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct numbers in `rows`, in the order in which they first come, and `rows` as places in that list, int32."""
    distinct, first, places = np.unique(rows.reshape(-1), return_index=True, return_inverse=True)
    order = np.argsort(first)
    place_of = np.empty(len(order), np.int32)
    place_of[order] = np.arange(len(order), dtype=np.int32)
    return distinct[order], place_of[places.reshape(-1)].reshape(rows.shape)


def _numbers(
    pools: list[np.ndarray], share: int, random: np.random.Generator, skip: int
) -> Iterator[np.ndarray]:
    streams = [
        shuffled_forever(pool, share, child) for pool, child in zip(pools, random.spawn(len(pools)))
    ]
    for _ in range(skip):
        for stream in streams:
            next(stream)
    while True:
        yield np.stack([next(stream) for stream in streams], axis=1).reshape(-1)
