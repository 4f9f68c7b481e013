"""Seeded draws from identity labels: triplets of two photos of a person and one of another, and P x K batches; no files."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from imagefec.errors import UserError

_EVEN_ROUNDS = 8  # of drawing again what came twice, before evenness among the others' people is given up for an end


def identity_triplets(labels: np.ndarray, n_triplets: int, seed: int) -> np.ndarray:
    """Draws triplets of two different photos of one person and a photo of another person, none twice.

    People are drawn evenly: of all with two photos or more, each is the alike one equally often,
      give or take one, as far
    as their triplets go; the other person is any of the rest with equal chances, then the photo any
    of theirs. (For whom more than half of all possible triplets are wanted, they are drawn evenly
    from these instead.)

    Args:
      labels: int [n], the person of each face.
      n_triplets: how many, 1 or more.
      seed: the same seed gives the same triplets.

    Returns:
      int32 [t, 3], rows of `labels` as (alike, alike, other), the first alike row the lower one;
      sorted by person as np.unique sorts the labels, so faces kept person by person are read in
      passing. t is n_triplets, or all there are.

    Raises:
      UserError: fewer than two people, or none with two photos.
      ValueError: labels is no int [n], n_triplets < 1, or the number of possible triplets is beyond
        int64.
    """
    order, starts, counts = _by_person(labels)
    n = len(order)
    if n_triplets < 1:
        raise ValueError(f"n_triplets must be 1 or more, found {n_triplets}")
    if len(counts) < 2 or counts.max() < 2:
        raise UserError(
            f"triplets want two people at least, and two photos of one of them; found {len(counts)} people with at "
            f"most {counts.max(initial=0)} usable photos. Add identity folders or photos."
        )
    if n * n * int(counts.max()) >= 2**63:
        raise ValueError(
            f"{n} faces, {counts.max()} of one person, are more than can be numbered in 64 bits"
        )
    random = np.random.default_rng(seed)
    there_are = counts * (counts - 1) / 2 * (n - counts)  # float: 64 bits would overflow first
    quotas = _even_quotas(np.minimum(there_are, n_triplets).astype(np.int64), n_triplets, random)
    full = quotas > there_are / 2
    layout = _Layout(starts, counts, n)
    keys = np.concatenate(
        [
            layout.some_of_all(np.where(full, quotas, 0), random),
            layout.distinct(np.where(full, 0, quotas), random),
        ]
    )
    keys.sort()
    return order[np.stack(layout.positions(keys), axis=1)].astype(np.int32)


def identity_batches(
    labels: np.ndarray, people: int, faces_each: int, seed: int, skip: int = 0
) -> Iterator[np.ndarray]:
    """Draws P x K batches for ever: `people` different people, `faces_each` different faces of each.

    Every person comes once an epoch, and each epoch is shuffled anew; a batch may end one epoch and
    begin the next, and even then holds nobody twice. People with fewer than `faces_each` faces are
    left out: a face drawn twice would be its own nearest positive.

    Args:
      labels: int [n], the person of each face.
      people: P, 2 or more: one person has no negative.
      faces_each: K, 1 or more.
      seed: of the draws; the same seed gives the same batches.
      skip: batches to pass over at the start: where a resumed run goes on.

    Returns:
      An iterator over int32 [people * faces_each], rows of `labels`: all faces of the first person,
        then of the second, ...

    Raises:
      UserError: fewer than `people` people have `faces_each` faces.
      ValueError: labels is no int [n], people < 2, faces_each < 1 or skip < 0.
    """
    order, starts, counts = _by_person(labels)
    if people < 2 or faces_each < 1 or skip < 0:
        raise ValueError(
            f"batches want people >= 2, faces_each >= 1, skip >= 0; found {people=}, {faces_each=}, {skip=}"
        )
    enough = np.flatnonzero(counts >= faces_each)
    if len(enough) < people:
        raise UserError(
            f"a batch takes {people} people with {faces_each} faces each, and of {len(counts)} people {len(enough)} "
            "have so many. Ask for fewer people or fewer faces of each, or load more."
        )
    return _batches(order, starts[enough], counts[enough], people, faces_each, seed, skip)


def _by_person(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows person by person, in order within each; where each person begins there; how many each has."""
    labels = np.asarray(labels)
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"labels must be int [n], found {labels.dtype} {list(labels.shape)}")
    order = np.argsort(labels, kind="stable")
    _, starts, counts = np.unique(labels[order], return_index=True, return_counts=True)
    return order, starts, counts


def _even_quotas(most: np.ndarray, n: int, random: np.random.Generator) -> np.ndarray:
    """Shares n out evenly, to nobody more than `most`; what does not divide goes to people drawn."""
    low, high = 0, int(most.max())
    while low < high:  # the highest level up to which all can be filled
        level = (low + high + 1) // 2
        low, high = (level, high) if np.minimum(most, level).sum() <= n else (low, level - 1)
    quotas = np.minimum(most, low)
    unfilled = np.flatnonzero(most > low)
    quotas[random.choice(unfilled, min(n - quotas.sum(), len(unfilled)), replace=False)] += 1
    return quotas


class _Layout:
    """Faces laid out person by person, and a number for each possible triplet of positions in there."""

    def __init__(self, starts: np.ndarray, counts: np.ndarray, n: int):
        self.starts, self.counts, self.n = starts, counts, n
        self._most = int(counts.max())

    def positions(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        first, other = np.divmod(keys, self.n)
        first, gap = np.divmod(first, self._most)
        return first, first + gap, other

    def distinct(self, quotas: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Keys of triplets drawn for each person; what came twice is drawn again."""
        kept, missing = np.empty(0, np.int64), quotas
        for turn in itertools.count():
            who = np.repeat(np.arange(len(quotas)), missing)
            kept = np.unique(np.concatenate([kept, self._draw(who, turn < _EVEN_ROUNDS, random)]))
            of = np.searchsorted(self.starts, self.positions(kept)[0], side="right") - 1
            missing = quotas - np.bincount(of, minlength=len(quotas))
            if not missing.any():
                return kept

    def some_of_all(self, quotas: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Keys of triplets chosen among all possible ones of each person; few more than are wanted."""
        chosen = np.flatnonzero(quotas)
        counts = self.counts[chosen]
        there_are = counts * (counts - 1) // 2 * (self.n - counts)
        who = np.repeat(chosen, there_are)
        begin = np.repeat(np.cumsum(there_are) - there_are, there_are)
        within = np.arange(len(who)) - begin
        by_chance = np.lexsort((random.random(len(who)), who))  # person by person still
        who, within = who[by_chance[within < quotas[who]]], within[by_chance[within < quotas[who]]]
        pair, other = np.divmod(within, self.n - self.counts[who])
        high = ((1 + np.sqrt(1 + 8.0 * pair)) / 2).astype(
            np.int64
        )  # pairs (0,1) (0,2) (1,2) (0,3) ...
        high -= high * (high - 1) // 2 > pair
        high += (high + 1) * high // 2 <= pair
        return self._keys(
            who, pair - high * (high - 1) // 2, high, self._other_position(who, other)
        )

    def _draw(self, who: np.ndarray, evenly: bool, random: np.random.Generator) -> np.ndarray:
        counts = self.counts[who]
        one, two = random.integers(0, counts), random.integers(0, counts - 1)
        two += two >= one
        if evenly:
            person = random.integers(0, len(self.counts) - 1, len(who))
            person += person >= who
            other = self.starts[person] + random.integers(0, self.counts[person])
        else:
            other = self._other_position(who, random.integers(0, self.n - counts))
        return self._keys(who, np.minimum(one, two), np.maximum(one, two), other)

    def _other_position(self, who: np.ndarray, other: np.ndarray) -> np.ndarray:
        return other + np.where(other >= self.starts[who], self.counts[who], 0)

    def _keys(
        self, who: np.ndarray, low: np.ndarray, high: np.ndarray, other: np.ndarray
    ) -> np.ndarray:
        return ((self.starts[who] + low) * self._most + high - low) * self.n + other


def _batches(
    order: np.ndarray,
    starts: np.ndarray,
    counts: np.ndarray,
    people: int,
    faces_each: int,
    seed: int,
    skip: int,
) -> Iterator[np.ndarray]:
    groups = _people_for_ever(len(starts), people, np.random.default_rng((seed, 0)))
    for number, group in enumerate(groups):
        if number < skip:
            continue
        random = np.random.default_rng(
            (seed, 1, number)
        )  # a batch of its own, so that skipping draws nothing
        faces = [
            starts[person] + random.choice(counts[person], faces_each, replace=False)
            for person in group
        ]
        yield order[np.concatenate(faces)].astype(np.int32)


def _people_for_ever(n: int, together: int, random: np.random.Generator) -> Iterator[np.ndarray]:
    waiting = np.empty(0, np.int64)
    while True:
        if len(waiting) < together:
            fresh = random.permutation(n)
            # Those who wait from the last epoch come no second time in the batch that they begin.
            first = fresh[~np.isin(fresh, waiting)][: together - len(waiting)]
            waiting = np.concatenate([waiting, first, fresh[~np.isin(fresh, first)]])
        yield waiting[:together]
        waiting = waiting[together:]
