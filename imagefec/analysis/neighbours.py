"""The nearest embeddings of an embedding, found with a KD tree; no faces, no files, no drawing."""

import math
from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.neighbors import KDTree

from imagefec.errors import UserError

LEAF_SIZE = 4
TOP_DISTANCE = (
    1.77  # the predecessor showed nothing farther; two unit vectors at random lie near 1.41
)


@dataclass(frozen=True)
class Neighbour:
    """A face near a query: its id, its row in the index, and the Euclidean distance of the embeddings."""

    id: Hashable
    row: int
    distance: float


class NeighbourIndex:
    """Embeddings that can be asked for the nearest to a query.

    The answer is exactly that of comparing with every vector. Equal distances come in the order of
    the rows.

    Attributes:
      vectors: float64 [n, d].
      ids: n ids, in the order of `vectors`.
    """

    def __init__(self, vectors: np.ndarray, ids: Sequence[Hashable]):
        """Builds the tree.

        Args:
          vectors: float [n, d], n >= 1, finite.
          ids: n distinct ids, usually face ids.

        Raises:
          ValueError: shapes do not fit, a vector is not finite, or an id comes twice.
        """
        self.vectors = _checked(vectors)
        self.ids = list(ids)
        self._row_of = {face_id: row for row, face_id in enumerate(self.ids)}
        if len(self.vectors) == 0 or len(self.ids) != len(self.vectors):
            raise ValueError(
                f"vectors must be [n >= 1, d] with n ids, found {self.vectors.shape} and "
                f"{len(self.ids)} ids"
            )
        if len(self._row_of) != len(self.ids):
            raise ValueError(
                f"ids must be distinct, found {len(self.ids) - len(self._row_of)} repeated"
            )
        self._tree = KDTree(self.vectors, leaf_size=LEAF_SIZE, metric="euclidean")

    def __len__(self) -> int:
        return len(self.ids)

    def query(
        self,
        vectors: np.ndarray,
        k: int = 4,
        max_distance: float | None = TOP_DISTANCE,
        exclude: Sequence[Collection[Hashable]] | None = None,
    ) -> list[list[Neighbour]]:
        """Finds the k nearest of each query.

        Args:
          vectors: float [q, d], the queries, finite.
          k: how many to find for each, 1 to the size of the index.
          max_distance: what lies farther is left out, so a query whose nearest is beyond it gets
            none; None for no limit.
          exclude: for each query the ids that must not appear (the query itself, the faces of the
            same photograph, …); the k places then go to others. Ids that the index does not hold
            are no error.

        Returns:
          For each query its neighbours, nearest first; fewer than k where no more are near enough
          or left.

        Raises:
          UserError: k or max_distance is out of range.
          ValueError: vectors are not finite [q, d], or there is not one exclusion a query.
        """
        vectors = _checked(vectors)
        check_k(k, len(self))
        limit = check_max_distance(max_distance)
        if vectors.shape[1] != self.vectors.shape[1]:
            raise ValueError(
                f"queries have {vectors.shape[1]} numbers each, the index {self.vectors.shape[1]}"
            )
        if exclude is not None and len(exclude) != len(vectors):
            raise ValueError(
                f"exclude must have one collection a query, found {len(exclude)} for {len(vectors)}"
            )
        banned = (
            [self._rows(ids) for ids in exclude] if exclude is not None else [set()] * len(vectors)
        )
        if len(vectors) == 0:
            return []
        # One more than can be needed: it tells whether the last place is a tie.
        n_asked = min(k + max(map(len, banned)) + 1, len(self))
        distances, rows = self._tree.query(vectors, n_asked)
        return [self._nearest(*found, k, limit) for found in zip(vectors, distances, rows, banned)]

    def _nearest(
        self,
        vector: np.ndarray,
        distances: np.ndarray,
        rows: np.ndarray,
        banned: set[int],
        k: int,
        limit: float,
    ) -> list[Neighbour]:
        pairs = _ordered(distances, rows, banned)
        if len(pairs) > k and pairs[k][0] == pairs[k - 1][0]:
            # The tree breaks ties as it likes: fetch all of them, a hair beyond for its rounding.
            last = pairs[k - 1][0]
            rows, distances = self._tree.query_radius(
                vector[None], last * (1 + 1e-9) + 1e-300, return_distance=True
            )
            pairs = _ordered(distances[0], rows[0], banned)
        return [
            Neighbour(self.ids[row], row, distance)
            for distance, row in pairs[:k]
            if distance <= limit
        ]

    def _rows(self, ids: Collection[Hashable]) -> set[int]:
        return {self._row_of[face_id] for face_id in ids if face_id in self._row_of}


def check_k(k: int, n_faces: int) -> None:
    """Refuses a number of neighbours that n_faces faces cannot give."""
    if not 1 <= k <= n_faces:
        raise UserError(
            f"k = {k} neighbours: it must be 1 to {n_faces}, the number of faces to choose from."
        )


def check_max_distance(max_distance: float | None) -> float:
    """The limit as a number; infinity for None.

    Raises:
      UserError: it is negative or NaN.
    """
    if max_distance is None:
        return math.inf
    if not max_distance >= 0:
        raise UserError(
            f"max_distance = {max_distance}: it must be 0 or more; two embeddings lie at most 2 "
            f"apart, and {TOP_DISTANCE} is the default."
        )
    return float(max_distance)


def _ordered(distances: np.ndarray, rows: np.ndarray, banned: set[int]) -> list[tuple[float, int]]:
    return sorted(pair for pair in zip(distances.tolist(), rows.tolist()) if pair[1] not in banned)


def _checked(vectors: np.ndarray) -> np.ndarray:
    vectors = np.asarray(vectors, np.float64)
    if vectors.ndim != 2 or not np.isfinite(vectors).all():
        raise ValueError(
            f"vectors must be finite [n, d], found {'' if vectors.ndim == 2 else 'shape '}"
            f"{vectors.shape if vectors.ndim != 2 else 'NaN or infinity'}"
        )
    return vectors
