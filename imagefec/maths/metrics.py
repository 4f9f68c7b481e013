"""Triplet prediction accuracy (TPA), human accuracy and spread of embeddings; no losses.

Functions that accept NumPy and JAX arrays compute in NumPy for the former, in JAX for the latter.
"""

import math
from typing import Any

import jax.numpy as jnp
import numpy as np

from imagefec.fec import TYPE_KEYS
from imagefec.maths import uncertainty

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

    Example:
      >>> east, north = np.eye(2, dtype=np.float32)
      >>> float(triplet_prediction_accuracy(np.stack([[east, east, north], [east, north, north]])))
      0.5
      >>> float(triplet_prediction_accuracy(np.stack([[east, east, east]])))  # a tie
      0.0

    Source: Vemulapalli & Agarwala 2019, arXiv:1811.11283, section 5.
    """
    if embeddings.ndim != 3 or embeddings.shape[1] != 3 or embeddings.shape[0] == 0:
        raise ValueError(f"embeddings must be [batch >= 1, 3, dim], found {embeddings.shape}")
    xp = _numpy_of(embeddings)
    return xp.mean(correct_triplets(*triplet_distances(embeddings)), dtype=xp.float32)


def triplet_distances(embeddings: Array) -> tuple[Array, Array, Array]:
    """Squared distances of the three pairs of each triplet; squaring preserves their order.

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
    """Which triplets are predicted correctly: d12 < d13 and d12 < d23, strictly.

    Args:
      d12: float32 [batch], distance of the alike pair; all three plain or all three squared.
      d13: float32 [batch], distance of the first alike face to the odd one.
      d23: float32 [batch], distance of the second alike face to the odd one.

    Returns:
      bool [batch]; False for ties and where a compared distance is NaN.
    """
    return (d12 < d13) & (d12 < d23)


def tpa_with_errors(correct: np.ndarray, clusters: np.ndarray | None = None) -> dict[str, Any]:
    """TPA with its standard errors, in NumPy only.

    Args:
      correct: bool [triplets], as returned by `correct_triplets`; may be empty.
      clusters: int [triplets, k], as in `uncertainty.clustered_standard_error`, such as the photos
        of each triplet's faces.

    Returns:
      {"tpa", "tpa_se", "n_triplets"}, plain Python numbers, fractions, and with clusters also
      "tpa_se_clustered". "tpa_se" is the binomial sqrt(p (1 - p) / n), which assumes independent
      triplets. None where undefined: everything without triplets, "tpa_se_clustered" for one.
    """
    n = int(correct.size)
    tpa = float(np.mean(correct)) if n else None
    result = {"tpa": tpa, "tpa_se": None if tpa is None else math.sqrt(tpa * (1 - tpa) / n)}
    if clusters is not None:
        clustered = uncertainty.clustered_standard_error(correct, clusters)
        result["tpa_se_clustered"] = clustered if math.isfinite(clustered) else None
    return {**result, "n_triplets": n}


def tpa_by_type(
    correct: np.ndarray, types: np.ndarray, clusters: np.ndarray | None = None
) -> dict[str, Any]:
    """TPA with its standard errors, over all triplets and for each type, in NumPy only.

    Args:
      correct: bool [triplets], as returned by `correct_triplets`; at least one triplet.
      types: int [triplets], 0, 1, 2 for TYPE_KEYS; -1 for a triplet without a type.
      clusters: as in `tpa_with_errors`.

    Returns:
      What `tpa_with_errors` returns for all triplets, and "by_type": {name: the same for its
      triplets}.

    Raises:
      ValueError: shapes differ, there is no triplet, or a type is not -1, 0, 1 or 2.
    """
    correct, types = np.asarray(correct, bool), np.asarray(types)
    if correct.ndim != 1 or correct.shape != types.shape or correct.size == 0:
        raise ValueError(
            "correct and types must both be [triplets >= 1], found "
            f"{correct.shape} and {types.shape}"
        )
    if not np.isin(types, range(-1, len(TYPE_KEYS))).all():
        raise ValueError(
            f"types must be -1 for none, or 0, 1, 2 for {', '.join(TYPE_KEYS)}; found "
            f"{np.unique(types)}"
        )
    by_type = {}
    for code, name in enumerate(TYPE_KEYS):
        of_type = types == code
        by_type[name] = tpa_with_errors(
            correct[of_type], None if clusters is None else clusters[of_type]
        )
    return {**tpa_with_errors(correct, clusters), "by_type": by_type}


def rms_pairwise_distance(embeddings: Array) -> Array:
    """Root mean square (RMS) distance between two different embeddings; 0 for a collapsed model.

    Computed from the variance, in time linear in n. Unit vectors that are spread evenly give
    sqrt(2) for large n.

    Args:
      embeddings: float32 or float64 [n, dim], n >= 2.

    Returns:
      Scalar of the same type, in [0, 2] for unit vectors; NaN if an embedding contains NaN.

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
    dtype = xp.promote_types(embeddings.dtype, xp.float32)
    return xp.sqrt(xp.sum(centred**2) * (2.0 / (n - 1))).astype(dtype)


def leave_one_out_human_accuracy(vote_counts: np.ndarray) -> float:
    """How often a rater agrees with the other raters, the reference for a TPA. NumPy only.

    A vote is correct if it equals the unique majority of the other votes on its triplet. Votes
    without a unique majority among the others are not counted.

    Args:
      vote_counts: int [triplets, 3], how many raters chose each of the three faces as the odd one.

    Returns:
      Share of correct votes among the counted ones, in [0, 1]; NaN if no vote is counted.

    Raises:
      ValueError: vote_counts is not [triplets, 3] or has a negative count.

    Example:
      Five raters chose the third face and one the first: five of six agree with the others.

      >>> round(leave_one_out_human_accuracy([[1, 0, 5]]), 4)
      0.8333
    """
    vote_counts = np.asarray(vote_counts, np.int64)
    if vote_counts.ndim != 2 or vote_counts.shape[1] != 3 or (vote_counts < 0).any():
        raise ValueError(
            f"vote_counts must be [triplets, 3], counts >= 0; found shape {vote_counts.shape}"
        )
    n_counted = n_correct = 0
    for face in range(3):
        others = vote_counts - np.eye(3, dtype=np.int64)[face]
        majority = others.max(axis=1)
        decided = (others == majority[:, None]).sum(axis=1) == 1
        counted = vote_counts[:, face] * decided
        n_counted += int(counted.sum())
        n_correct += int(counted[others[:, face] == majority].sum())
    return n_correct / n_counted if n_counted else math.nan


def _numpy_of(array: Array) -> Any:
    return np if isinstance(array, np.ndarray) else jnp
