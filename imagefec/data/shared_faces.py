"""Samples batches whose triplets share faces, so that a step computes fewer faces per triplet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from imagefec.errors import UserError

if TYPE_CHECKING:
    from imagefec.data.store.triplets import Triplets

_CANDIDATES = 6  # so many are drawn, and the one that was in the fewest batches is taken
_CHOSEN = -1  # stands for the number of faces that a triplet lacks


class SharedFacesSampler:
    """Batches of triplets among few faces: a face that occurs in several is in the batch once.

    A batch grows from one triplet: it takes triplets all of whose faces it has, then those that
    lack one face, then two. In FEC a face is in 10 triplets on average, so 96 faces give more than
    50 triplets instead of 32. Triplets that were in few batches so far are preferred.

    Args:
      data: the triplets.
      batch_triplets: triplets per step. If a batch's faces have fewer, the first ones are repeated.
      batch_faces: faces per step. If the triplets need fewer, the rest are random other faces.
      seed: of the order.

    Raises:
      UserError: the batch does not fit the data.
    """

    def __init__(self, data: Triplets, batch_triplets: int, batch_faces: int, seed: int) -> None:
        self._data, self._seed = data, seed
        self._batch_triplets, self.faces_per_step = batch_triplets, batch_faces
        self.faces = data.faces
        n_faces = len(np.unique(data.triplets))
        if n_faces < batch_faces or len(data.triplets) < batch_triplets:
            raise UserError(
                f"a batch takes {batch_triplets} triplets among {batch_faces} faces "
                f"(training.batch_triplets, training.batch_faces), and the data hold "
                f"{len(data.triplets)} triplets of {n_faces} faces. Use smaller batches or load "
                "more triplets."
            )

    def batches(self, skip: int) -> Iterator[tuple[np.ndarray, ...]]:
        """Batches of the steps after the first `skip`.

        Returns:
          An iterator over (face indices int32 [faces], types int8 [batch], vote counts int32
          [batch, 3], members int32 [batch, 3]). A triplet's members are places in face indices.
        """
        data = self._data
        of_batch = growing_batches(
            data.triplets, self._batch_triplets, self.faces_per_step, self._seed, skip
        )
        for faces, chosen in of_batch:
            place = np.zeros(len(data.faces), np.int32)
            place[faces] = np.arange(len(faces))
            yield (
                faces,
                data.types[chosen],
                data.vote_counts[chosen].astype(np.int32),
                place[data.triplets[chosen]],
            )


def growing_batches(
    triplets: np.ndarray, batch_triplets: int, batch_faces: int, seed: int, skip: int = 0
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Samples batches of triplets that share faces, indefinitely.

    Args:
      triplets: int [n, 3], n >= batch_triplets, of batch_faces or more different faces.
      batch_triplets: m, 1 or more.
      batch_faces: f, 3 or more.
      seed: of the sampling; the same seed gives the same batches.
      skip: how many batches to skip at the start, to resume a run; each takes about 2 ms.

    Returns:
      An iterator over (faces int32 [f], all different, chosen int [m], rows of `triplets`).
    """
    random = np.random.default_rng(seed)
    members, of_face = triplets.tolist(), _triplets_of_faces(triplets)
    used = [0] * len(members)
    number, pool = 0, np.unique(triplets)
    seeds: Iterator[int] = iter(())
    while True:
        batch = _Batch(members, of_face, batch_faces, used, random)
        while len(batch.chosen) < batch_triplets:
            chosen = batch.next()
            if chosen is None:
                if batch.room < 3:
                    break
                chosen, seeds = _next_seed(seeds, batch, len(members), random)
            batch.add(chosen)
        number += 1
        if number > skip:
            faces = np.fromiter(batch.place, np.int32, len(batch.place))
            others = random.choice(np.setdiff1d(pool, faces), batch.room, replace=False)
            yield np.append(faces, others).astype(np.int32), np.resize(batch.chosen, batch_triplets)
        else:  # the same random numbers as if the batch had been used
            random.choice(len(pool) - len(batch.place), batch.room, replace=False)


class _Batch:
    """One batch while it grows.

    Attributes:
      chosen: its triplets.
      place: face -> its place in the batch.
    """

    def __init__(
        self,
        members: list[list[int]],
        of_face: list[list[int]],
        batch_faces: int,
        used: list[int],
        random: np.random.Generator,
    ) -> None:
        self._members, self._of_face, self._used = members, of_face, used
        self._batch_faces, self._random = batch_faces, random
        self.chosen: list[int] = []
        self.place: dict[int, int] = {}
        self._lacks: dict[int, int] = {}
        self._waiting: tuple[list[int], ...] = ([], [], [])  # triplets that lack 0, 1 and 2 faces

    @property
    def room(self) -> int:
        """How many faces may still be added."""
        return self._batch_faces - len(self.place)

    def has(self, triplet: int) -> bool:
        """Whether the batch has chosen a triplet."""
        return self._lacks.get(triplet) == _CHOSEN

    def add(self, triplet: int) -> None:
        """Adds a triplet and its faces."""
        self.chosen.append(triplet)
        self._used[triplet] += 1
        self._lacks[triplet] = _CHOSEN
        for face in self._members[triplet]:
            if face in self.place:
                continue
            self.place[face] = len(self.place)
            for other in self._of_face[face]:
                lacks = self._lacks.get(other, 3)
                if lacks != _CHOSEN:
                    self._lacks[other] = lacks - 1
                    self._waiting[lacks - 1].append(other)

    def next(self) -> int | None:
        """A triplet that lacks as few faces as possible; None if no triplet fits."""
        for lacks, waiting in enumerate(self._waiting[: self.room + 1]):
            while waiting:
                drawn = self._random.integers(len(waiting), size=_CANDIDATES).tolist()
                at = min(drawn, key=lambda at: self._used[waiting[at]])
                triplet, waiting[at] = waiting[at], waiting[-1]
                waiting.pop()
                if self._lacks[triplet] == lacks:  # it has not come nearer or been chosen since
                    return triplet
        return None


def _next_seed(
    seeds: Iterator[int], batch: _Batch, n: int, random: np.random.Generator
) -> tuple[int, Iterator[int]]:
    """The next triplet of a shuffled epoch that the batch does not have, and the rest of it."""
    while True:
        for triplet in seeds:
            if not batch.has(triplet):
                return triplet, seeds
        seeds = iter(random.permutation(n).tolist())


def _triplets_of_faces(triplets: np.ndarray) -> list[list[int]]:
    """For each face the triplets that it is in."""
    of_face: list[list[int]] = [[] for _ in range(int(triplets.max()) + 1)]
    for row, members in enumerate(triplets.tolist()):
        for face in members:
            of_face[face].append(row)
    return of_face
