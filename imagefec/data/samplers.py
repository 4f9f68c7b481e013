"""Samples the batches of training as indices; training/input.py reads the faces."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from imagefec.errors import UserError
from imagefec.fec import TripletType

if TYPE_CHECKING:
    from imagefec.data.store.datasets import LabelledFaces
    from imagefec.data.store.triplets import Triplets


class TripletSampler:
    """Batches of triplets: three faces each, with their types and vote counts.

    Args:
      data: the triplets.
      batch_triplets: triplets per step.
      seed: of the order.
      balanced: whether a batch holds equally many triplets of each type.

    Raises:
      UserError: the batch does not fit the data.
    """

    def __init__(
        self, data: Triplets, batch_triplets: int, seed: int, balanced: bool = False
    ) -> None:
        self._data, self._order = data, (batch_triplets, seed, balanced)
        self.faces = data.faces
        self.faces_per_step = 3 * batch_triplets
        self.batches(skip=0)

    def batches(self, skip: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Batches of the steps after the first `skip`.

        Returns:
          An iterator over (face indices int32 [3 * batch], types int8 [batch], vote counts
          int32 [batch, 3]).
        """
        return map(self._batch, triplet_indices(self._data, *self._order, skip=skip))

    def _batch(self, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return (
            self._data.triplets[chosen].reshape(-1).astype(np.int32),
            self._data.types[chosen],
            self._data.vote_counts[chosen].astype(np.int32),
        )


class IdentitySampler:
    """Batches of P identities with K images each, for losses that mine triplets within a batch.

    Args:
      data: faces with their identities.
      identities: P.
      images_per_identity: K.
      seed: of the order.

    Raises:
      UserError: the batch does not fit the data.
    """

    def __init__(
        self, data: LabelledFaces, identities: int, images_per_identity: int, seed: int
    ) -> None:
        names = sorted(set(data.identities))
        self._labels = np.searchsorted(names, data.identities).astype(np.int32)
        self._order = (identities, images_per_identity, seed)
        self.faces = data.faces
        self.faces_per_step = identities * images_per_identity
        self.batches(skip=0)

    def batches(self, skip: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Batches of the steps after the first `skip`.

        Returns:
          An iterator over (face indices int32 [P * K], identity labels int32 [P * K]).
        """
        return (
            (indices, self._labels[indices])
            for indices in identity_batches(self._labels, *self._order, skip=skip)
        )


def triplet_indices(
    data: Triplets, batch_triplets: int, seed: int, balanced: bool = False, skip: int = 0
) -> Iterator[np.ndarray]:
    """Samples batches of triplets indefinitely; each epoch has every triplet once, reshuffled.

    If the batch size does not divide the number of triplets, a batch ends one epoch and begins the
    next, so that none is dropped.

    Args:
      data: the triplets.
      batch_triplets: triplets per batch, 1 or more.
      seed: of the order; the same seed gives the same batches.
      balanced: alternate the three types, 0, 1, 2, 0, 1, 2, ... Each type then has epochs of its
        own, and a rare type is repeated more often.
      skip: how many batches to skip at the start, to resume a run.

    Returns:
      An iterator over int [batch_triplets], indices into data.triplets.

    Raises:
      UserError: batch_triplets is below 1, above the number of triplets (of any type, if balanced),
        or, if balanced, not a multiple of 3.
    """
    if batch_triplets < 1:
        raise UserError(f"The batch is {batch_triplets} triplets; it must be 1 or more.")
    pools = (
        [np.flatnonzero(data.types == kind) for kind in TripletType]
        if balanced
        else [np.arange(len(data))]
    )
    if batch_triplets % len(pools):
        raise UserError(
            f"The batch is {batch_triplets} triplets; a balanced batch holds equally many of each "
            "of 3 types. Use a multiple of 3, or turn balancing off."
        )
    share = batch_triplets // len(pools)
    for kind, pool in enumerate(pools):
        if len(pool) < share:
            which = f" of type {kind}, because it is balanced," if balanced else ""
            raise UserError(
                f"A batch takes {share} triplets{which} and the data hold {len(pool)}. Use a "
                "smaller batch or load more triplets."
            )
    return _interleaved(pools, share, np.random.default_rng(seed), skip)


def identity_batches(
    labels: np.ndarray, identities: int, images_per_identity: int, seed: int, skip: int = 0
) -> Iterator[np.ndarray]:
    """Samples P x K batches indefinitely: K different images of each of P different identities.

    Each epoch has every identity once, reshuffled. A batch may end one epoch and begin the next,
    and even then holds no identity twice. Identities with fewer than K images are left out:
    a repeated image would be its own nearest positive.

    Args:
      labels: int [n], the identity of each image.
      identities: P, 2 or more, because one identity has no negatives.
      images_per_identity: K, 1 or more.
      seed: of the sampling; the same seed gives the same batches.
      skip: how many batches to skip at the start, to resume a run.

    Returns:
      An iterator over int32 [P * K], indices into `labels`: all images of the first identity, then
      of the second, ...

    Raises:
      UserError: fewer than P identities have K images.
      ValueError: labels is not int [n], or P, K or skip is out of range.
    """
    order, starts, counts = group_by_label(labels)
    if identities < 2 or images_per_identity < 1 or skip < 0:
        raise ValueError(
            "batches require identities >= 2, images_per_identity >= 1 and skip >= 0; found "
            f"{identities=}, {images_per_identity=}, {skip=}"
        )
    enough = np.flatnonzero(counts >= images_per_identity)
    if len(enough) < identities:
        raise UserError(
            f"a batch takes {identities} identities with {images_per_identity} images each; of "
            f"{len(counts)} identities, {len(enough)} have that many. Use fewer identities or "
            "fewer images per identity, or load more."
        )
    shape = identities, images_per_identity
    return _identity_batches(order, starts[enough], counts[enough], shape, seed, skip)


def shuffled_forever(
    pool: np.ndarray, share: int, random: np.random.Generator
) -> Iterator[np.ndarray]:
    """Samples `share` items at a time indefinitely; each epoch has all once, reshuffled."""
    waiting = np.empty(0, pool.dtype)
    while True:
        while len(waiting) < share:
            waiting = np.concatenate([waiting, random.permutation(pool)])
        yield waiting[:share]
        waiting = waiting[share:]


def group_by_label(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Groups indices by label.

    Args:
      labels: int [n].

    Returns:
      (order, starts, counts): the n indices, label by label; where each label's indices begin in
      `order`; how many each label has. Labels are sorted, and so are the indices of a label.

    Raises:
      ValueError: labels is not int [n].
    """
    labels = np.asarray(labels)
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"labels must be int [n], found {labels.dtype} {list(labels.shape)}")
    order = np.argsort(labels, kind="stable")
    _, starts, counts = np.unique(labels[order], return_index=True, return_counts=True)
    return order, starts, counts


def _interleaved(
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


def _identity_batches(
    order: np.ndarray,
    starts: np.ndarray,
    counts: np.ndarray,
    shape: tuple[int, int],
    seed: int,
    skip: int,
) -> Iterator[np.ndarray]:
    identities, images_per_identity = shape
    groups = _shuffled_without_repeats(len(starts), identities, np.random.default_rng((seed, 0)))
    for number, group in enumerate(groups):
        if number < skip:
            continue
        random = np.random.default_rng((seed, 1, number))  # per batch: skipping needs no sampling
        images = [
            starts[identity] + random.choice(counts[identity], images_per_identity, replace=False)
            for identity in group
        ]
        yield order[np.concatenate(images)].astype(np.int32)


def _shuffled_without_repeats(
    n: int, together: int, random: np.random.Generator
) -> Iterator[np.ndarray]:
    """As `shuffled_forever` of range(n), but the `together` items of one sample are distinct."""
    waiting = np.empty(0, np.int64)
    while True:
        if len(waiting) < together:
            fresh = random.permutation(n)
            # What is left of the last epoch must not repeat in the batch that it begins.
            first = fresh[~np.isin(fresh, waiting)][: together - len(waiting)]
            waiting = np.concatenate([waiting, first, fresh[~np.isin(fresh, first)]])
        yield waiting[:together]
        waiting = waiting[together:]
