"""Agreement of two embeddings: neighbour overlap and rank correlation of distances; no files."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from imagefec.analysis.accuracy import photo_numbers
from imagefec.analysis.neighbours import neighbours_from_other_photos

N_NEIGHBOURS = 4  # as in a gallery by default
N_QUERIES = 200
N_RANKED = 4000  # largest number of faces whose distances are ranked
QUERY_SEED = 0


@dataclass(frozen=True)
class Ordering:
    """How one embedding orders faces by their distance from fixed query faces.

    Attributes:
      neighbours: int [q, k], the rows nearest to each query, nearest first, without faces of the
        query's own photo.
      ranks: float32 [q, m], ranks of the distances of m fixed faces from the query, centred and of
        unit length, so that the product of two is their rank correlation; 0 for faces of the
        query's own photo.
    """

    neighbours: np.ndarray
    ranks: np.ndarray


def choose_faces(n: int, seed: int = QUERY_SEED) -> tuple[np.ndarray, np.ndarray]:
    """Samples the rows of the queries and of the ranked faces; equal for equal n and seed."""
    random = np.random.default_rng(seed)
    queries = np.sort(random.permutation(n)[:N_QUERIES])
    return queries, np.sort(random.permutation(n)[:N_RANKED])


def n_from_other_photos(urls: Sequence[str]) -> np.ndarray:
    """How many faces are not from the photo of each face: int [n]."""
    photos = photo_numbers(urls)
    return len(urls) - np.bincount(photos)[photos]


def order_faces(
    vectors: np.ndarray,
    urls: Sequence[str],
    queries: np.ndarray,
    ranked: np.ndarray,
    k: int = N_NEIGHBOURS,
) -> Ordering:
    """Orders faces by their distance from each query, without those of the query's own photo.

    Args:
      vectors: float32 [n, d], finite.
      urls: the photo of each face, n of them.
      queries: int [q], rows.
      ranked: int [m], rows.
      k: neighbours per query.

    Raises:
      ValueError: a query has fewer than k faces from other photos, or an embedding is not finite.
    """
    n_others = n_from_other_photos(urls)[queries]
    if (n_others < k).any():
        first = int(np.argmax(n_others < k))
        raise ValueError(
            f"k must be at most the number of faces from other photos, {n_others[first]} for query "
            f"{queries[first]}; found {k}"
        )
    vectors, photos = np.asarray(vectors, np.float64), photo_numbers(urls)
    neighbours = neighbours_from_other_photos(vectors, photos.tolist(), queries.tolist(), k)
    ranks = np.zeros((len(queries), len(ranked)), np.float32)
    for place, query in enumerate(queries):
        others = photos[ranked] != photos[query]
        distances = np.linalg.norm(vectors[ranked[others]] - vectors[query], axis=1)
        ranks[place, others] = _standardized_ranks(distances)
    rows = [[row for row, _ in nearest] for nearest in neighbours]
    return Ordering(np.array(rows, np.int64).reshape(-1, k), ranks)


def neighbour_overlap(first: Ordering, second: Ordering) -> np.ndarray:
    """Share of each query's k neighbours that are in both orderings: float64 [q], in [0, 1]."""
    shared = (first.neighbours[:, :, None] == second.neighbours[:, None, :]).any(axis=2)
    return shared.mean(axis=1)


def rank_correlation(first: Ordering, second: Ordering) -> np.ndarray:
    """Spearman's rank correlation of the distances from each query: float64 [q], in [-1, 1].

    0 if all distances of an ordering are equal.
    """
    # Each ordering is ranked once and then compared with many; scipy.stats.spearmanr ranks again.
    return (first.ranks * second.ranks).sum(axis=1, dtype=np.float64)


def _standardized_ranks(values: np.ndarray) -> np.ndarray:
    """Ranks, averaged over ties, with mean 0 and a sum of squares of 1."""
    from scipy.stats import rankdata

    ranks: np.ndarray = np.asarray(rankdata(values), np.float64)
    if len(ranks):
        ranks -= ranks.mean()
    length = np.linalg.norm(ranks)
    if length > 0:
        ranks /= length
    return ranks
