"""Checks of what is given to a search for neighbours: k, the largest distance, vectors, ids."""

import math
from collections.abc import Hashable, Sequence

import numpy as np

from imagefec.errors import UserError

# Neighbours at a larger distance are not shown, as in the original design. Two random unit vectors
# are about 1.41 apart.
MAX_DISTANCE = 1.77
_LARGEST = 1e100  # the square of a larger number may be infinite


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


def checked_vectors(vectors: np.ndarray) -> np.ndarray:
    """The vectors as float32 if they are float32 or float16, else as float64.

    Raises:
      ValueError: they are not [n, d], or a value is not finite or larger than 1e100.
    """
    vectors = np.asarray(vectors)
    if vectors.ndim != 2:
        raise ValueError(f"vectors must be finite [n, d], found shape {vectors.shape}")
    half = vectors.dtype.kind == "f" and vectors.dtype.itemsize <= 4
    vectors = np.ascontiguousarray(vectors, np.float32 if half else np.float64)
    largest = min(_LARGEST, float(np.finfo(vectors.dtype).max))
    usable = (np.abs(vectors) <= largest).all(axis=1)
    if not usable.all():
        row = int(np.argmin(usable))
        what = "a value larger than 1e100" if np.isfinite(vectors[row]).all() else "NaN or infinity"
        raise ValueError(
            f"vectors must be finite [n, d], found {what} in row {row}, and in {(~usable).sum()} "
            f"of {len(vectors)} rows"
        )
    return vectors


def checked_ids(ids: Sequence[Hashable], n: int) -> list[str] | list[int]:
    """The ids as Python's texts or numbers.

    Raises:
      ValueError: there are not n, they are neither all texts nor all whole numbers, or one is
        repeated.
    """
    plain = [each.item() if isinstance(each, np.generic) else each for each in ids]
    if len(plain) != n:
        raise ValueError(
            f"vectors must be [n, d] with n ids, found {n} vectors and {len(plain)} ids"
        )
    kinds = {type(each) for each in plain}
    if not (kinds <= {str} or kinds <= {int}):
        names = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise ValueError(
            f"ids must be all texts or all whole numbers, so that they have an order; found {names}"
        )
    if len(set(plain)) != n:
        seen: set[Hashable] = set()
        twice = next(each for each in plain if each in seen or seen.add(each))  # type: ignore[func-returns-value]
        raise ValueError(
            f"ids must be distinct, found {n - len(set(plain))} repeated, such as {twice!r}"
        )
    return plain  # type: ignore[return-value]
