"""The nearest faces of a face, without those of its own photo."""

from collections.abc import Hashable, Sequence

import numpy as np

from imagefec.analysis.neighbours.index import NeighbourIndex
from imagefec.analysis.neighbours.search import PRODUCT, TREE

# Pairs of a query and a face from which on the product is the default: where it is tens of times
# faster than the tree, while the start of JAX no longer counts (docs/looking.md).
MANY_PAIRS = 10**8


def neighbours_from_other_photos(
    vectors: np.ndarray,
    photos: Sequence[Hashable],
    queries: Sequence[int],
    k: int,
    max_distance: float | None = None,
    candidates: np.ndarray | None = None,
    algorithm: str | None = None,
) -> list[list[tuple[int, float]]]:
    """Finds the k nearest faces of each query face that are not from the query's own photo.

    Args:
      vectors: float32 [n, d], finite.
      photos: the photo of each face, n of them: its URL or a number.
      queries: rows of the query faces.
      k: neighbours per query.
      max_distance: as in `NeighbourIndex.query`.
      candidates: int [m], rows that may be neighbours; None for all.
      algorithm: as in `NeighbourIndex`; None for "product" from MANY_PAIRS on, else "tree". It
        changes the speed only.

    Returns:
      For each query (row, distance) of its neighbours, nearest first, equal distances in the order
      of rows; fewer than k as in `NeighbourIndex.query`.

    Raises:
      UserError: as for `NeighbourIndex.query`.
      ValueError: vectors are not finite [n, d].
    """
    rows = list(range(len(vectors))) if candidates is None else candidates.tolist()
    if algorithm is None:
        algorithm = TREE if len(queries) * len(rows) < MANY_PAIRS else PRODUCT
    index = NeighbourIndex(vectors[rows], rows, algorithm)
    faces_of: dict[Hashable, list[int]] = {}
    for row in rows:
        faces_of.setdefault(photos[row], []).append(row)
    same_photo = [faces_of.get(photos[row], []) for row in queries]
    found = index.query(vectors[np.asarray(queries, np.int64)], k, max_distance, same_photo)
    return [[(rows[near.row], near.distance) for near in nearest] for nearest in found]
