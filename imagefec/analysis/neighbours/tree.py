"""The search with scikit-learn's k-d tree, as in the original design."""

from collections.abc import Iterator, Sequence

import numpy as np
from sklearn.neighbors import KDTree

from imagefec.analysis.neighbours.exact import exact_distances, first_k, without

LEAF_SIZE = 4
_QUERIES = 1024  # at a time
# The tree's distances differ from the exact ones by less: by their rounding, and where the squares
# of the smallest ones are not normal numbers.
_RELATIVE, _ABSOLUTE = 1e-9, 1e-150


class TreeSearch:
    """Finds neighbours with a k-d tree; see `Search`."""

    def __init__(self, vectors: np.ndarray, places: np.ndarray) -> None:
        """As `make_search`."""
        self._vectors, self._places = vectors, places
        self._tree = KDTree(vectors, leaf_size=LEAF_SIZE, metric="euclidean")

    def nearest(
        self, queries: np.ndarray, k: int, excluded: Sequence[np.ndarray]
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """See `Search`."""
        for start in range(0, len(queries), _QUERIES):
            chunk = slice(start, start + _QUERIES)
            # One more than required shows whether the last place is a tie.
            n_requested = k + max(map(len, excluded[chunk])) + 1
            points = queries[chunk].astype(np.float64)
            found = self._tree.query(points, min(n_requested, len(self._vectors)))
            for query, distances, rows, out in zip(points, *found, excluded[chunk]):
                yield self._nearest(query, distances, rows, out, k)

    def _nearest(
        self, query: np.ndarray, distances: np.ndarray, rows: np.ndarray, out: np.ndarray, k: int
    ) -> tuple[np.ndarray, np.ndarray]:
        kept = without(rows, out)
        distances, rows = distances[kept], rows[kept]
        if len(rows) > k:
            limit = distances[k - 1] * (1 + _RELATIVE) + _ABSOLUTE
            if distances[k] > limit:
                rows = rows[:k]
            else:  # the tree breaks ties arbitrarily, so fetch all of them
                rows = self._tree.query_radius(query[None], limit)[0]
                rows = rows[without(rows, out)]
        return first_k(exact_distances(self._vectors, rows, query), rows, self._places, k)
