"""How well a map keeps neighbours: trustworthiness, of a sample of the faces if they are many."""

import numpy as np

N_NEIGHBOURS = 10
MAX_QUERIES = 1000  # faces whose neighbours are ranked; their error is below 0.01


def trustworthiness(
    vectors: np.ndarray,
    points: np.ndarray,
    k: int = N_NEIGHBOURS,
    seed: int = 0,
    max_queries: int = MAX_QUERIES,
) -> float | None:
    """Scores how many neighbours in the map are neighbours in the embedding.

    A face that is among the k nearest in the map only costs the more, the farther down it is in the
    embedding's ranking.

    Args:
      vectors: float [n, d], finite, with squares that fit in float64.
      points: float [n, 2], their places in the map.
      k: number of neighbours; fewer if there are not more than 2 k faces.
      seed: seed of the sample of faces.
      max_queries: largest number of faces whose neighbours are ranked, among all faces.

    Returns:
      A number from 0 to 1; 1 if all neighbours in the map are neighbours in the embedding. None for
      fewer than 4 faces.

    Source: Venna and Kaski 2001, as `sklearn.manifold.trustworthiness`, which takes n x n memory.
    Of several faces at equal distances the map is given the benefit of the doubt.
    """
    n = len(vectors)
    k = min(k, (n - 1) // 2)
    if k < 1 or n < 4:
        return None
    queries = np.arange(n)
    if n > max_queries:
        queries = np.sort(np.random.default_rng(seed).choice(n, max_queries, replace=False))
    lost = sum(_lost(vectors, points, query, k) for query in queries.tolist())
    return 1 - 2 * lost / (len(queries) * k * (2 * n - 3 * k - 1))


def _lost(vectors: np.ndarray, points: np.ndarray, query: int, k: int) -> int:
    """By how many ranks the k nearest faces in the map are beyond rank k in the embedding."""
    in_map = _squared_distances(points, query)
    near = np.argpartition(in_map, k - 1)[:k]
    distances = _squared_distances(vectors, query)
    ranks = np.searchsorted(np.sort(distances), distances[near]) + 1
    return int(np.maximum(ranks - k, 0).sum())


def _squared_distances(rows: np.ndarray, query: int) -> np.ndarray:
    """Squared distances of one row to all, float64 [n]; infinite to itself."""
    differences = rows.astype(np.float64) - rows[query].astype(np.float64)
    distances = np.einsum("ij,ij->i", differences, differences)
    distances[query] = np.inf
    return distances
