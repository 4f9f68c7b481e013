"""How well embeddings agree with human raters, and how far they are spread out; no loss.

Every function takes NumPy arrays (and then computes in NumPy, untraced) or JAX arrays, unless it
says so.
"""

import math
from typing import Any

import jax.numpy as jnp
import numpy as np

from imagefec.fec import TYPE_KEYS

Array = np.ndarray | jnp.ndarray


def triplet_prediction_accuracy(embeddings: Array) -> Array:
    """Share of triplets whose alike pair is strictly the closest of the three pairs (TPA).

    Args:
      embeddings: float32 [batch, 3, dim], batch >= 1. Axis 1 is (alike, alike, odd).

    Returns:
      float32 scalar in [0, 1]; ties and NaN count as wrong, so a collapsed model scores 0. Chance
      is 1/3.

    Raises:
      ValueError: embeddings is not [batch, 3, dim] or the batch is empty.

    Source: Vemulapalli & Agarwala 2019, arXiv:1811.11283, section 5.
    """
    if embeddings.ndim != 3 or embeddings.shape[1] != 3 or embeddings.shape[0] == 0:
        raise ValueError(f"embeddings must be [batch >= 1, 3, dim], found {embeddings.shape}")
    xp = _numpy_of(embeddings)
    return xp.mean(correct_triplets(*triplet_distances(embeddings)), dtype=xp.float32)


def triplet_distances(embeddings: Array) -> tuple[Array, Array, Array]:
    """Squared distances of the three pairs of each triplet (squares order as the distances themselves do).

    Args:
      embeddings: float32 [batch, 3, dim]. Axis 1 is (alike, alike, odd).

    Returns:
      d12, d13, d23: float32 [batch] each.
    """
    xp = _numpy_of(embeddings)
    first, second, odd = embeddings[:, 0], embeddings[:, 1], embeddings[:, 2]
    return (
        xp.sum((first - second) ** 2, axis=-1),
        xp.sum((first - odd) ** 2, axis=-1),
        xp.sum((second - odd) ** 2, axis=-1),
    )


def correct_triplets(d12: Array, d13: Array, d23: Array) -> Array:
    """Which triplets are predicted right: d12 < d13 and d12 < d23, strictly.

    Args:
      d12: float32 [batch], distance of the alike pair (plain or squared, all three the same).
      d13: float32 [batch], distance of the first alike face to the odd one.
      d23: float32 [batch], distance of the second alike face to the odd one.

    Returns:
      bool [batch]; False at ties and wherever a distance that decides is NaN.
    """
    return (d12 < d13) & (d12 < d23)


def tpa_by_type(right: np.ndarray, types: np.ndarray) -> dict[str, Any]:
    """TPA with its standard error, over all triplets and for each type. NumPy only.

    Args:
      right: bool [triplets], as correct_triplets gives it; at least one triplet.
      types: int [triplets], 0, 1, 2 for TYPE_KEYS; -1, in none of them, where a dataset has no
        types.

    Returns:
      {"tpa", "tpa_se", "n_triplets", "by_type": {name: {"tpa", "tpa_se", "n_triplets"}}}, plain
      Python numbers, fractions; "tpa" and "tpa_se" are None for a type without triplets. The
      standard error is the binomial sqrt(p (1 - p) / n), which takes the triplets as independent.

    Raises:
      ValueError: shapes differ, there is no triplet, or a type is not -1, 0, 1 or 2.
    """
    right, types = np.asarray(right, bool), np.asarray(types)
    if right.ndim != 1 or right.shape != types.shape or right.size == 0:
        raise ValueError(
            f"right and types must be [triplets >= 1] alike, found {right.shape}, {types.shape}"
        )
    if not np.isin(types, range(-1, len(TYPE_KEYS))).all():
        raise ValueError(
            f"types must be -1 for none, or 0, 1, 2 for {', '.join(TYPE_KEYS)}; found {np.unique(types)}"
        )
    by_type = {name: _share(right[types == code]) for code, name in enumerate(TYPE_KEYS)}
    return {**_share(right), "by_type": by_type}


def rms_pairwise_distance(embeddings: Array) -> Array:
    """Root mean square distance between two different embeddings of the set: 0 where all have collapsed.

    Computed from the variance, in time linear in n. Unit vectors spread evenly give sqrt(2) for
    large n.

    Args:
      embeddings: float32 [n, dim], n >= 2.

    Returns:
      float32 scalar, in [0, 2] for unit vectors; NaN where an embedding holds one.

    Raises:
      ValueError: embeddings is not [n >= 2, dim].
    """
    if embeddings.ndim != 2 or embeddings.shape[0] < 2:
        raise ValueError(f"embeddings must be [n >= 2, dim], found {embeddings.shape}")
    xp = _numpy_of(embeddings)
    n = embeddings.shape[0]
    centred = embeddings - xp.mean(embeddings, axis=0, keepdims=True)
    # The mean over the n (n - 1) ordered pairs of |x - y|^2 is 2 / (n - 1) times the summed
    # squares.
    return xp.sqrt(xp.sum(centred**2) * (2.0 / (n - 1))).astype(xp.float32)


def rater_accuracy(vote_counts: np.ndarray) -> float:
    """How often a human rater agrees with the others, the ceiling to hold a TPA against. NumPy only.

    Leave one out: a vote is right when it equals the unique majority of the OTHER votes of its
      triplet.
    Votes whose others tie (or that have no others) say nothing and are left out of the count.

    Args:
      vote_counts: int [triplets, 3], how many raters called each of the three faces the odd one.

    Returns:
      Share of right votes among the counted ones, in [0, 1]; NaN where no vote can be counted.

    Raises:
      ValueError: vote_counts is not [triplets, 3] or holds a negative count.
    """
    vote_counts = np.asarray(vote_counts, np.int64)
    if vote_counts.ndim != 2 or vote_counts.shape[1] != 3 or (vote_counts < 0).any():
        raise ValueError(
            f"votes must be counts >= 0, [triplets, 3]; found shape {vote_counts.shape}"
        )
    n_counted = n_right = 0
    for face in range(3):
        others = vote_counts - np.eye(3, dtype=np.int64)[face]
        majority = others.max(axis=1)
        decided = (others == majority[:, None]).sum(axis=1) == 1
        counted = vote_counts[:, face] * decided
        n_counted += int(counted.sum())
        n_right += int(counted[others[:, face] == majority].sum())
    return n_right / n_counted if n_counted else math.nan


def _share(right: np.ndarray) -> dict[str, Any]:
    n = int(right.size)
    if n == 0:
        return {"tpa": None, "tpa_se": None, "n_triplets": 0}
    tpa = float(np.mean(right))
    return {"tpa": tpa, "tpa_se": math.sqrt(tpa * (1 - tpa) / n), "n_triplets": n}


def _numpy_of(array: Array) -> Any:
    return np if isinstance(array, np.ndarray) else jnp
