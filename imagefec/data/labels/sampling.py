"""Samples triplets of a split: of the types that have an answer, with hard negatives."""

from __future__ import annotations

import dataclasses
import functools
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from imagefec.data.labels.judging import NO_VOTE, NOT_OF_TYPE, Judge, decide
from imagefec.fec import TripletType

SAME_PERSON = "odd one out of another person"
KNOWN = "sampled before"
_BATCH = 4096  # proposals judged at once
_STALLED = 50  # batches in which fewer than one of 1000 was new: there are none left, or almost


@dataclasses.dataclass
class Sampled:
    """The triplets of a split.

    Attributes:
      triplets: int [n, 3], indices of faces in the order of the csv file.
      types: int [n], a TripletType each.
      votes: int [n, raters], 0 to 2 or judging.NO_VOTE.
      asked: number asked for, by type.
      refused: number of proposed triplets that were not used, by reason.
    """

    triplets: np.ndarray
    types: np.ndarray
    votes: np.ndarray
    asked: dict[TripletType, int]
    refused: Counter[str]

    def __len__(self) -> int:
        return len(self.triplets)

    def odd(self) -> np.ndarray:
        """The place of the odd one in each triplet: int [n]."""
        return decide(self.votes)[0]

    def hard(self, persons: np.ndarray) -> np.ndarray:
        """Which triplets have an odd one of the same person as one of the others: bool [n]."""
        return _is_hard(self.triplets, self.odd(), persons)


def sample_triplets(
    judge: Judge,
    photos: np.ndarray,
    persons: np.ndarray,
    n: int,
    same_person_share: float,
    seed: Sequence[int],
    done: Callable[[int], object] | None = None,
) -> Sampled:
    """Samples different triplets, equally many of each type that the judge answers.

    Labels are sampled equally often, then their faces. No triplet has two faces of a photo.

    Args:
      judge: of the split's faces.
      photos: int [faces], equal for faces of one photo.
      persons: int [faces], equal for faces of one person; -1 if not known.
      n: number of triplets asked for; fewer are returned if there are no more.
      same_person_share: share that is sampled so that the odd one out is of the same person as one
        of the two others; other triplets may be so by chance.
      seed: of the sampling.
      done: called with the number of triplets just sampled.
    """
    rng = np.random.default_rng(seed)
    proposer = _Proposer(judge, persons, rng)
    asked = {
        kind: n // len(judge.types) + (place < n % len(judge.types))
        for place, kind in enumerate(judge.types)
    }
    found = _Found(judge, photos, persons, rng, done)
    for kind, n_of_kind in asked.items():
        n_hard = round(n_of_kind * same_person_share)
        found.fill(kind, n_hard, proposer.hard, only_hard=True)
        # What is missing of the hard ones is filled up with others.
        found.fill(kind, n_of_kind, functools.partial(proposer.any, kind))
    return found.result(asked)


class _Found:
    """Collects triplets that are of the wanted type and new."""

    def __init__(
        self,
        judge: Judge,
        photos: np.ndarray,
        persons: np.ndarray,
        rng: np.random.Generator,
        done: Callable[[int], object] | None,
    ) -> None:
        self._judge, self._photos, self._persons = judge, photos, persons
        self._rng, self._done = rng, done
        self._known: set[tuple[int, ...]] = set()
        self._rows: list[tuple[np.ndarray, int, np.ndarray]] = []
        self._n_of: Counter[int] = Counter()
        self._refused: Counter[str] = Counter()

    def fill(
        self,
        kind: TripletType,
        n: int,
        propose: Callable[[int], np.ndarray],
        only_hard: bool = False,
    ) -> None:
        """Adds triplets of a type until there are n of it, or there seem to be no more."""
        stalled = 0
        while self._n_of[kind] < n and stalled < _STALLED:
            missing = n - self._n_of[kind]
            proposed = propose(min(_BATCH, max(256, 2 * missing)))
            if not len(proposed):
                return
            n_new = self._add(kind, proposed, missing, only_hard)
            stalled = 0 if 1000 * n_new >= len(proposed) else stalled + 1
            if self._done is not None:
                self._done(n_new)

    def result(self, asked: dict[TripletType, int]) -> Sampled:
        """All triplets, in random order."""
        rows = [self._rows[at] for at in self._rng.permutation(len(self._rows))]
        n_raters = len(self._judge.raters)
        return Sampled(
            np.array([row[0] for row in rows], np.int64).reshape(-1, 3),
            np.array([row[1] for row in rows], np.int64),
            np.array([row[2] for row in rows], np.int64).reshape(-1, n_raters),
            asked,
            self._refused,
        )

    def _add(self, kind: TripletType, proposed: np.ndarray, most: int, only_hard: bool) -> int:
        of_photo = np.sort(self._photos[proposed], axis=1)
        proposed = proposed[(of_photo[:, 1:] != of_photo[:, :-1]).all(axis=1)]
        proposed = self._rng.permuted(proposed, axis=1)
        types, votes = self._judge.judge(self._rng, proposed)
        odd, why_not = decide(votes)
        reasons = np.where(types != kind, NOT_OF_TYPE, why_not)
        if only_hard:
            hard = _is_hard(proposed, odd, self._persons)
            reasons = np.where((reasons == "") & ~hard, SAME_PERSON, reasons)
        n_new = 0
        for at in np.flatnonzero(reasons == "").tolist():
            key = tuple(sorted(proposed[at].tolist()))
            if key in self._known:
                self._refused[KNOWN] += 1
            elif n_new < most:
                self._known.add(key)
                self._rows.append((proposed[at], int(kind), votes[at]))
                n_new += 1
        self._n_of[kind] += n_new
        self._refused.update(reasons[reasons != ""].tolist())
        return n_new


class _Proposer:
    """Proposes triplets that are likely to be of a type."""

    def __init__(self, judge: Judge, persons: np.ndarray, rng: np.random.Generator) -> None:
        self._rng, self._n = rng, len(persons)
        groups = judge.groups
        self._groups = np.zeros(self._n, np.int64) if groups is None else groups
        self._has_groups = groups is not None
        self._faces_of = _members(self._groups)
        several = [faces for faces in _members(persons).values() if len(faces) > 1]
        self._faces_of_persons = np.concatenate([*several, np.zeros(0, np.int64)])
        self._n_of_person = np.array([len(faces) for faces in several], np.int64)

    def any(self, kind: TripletType, size: int) -> np.ndarray:
        """Triplets of a type if there are labels, else of any: int [m, 3]."""
        if self._n < 3:
            return np.zeros((0, 3), np.int64)
        if not self._has_groups:
            return self._rng.integers(self._n, size=(size, 3))
        sizes = {
            TripletType.ONE_CLASS: (3,),
            TripletType.TWO_CLASS: (2, 1),
            TripletType.THREE_CLASS: (1, 1, 1),
        }[kind]
        names = np.array(sorted(self._faces_of), np.int64)
        first = np.array([name for name in names if len(self._faces_of[name]) >= sizes[0]], int)
        if not len(first) or len(names) < len(sizes):
            return np.zeros((0, 3), np.int64)
        chosen = [self._rng.choice(first, size)]
        chosen += [self._rng.choice(names, size) for _ in sizes[1:]]
        columns = [self._faces(group) for group, count in zip(chosen, sizes) for _ in range(count)]
        return np.stack(columns, axis=1)

    def hard(self, size: int) -> np.ndarray:
        """Two faces of a person and one that is labelled as the first of them: int [m, 3]."""
        if not len(self._n_of_person) or self._n < 3:
            return np.zeros((0, 3), np.int64)
        person = self._rng.integers(len(self._n_of_person), size=size)
        first, n = (np.cumsum(self._n_of_person) - self._n_of_person)[person], self._n_of_person
        one = self._rng.integers(n[person])
        other = (one + self._rng.integers(1, n[person])) % n[person]
        pairs = self._faces_of_persons[first[:, None] + np.stack([one, other], axis=1)]
        # Half of the third faces are any, for types of one and of three labels.
        like = self._faces(self._groups[pairs[:, 0]])
        others = self._rng.integers(self._n, size=size)
        third = np.where(self._rng.random(size) < 0.5, like, others)
        return np.column_stack([pairs, third])

    def _faces(self, groups: np.ndarray) -> np.ndarray:
        """A face of each group at random."""
        result = np.empty(len(groups), np.int64)
        for group in np.unique(groups).tolist():
            own = groups == group
            result[own] = self._rng.choice(self._faces_of.get(group, np.arange(self._n)), own.sum())
        return result


def _members(codes: np.ndarray) -> dict[int, np.ndarray]:
    """The places of each code but those below 0."""
    order = np.argsort(codes, kind="stable")
    found, starts = np.unique(codes[order], return_index=True)
    places = np.split(order, starts[1:])
    return {code: own for code, own in zip(found.tolist(), places) if code >= 0}


def _is_hard(triplets: np.ndarray, odd: np.ndarray, persons: np.ndarray) -> np.ndarray:
    """Whether the odd one, and exactly one of the others, is of one known person."""
    of_faces = persons[triplets]
    of_odd = np.take_along_axis(of_faces, np.maximum(odd, 0)[:, None], axis=1)
    n_same = (of_faces == of_odd).sum(axis=1)
    return (odd >= 0) & (of_odd[:, 0] >= 0) & (n_same == 2)


def votes_of(votes: np.ndarray, raters: Sequence[str]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """The raters who voted and their choices, for a row of the csv file."""
    cast = [(name, vote) for name, vote in zip(raters, votes.tolist()) if vote != NO_VOTE]
    return tuple(name for name, _ in cast), tuple(vote for _, vote in cast)
