"""What a search for neighbours does, and the searches by name."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import numpy as np

from imagefec.errors import UserError

TREE, PRODUCT = "tree", "product"
ALGORITHMS = (TREE, PRODUCT)


class Search(Protocol):
    """Finds the nearest of n vectors. All searches give the same answers, bit for bit."""

    def nearest(
        self, queries: np.ndarray, k: int, excluded: Sequence[np.ndarray]
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields the k nearest vectors of each query.

        Args:
          queries: float32 or float64 [q, d], finite.
          k: 1 to n.
          excluded: for each query int [e], distinct rows to leave out.

        Yields:
          (float64 [m], int64 [m]): for each query the distances, smallest first, and the rows; m is
          k, or fewer if the exclusions leave fewer. Equal distances are in the order of `places`.
        """
        ...


def make_search(algorithm: str, vectors: np.ndarray, places: np.ndarray) -> Search:
    """Makes a search.

    Args:
      algorithm: "tree", a k-d tree, the original design's; or "product", products of matrices,
        faster for many queries and in many dimensions, on JAX's default device.
      vectors: float32 or float64 [n, d], n >= 1, as `checks.checked_vectors` returns.
      places: int [n], distinct: the order of vectors at equal distances.

    Raises:
      UserError: there is no such algorithm, or JAX has no device.
    """
    check_algorithm(algorithm)
    search: Callable[[np.ndarray, np.ndarray], Search]
    if algorithm == TREE:
        from imagefec.analysis.neighbours.tree import TreeSearch as search
    else:
        from imagefec.analysis.neighbours.product import ProductSearch as search
    return search(vectors, places)


def check_algorithm(algorithm: str) -> None:
    """Raises UserError if there is no such algorithm."""
    if algorithm not in ALGORITHMS:
        raise UserError(f"algorithm = {algorithm!r}: allowed are {' and '.join(ALGORITHMS)}.")
