"""Distances in float64 and their order: what every search returns, bit for bit."""

import numpy as np

_ROWS = 16384  # vectors converted to float64 at a time, so that memory stays flat


def exact_distances(vectors: np.ndarray, rows: np.ndarray, query: np.ndarray) -> np.ndarray:
    """Euclidean distances, each computed in float64 in the same order of operations.

    Args:
      vectors: float [n, d].
      rows: int [m], which of them.
      query: float64 [d].

    Returns:
      float64 [m].
    """
    distances = np.empty(len(rows))
    for start in range(0, len(rows), _ROWS):
        chunk = slice(start, start + _ROWS)
        difference = np.take(vectors, rows[chunk], axis=0).astype(np.float64) - query
        difference *= difference
        distances[chunk] = np.sqrt(difference.sum(axis=1))
    return distances


def first_k(
    distances: np.ndarray, rows: np.ndarray, places: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """The k smallest distances, smallest first; equal ones in the order of their places.

    Args:
      distances: float64 [m].
      rows: int [m], their rows, distinct.
      places: int [n], the place of each row among equal distances.
      k: how many.

    Returns:
      (float64 [min(k, m)], int [min(k, m)]): distances and rows.
    """
    if len(distances) > k:
        near = distances <= np.partition(distances, k - 1)[k - 1]
        distances, rows = distances[near], rows[near]
    order = np.lexsort((places[rows], distances))[:k]
    return distances[order], rows[order]


def without(rows: np.ndarray, excluded: np.ndarray) -> np.ndarray:
    """Which rows are not excluded: bool [m]."""
    # np.isin costs 20 microseconds even for few.
    if len(excluded) > 8:
        return ~np.isin(rows, excluded)
    keep = np.ones(len(rows), bool)
    for row in excluded:
        keep &= rows != row
    return keep
