"""Judges triplets by labels, counts or ratings: their types and the votes of simulated raters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from imagefec.data.labels.source import COUNTS, LABEL
from imagefec.fec import SIMULATED, TripletType

NO_VOTE = -1
NO_TYPE = -1
# Ratings: a pair is alike if it is among this share of the closest pairs of the split's faces, and
# a judgement needs the closest pair to be this much closer than the next one.
ALIKE_SHARE = 0.2
CLEAR_RATIO = 0.9
_PAIRS = 20_000  # sampled to find the distance of the former

UNDECIDED, TIE, NOT_OF_TYPE = "undecided", "tie", "of no type"


class Judge(Protocol):
    """Judges triplets of the faces that it was made for.

    Attributes:
      groups: int [faces], the group of faces of the same label; None if there are no labels.
      raters: names of the raters.
      types: the types of triplets that have an answer.
    """

    groups: np.ndarray | None
    raters: tuple[str, ...]
    types: tuple[TripletType, ...]

    def judge(
        self, rng: np.random.Generator, triplets: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Judges triplets.

        Args:
          rng: source of randomness.
          triplets: int [n, 3], indices of faces.

        Returns:
          (types, votes): int [n], a TripletType or NO_TYPE; int [n, raters], the odd one of the
          three, 0 to 2, or NO_VOTE.
        """
        ...


def make_judge(
    kind: str,
    labels: Sequence[str],
    values: Sequence[Sequence[Sequence[float]]],
    n_raters: int,
    seed: int,
) -> Judge:
    """Makes the judge of some faces.

    Args:
      kind: one of source.KINDS.
      labels: of each face; read for labels only.
      values: of each face, one list of counts, or a list of ratings for each rater.
      n_raters: number of simulated raters for counts, and for ratings by several raters.
      seed: of the distance below which rated faces count as alike.
    """
    if kind == LABEL:
        return LabelJudge(labels)
    if kind == COUNTS:
        return CountJudge(np.array([rows[0] for rows in values], np.float64), n_raters)
    return RatingJudge(values, n_raters, seed)


class LabelJudge:
    """One rater, who finds the face odd whose label differs from that of the two others.

    One-class and three-class triplets have no answer.
    """

    raters: tuple[str, ...] = (SIMULATED,)
    types: tuple[TripletType, ...] = (TripletType.TWO_CLASS,)

    def __init__(self, labels: Sequence[str]) -> None:
        self._labels = np.unique(np.array(labels, dtype=object), return_inverse=True)[1].reshape(-1)
        self.groups: np.ndarray | None = self._labels

    def judge(
        self,
        rng: np.random.Generator,  # noqa: ARG002  # as in Judge
        triplets: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        """As in Judge."""
        of_faces = self._labels[triplets]
        return _n_different(of_faces) - 1, _odd_label(of_faces)[:, None]


class CountJudge:
    """Raters who see each face as one label, drawn from the face's own counts.

    A rater who sees three equal or three different labels does not vote. The type is that of the
    faces' most frequent labels; a face with two of these belongs to no group and to no type.
    """

    types: tuple[TripletType, ...] = tuple(TripletType)

    def __init__(self, counts: np.ndarray, n_raters: int) -> None:
        self.raters = rater_names(n_raters)
        most = counts.max(axis=1, keepdims=True)
        unique = (counts == most).sum(axis=1) == 1
        self._labels = np.where(unique, counts.argmax(axis=1), -1)
        self.groups: np.ndarray | None = self._labels
        self._cumulative = np.cumsum(counts / counts.sum(axis=1, keepdims=True), axis=1)
        self._cumulative[:, -1] = 1  # despite rounding
        # Of labels that nobody chose, the last ones must not be reached by that.
        self._last = counts.shape[1] - 1 - (counts[:, ::-1] > 0).argmax(axis=1)

    def judge(
        self, rng: np.random.Generator, triplets: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """As in Judge."""
        of_faces = self._labels[triplets]
        types = np.where((of_faces < 0).any(axis=1), NO_TYPE, _n_different(of_faces) - 1)
        votes = np.empty((len(triplets), len(self.raters)), np.int64)
        for rater in range(len(self.raters)):
            at = rng.random((len(triplets), 3, 1))
            seen = (at >= self._cumulative[triplets]).sum(axis=2)
            votes[:, rater] = _odd_label(np.minimum(seen, self._last[triplets]))
        return types, votes


class RatingJudge:
    """Raters who see each face at one point, drawn from its ratings, and find the farthest odd.

    The columns are divided by their standard deviation over the faces. Where every face was rated
    once, there is one rater. A rater whose closest pair is not clearly closer than the next one
    does not vote. A triplet is one-class if its three pairs are alike, two-class if one of them is
    and three-class if none is; with two alike pairs it has no type. The types are those of the
    faces' mean ratings.
    """

    groups: np.ndarray | None = None
    types: tuple[TripletType, ...] = tuple(TripletType)

    def __init__(
        self, values: Sequence[Sequence[Sequence[float]]], n_raters: int, seed: int
    ) -> None:
        self._n = np.array([len(rows) for rows in values])
        self._first = np.cumsum(self._n) - self._n
        ratings = np.array([row for rows in values for row in rows], np.float64)
        deviation = ratings.std(axis=0)
        self._ratings = ratings / np.where(deviation > 0, deviation, 1)
        self._means = np.add.reduceat(self._ratings, self._first) / self._n[:, None]
        self.raters = rater_names(n_raters) if self._n.max() > 1 else (SIMULATED,)
        pairs = np.random.default_rng([seed, 31]).integers(len(values), size=(_PAIRS, 2))
        pairs = pairs[pairs[:, 0] != pairs[:, 1]]
        between = np.linalg.norm(self._means[pairs[:, 0]] - self._means[pairs[:, 1]], axis=1)
        self.alike_distance = float(np.quantile(between, ALIKE_SHARE)) if len(pairs) else 0.0

    def judge(
        self, rng: np.random.Generator, triplets: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """As in Judge."""
        n_alike = (_distances(self._means[triplets]) <= self.alike_distance).sum(axis=1)
        types = np.array([2, 1, NO_TYPE, 0])[n_alike]
        votes = np.empty((len(triplets), len(self.raters)), np.int64)
        for rater in range(len(self.raters)):
            drawn = (rng.random(triplets.shape) * self._n[triplets]).astype(np.int64)
            distances = _distances(self._ratings[self._first[triplets] + drawn])
            nearest, next_one = np.sort(distances, axis=1)[:, :2].T
            clear = nearest < CLEAR_RATIO * next_one
            votes[:, rater] = np.where(clear, distances.argmin(axis=1), NO_VOTE)
        return types, votes


def decide(votes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The odd ones by majority.

    Args:
      votes: int [n, raters], 0 to 2 or NO_VOTE.

    Returns:
      (odd, why_not): int [n], 0 to 2, or -1; and object [n], UNDECIDED if fewer than half of the
      raters voted, TIE if no face has more votes than each other, else "".
    """
    counts = np.stack([(votes == face).sum(axis=1) for face in range(3)], axis=1)
    most = counts.max(axis=1)
    few = 2 * counts.sum(axis=1) < votes.shape[1]
    tied = (counts == most[:, None]).sum(axis=1) > 1
    why_not = np.where(few | (most == 0), UNDECIDED, np.where(tied, TIE, "")).astype(object)
    return np.where(why_not == "", counts.argmax(axis=1), -1), why_not


def rater_names(n: int) -> tuple[str, ...]:
    """Names of simulated raters."""
    return tuple(f"{SIMULATED}{number:02d}" for number in range(n))


def _n_different(labels: np.ndarray) -> np.ndarray:
    ordered = np.sort(labels, axis=1)
    return 1 + (ordered[:, 1:] != ordered[:, :-1]).sum(axis=1)


def _odd_label(labels: np.ndarray) -> np.ndarray:
    """The face whose label differs from two equal ones: int [n], NO_VOTE if there is none."""
    a, b, c = labels.T
    odd = np.where(a == b, 2, np.where(a == c, 1, 0))
    return np.where(_n_different(labels) == 2, odd, NO_VOTE)


def _distances(points: np.ndarray) -> np.ndarray:
    """Distances of the pairs that leave out face 0, 1 and 2: points [n, 3, d] -> [n, 3]."""
    return np.linalg.norm(points[:, [1, 0, 0]] - points[:, [2, 2, 1]], axis=-1)
