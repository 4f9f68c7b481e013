"""Which faces make a step's batch, as row numbers, for ever and from any step on; their pictures are input.py's."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from imagefec.data.identity.sampling import identity_batches
from imagefec.data.store import datasets


class TripletSampler:
    """Batches of triplets: three faces each, their types and their raters' votes.

    Args:
      data: the triplets.
      batch_triplets: triplets a step.
      seed: of the order.
      balanced: as many triplets of each type in a batch.

    Raises:
      UserError: the batch does not fit the data.
    """

    def __init__(
        self, data: datasets.Triplets, batch_triplets: int, seed: int, balanced: bool = False
    ):
        self._data, self._order = data, (batch_triplets, seed, balanced)
        self.faces = data.faces
        self.faces_per_step = 3 * batch_triplets
        self.batches(skip=0)

    def batches(self, skip: int) -> Iterator[tuple]:
        """(rows int32 [3 * batch], types int8 [batch], votes int32 [batch, 3]) of each step after the first `skip`."""
        return self._batches(datasets.triplet_numbers(self._data, *self._order, skip=skip))

    def _batches(self, numbers: Iterator[np.ndarray]) -> Iterator[tuple]:
        for chosen in numbers:
            yield (
                self._data.triplets[chosen].reshape(-1).astype(np.int32),
                self._data.types[chosen],
                self._data.vote_counts[chosen].astype(np.int32),
            )


class IdentitySampler:
    """Batches of P people with K faces each, and who is on which, for losses that pick triplets inside a batch.

    Args:
      data: faces with their identities.
      people: P.
      faces_each: K.
      seed: of the order.

    Raises:
      UserError: the batch does not fit the data.
    """

    def __init__(self, data: Any, people: int, faces_each: int, seed: int):
        names = sorted(set(data.identities))
        self._labels = np.searchsorted(names, data.identities).astype(np.int32)
        self._order = (people, faces_each, seed)
        self.faces = data.faces
        self.faces_per_step = people * faces_each
        self.batches(skip=0)

    def batches(self, skip: int) -> Iterator[tuple]:
        """(rows int32 [P * K], labels int32 [P * K]) of each step after the first `skip`."""
        return (
            (rows, self._labels[rows])
            for rows in identity_batches(self._labels, *self._order, skip=skip)
        )
