"""The nearest embeddings of an embedding, found with a k-d tree; no files, no rendering."""

import math
from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.neighbors import KDTree

from imagefec.errors import UserError

LEAF_SIZE = 4
# Neighbours at a larger distance are not shown, as in the original design. Two random unit vectors
# are about 1.41 apart.
MAX_DISTANCE = 1.77


@dataclass(frozen=True)
class Neighbour:
    """A face near a query: its id, its row in the index, and the Euclidean distance."""

    id: Hashable
    row: int
    distance: float


class NeighbourIndex:
    """Embeddings in a k-d tree, queried for the nearest ones.

    Results equal those of a comparison with every vector. Equal distances are ordered by row.

    Attributes:
      vectors: float64 [n, d].
      ids: n ids, in the order of `vectors`.
    """

    def __init__(self, vectors: np.ndarray, ids: Sequence[Hashable]) -> None:
        """Builds the tree.

        Args:
          vectors: float [n, d], n >= 1, finite.
          ids: n distinct ids, usually face ids.

        Raises:
          ValueError: shapes do not match, a vector is not finite, or an id is repeated.
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
        max_distance: float | None = MAX_DISTANCE,
        exclude: Sequence[Collection[Hashable]] | None = None,
    ) -> list[list[Neighbour]]:
        """Finds the k nearest neighbours of each query.

        Args:
          vectors: float [q, d], the queries, finite.
          k: number of neighbours per query, from 1 to the size of the index.
          max_distance: neighbours farther away are omitted; None for no limit.
          exclude: for each query the ids to exclude, such as the query itself or the faces of the
            same photo; the next nearest take their places. Ids unknown to the index are ignored.

        Returns:
          For each query its neighbours, nearest first; fewer than k if the limit or the exclusions
          leave fewer.

        Raises:
          UserError: k or max_distance is out of range.
          ValueError: vectors are not finite [q, d], or exclude has another length.
        """
        vectors = _checked(vectors)
        check_k(k, len(self))
        limit = check_max_distance(max_distance)
        if vectors.shape[1] != self.vectors.shape[1]:
            raise ValueError(
                f"queries must be [q, {self.vectors.shape[1]}] like the index, found "
                f"{vectors.shape}"
            )
        if exclude is not None and len(exclude) != len(vectors):
            raise ValueError(
                f"exclude must have one collection per query, found {len(exclude)} for "
                f"{len(vectors)} queries"
            )
        excluded: list[set[int]] = (
            [set()] * len(vectors) if exclude is None else [self._rows(ids) for ids in exclude]
        )
        if len(vectors) == 0:
            return []
        # One more than required shows whether the last place is a tie.
        n_requested = min(k + max(map(len, excluded)) + 1, len(self))
        distances, rows = self._tree.query(vectors, n_requested)
        return [
            self._nearest(*found, k, limit) for found in zip(vectors, distances, rows, excluded)
        ]

    def _nearest(
        self,
        vector: np.ndarray,
        distances: np.ndarray,
        rows: np.ndarray,
        excluded: set[int],
        k: int,
        limit: float,
    ) -> list[Neighbour]:
        pairs = _ordered(distances, rows, excluded)
        if len(pairs) > k and pairs[k][0] == pairs[k - 1][0]:
            # The tree breaks ties arbitrarily. Fetch all of them; the margin covers its rounding.
            last = pairs[k - 1][0]
            all_rows, all_distances = self._tree.query_radius(
                vector[None], last * (1 + 1e-9) + 1e-300, return_distance=True
            )
            pairs = _ordered(all_distances[0], all_rows[0], excluded)
        return [
            Neighbour(self.ids[row], row, distance)
            for distance, row in pairs[:k]
            if distance <= limit
        ]

    def _rows(self, ids: Collection[Hashable]) -> set[int]:
        return {self._row_of[face_id] for face_id in ids if face_id in self._row_of}


def neighbours_from_other_photos(
    vectors: np.ndarray,
    photos: Sequence[Hashable],
    queries: Sequence[int],
    k: int,
    max_distance: float | None = None,
    candidates: np.ndarray | None = None,
) -> list[list[tuple[int, float]]]:
    """Finds the k nearest faces of each query face that are not from the query's own photo.

    Args:
      vectors: float32 [n, d], finite.
      photos: the photo of each face, n of them: its URL or a number.
      queries: rows of the query faces.
      k: neighbours per query.
      max_distance: as in `NeighbourIndex.query`.
      candidates: int [m], rows that may be neighbours; None for all.

    Returns:
      For each query (row, distance) of its neighbours, nearest first; fewer than k as in
      `NeighbourIndex.query`.

    Raises:
      UserError: as for `NeighbourIndex.query`.
      ValueError: vectors are not finite [n, d].
    """
    rows = list(range(len(vectors))) if candidates is None else candidates.tolist()
    index = NeighbourIndex(vectors[rows], rows)
    faces_of: dict[Hashable, list[int]] = {}
    for row in rows:
        faces_of.setdefault(photos[row], []).append(row)
    same_photo = [faces_of.get(photos[row], []) for row in queries]
    found = index.query(vectors[np.asarray(queries, np.int64)], k, max_distance, same_photo)
    return [[(rows[near.row], near.distance) for near in nearest] for nearest in found]


def check_k(k: int, n_faces: int) -> None:
    """Raises UserError if n_faces faces cannot give k neighbours."""
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
            f"max_distance = {max_distance}: it must be 0 or more. The distance of two embeddings "
            f"is at most 2; the default is {MAX_DISTANCE}."
        )
    return float(max_distance)


def _ordered(
    distances: np.ndarray, rows: np.ndarray, excluded: set[int]
) -> list[tuple[float, int]]:
    return sorted(
        pair for pair in zip(distances.tolist(), rows.tolist()) if pair[1] not in excluded
    )


def _checked(vectors: np.ndarray) -> np.ndarray:
    vectors = np.asarray(vectors, np.float64)
    if vectors.ndim != 2 or not np.isfinite(vectors).all():
        found = "NaN or infinity" if vectors.ndim == 2 else f"shape {vectors.shape}"
        raise ValueError(f"vectors must be finite [n, d], found {found}")
    return vectors
