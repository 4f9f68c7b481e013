"""How alike two embeddings order the same faces: shared neighbours and rank correlation; no runs, no files, no drawing."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

K = 4  # as many neighbours as a gallery shows
N_QUERIES = 200
N_RANKED = 4000  # faces, at most, whose order of distance is compared
QUERY_SEED = 0


@dataclass(frozen=True)
class Ordering:
    """What one embedding says of the distances from fixed queries.

    Attributes:
      neighbours: int [q, k], the rows nearest to each query, nearest first, none of the query's own
        photograph.
      ranks: float32 [q, m], place of each of m fixed faces by distance from the query, centred and
        scaled so that the product of two is their rank correlation; 0 for faces of the query's own
        photograph.
    """

    neighbours: np.ndarray
    ranks: np.ndarray


def choose_faces(n: int, seed: int = QUERY_SEED) -> tuple[np.ndarray, np.ndarray]:
    """The rows that serve as queries and those whose order is compared; the same for the same n and seed."""
    random = np.random.default_rng(seed)
    queries = np.sort(random.permutation(n)[:N_QUERIES])
    return queries, np.sort(random.permutation(n)[:N_RANKED])


def order_faces(
    vectors: np.ndarray, urls: Sequence[str], queries: np.ndarray, ranked: np.ndarray, k: int = K
) -> Ordering:
    """Orders faces by their distance from each query, those of its own photograph left out.

    Args:
      vectors: float32 [n, d], finite.
      urls: the photograph of each face, n of them.
      queries: int [q], rows.
      ranked: int [m], rows.
      k: neighbours of each.

    Raises:
      ValueError: a query has fewer than k faces of other photographs, or an embedding is not
        finite.
    """
    vectors = np.asarray(vectors, np.float64)
    if not np.isfinite(vectors).all():
        raise ValueError("embeddings must be finite to be ordered")
    _, photo = np.unique(np.array(urls, dtype=object), return_inverse=True)
    neighbours = np.empty((len(queries), k), np.int64)
    ranks = np.zeros((len(queries), len(ranked)), np.float32)
    for place, query in enumerate(queries):
        foreign = photo != photo[query]
        if foreign.sum() < k:
            raise ValueError(
                f"query {query} has {foreign.sum()} faces of other photographs, {k} are asked for"
            )
        distances = np.where(foreign, np.linalg.norm(vectors - vectors[query], axis=1), np.inf)
        neighbours[place] = np.argsort(distances, kind="stable")[:k]
        ranks[place, foreign[ranked]] = _standard_ranks(distances[ranked][foreign[ranked]])
    return Ordering(neighbours, ranks)


def overlap(first: Ordering, second: Ordering) -> np.ndarray:
    """Share of each query's k neighbours that both have: float64 [q], in [0, 1]."""
    shared = (first.neighbours[:, :, None] == second.neighbours[:, None, :]).any(axis=2)
    return shared.mean(axis=1)


def rank_correlation(first: Ordering, second: Ordering) -> np.ndarray:
    """Spearman's correlation of the distances from each query: float64 [q], in [-1, 1]; 0 where all distances are equal."""
    return np.sum(first.ranks * second.ranks, axis=1, dtype=np.float64)


def _standard_ranks(values: np.ndarray) -> np.ndarray:
    """Ranks, ties shared, with mean 0 and summed squares 1."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks = (ends - (counts - 1) / 2)[inverse.reshape(-1)]
    centred = ranks - ranks.mean() if len(ranks) else ranks
    length = np.linalg.norm(centred)
    return centred / length if length > 0 else centred
