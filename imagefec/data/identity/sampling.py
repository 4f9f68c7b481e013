"""Samples triplets of two photos of one identity and one of another from labels; opens no files."""

from __future__ import annotations

import itertools

import numpy as np

from imagefec.data.samplers import group_by_label
from imagefec.errors import UserError

# Rounds that replace repeated triplets by samples with a uniform odd identity. Later rounds sample
# a uniform odd photo, which cannot run out of triplets.
_EVEN_ROUNDS = 8


def identity_triplets(labels: np.ndarray, n_triplets: int, seed: int) -> np.ndarray:
    """Samples distinct triplets of two photos of one identity and a photo of another.

    Identities are sampled evenly: each one with two photos or more is the alike one equally often
    (to within one), unless it has fewer possible triplets. The odd identity is uniform among the
    others, and its photo is uniform among its photos. If an identity requires more than half of
    its possible triplets, they are sampled uniformly from all of these instead.

    Args:
      labels: int [n], the identity of each face.
      n_triplets: how many, 1 or more.
      seed: the same seed gives the same triplets.

    Returns:
      int32 [t, 3], indices into `labels` as (alike, alike, odd), the first alike index the lower
      one; sorted by the alike identity's label, so that faces stored by identity are read in
      order. t is n_triplets, or the number of possible triplets if that is less.

    Raises:
      UserError: fewer than two identities, or none with two photos.
      ValueError: labels is not int [n], n_triplets < 1, or the number of possible triplets exceeds
        int64.
    """
    order, starts, counts = group_by_label(labels)
    n = len(order)
    if n_triplets < 1:
        raise ValueError(f"n_triplets must be 1 or more, found {n_triplets}")
    if len(counts) < 2 or counts.max() < 2:
        raise UserError(
            "triplets require at least two identities, and two photos of one of them; found "
            f"{len(counts)} identities with at most {counts.max(initial=0)} usable photos. Add "
            "identity folders or photos."
        )
    if n * n * int(counts.max()) >= 2**63:
        raise ValueError(
            f"{n} faces, {counts.max()} of one identity, are too many to number in 64 bits"
        )
    random = np.random.default_rng(seed)
    possible = counts * (counts - 1) / 2 * (n - counts)  # float: may exceed 64 bits
    quotas = _even_quotas(np.minimum(possible, n_triplets).astype(np.int64), n_triplets, random)
    uniform = quotas > possible / 2
    layout = _Layout(starts, counts, n)
    keys = np.concatenate(
        [
            layout.sample_uniformly(np.where(uniform, quotas, 0), random),
            layout.sample_distinct(np.where(uniform, 0, quotas), random),
        ]
    )
    keys.sort()
    return order[np.stack(layout.positions(keys), axis=1)].astype(np.int32)


def _even_quotas(most: np.ndarray, n: int, random: np.random.Generator) -> np.ndarray:
    """Divides n into even quotas, none above its `most`; random identities get the remainder."""
    low, high = 0, int(most.max())
    while low < high:  # the highest level up to which all can be filled
        level = (low + high + 1) // 2
        low, high = (level, high) if np.minimum(most, level).sum() <= n else (low, level - 1)
    quotas = np.minimum(most, low)
    unfilled = np.flatnonzero(most > low)
    quotas[random.choice(unfilled, min(n - quotas.sum(), len(unfilled)), replace=False)] += 1
    return quotas


class _Layout:
    """Positions of faces sorted by identity, and an integer key for each triplet of positions."""

    def __init__(self, starts: np.ndarray, counts: np.ndarray, n: int) -> None:
        self.starts, self.counts, self.n = starts, counts, n
        self._most = int(counts.max())

    def positions(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        first, odd = np.divmod(keys, self.n)
        first, gap = np.divmod(first, self._most)
        return first, first + gap, odd

    def sample_distinct(self, quotas: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Samples keys of distinct triplets, as many of each identity as its quota."""
        keys, missing, turn = np.empty(0, np.int64), quotas, itertools.count()
        while True:
            alike = np.repeat(np.arange(len(quotas)), missing)
            sampled = self._sample(alike, next(turn) < _EVEN_ROUNDS, random)
            keys = np.unique(np.concatenate([keys, sampled]))
            of = np.searchsorted(self.starts, self.positions(keys)[0], side="right") - 1
            missing = quotas - np.bincount(of, minlength=len(quotas))
            if not missing.any():
                return keys

    def sample_uniformly(self, quotas: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Samples keys uniformly among all possible triplets of each identity with a quota."""
        chosen = np.flatnonzero(quotas)
        counts = self.counts[chosen]
        possible = counts * (counts - 1) // 2 * (self.n - counts)
        alike = np.repeat(chosen, possible)
        begin = np.repeat(np.cumsum(possible) - possible, possible)
        within = np.arange(len(alike)) - begin
        shuffled = np.lexsort((random.random(len(alike)), alike))  # still sorted by identity
        selected = shuffled[within < quotas[alike]]
        alike, within = alike[selected], within[selected]
        pair, odd = np.divmod(within, self.n - self.counts[alike])
        # Pairs are numbered (0,1) (0,2) (1,2) (0,3) ...; two corrections undo the root's rounding.
        high = ((1 + np.sqrt(1 + 8.0 * pair)) / 2).astype(np.int64)
        high -= high * (high - 1) // 2 > pair
        high += (high + 1) * high // 2 <= pair
        low = pair - high * (high - 1) // 2
        return self._keys(alike, low, high, self._odd_position(alike, odd))

    def _sample(self, alike: np.ndarray, evenly: bool, random: np.random.Generator) -> np.ndarray:
        counts = self.counts[alike]
        one, two = random.integers(0, counts), random.integers(0, counts - 1)
        two += two >= one
        if evenly:
            identity = random.integers(0, len(self.counts) - 1, len(alike))
            identity += identity >= alike
            odd = self.starts[identity] + random.integers(0, self.counts[identity])
        else:
            odd = self._odd_position(alike, random.integers(0, self.n - counts))
        return self._keys(alike, np.minimum(one, two), np.maximum(one, two), odd)

    def _odd_position(self, alike: np.ndarray, odd: np.ndarray) -> np.ndarray:
        return odd + np.where(odd >= self.starts[alike], self.counts[alike], 0)

    def _keys(
        self, alike: np.ndarray, low: np.ndarray, high: np.ndarray, odd: np.ndarray
    ) -> np.ndarray:
        return ((self.starts[alike] + low) * self._most + high - low) * self.n + odd
