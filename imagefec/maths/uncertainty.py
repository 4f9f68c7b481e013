"""How sure a TPA is: errors that know that triplets share photographs, and the difference of two models; numpy only."""

from itertools import combinations
from typing import NamedTuple

import numpy as np


class Difference(NamedTuple):
    """Of the accuracies of two models on the same triplets: second minus first, as fractions.

    `standard_error` is clustered; `low` to `high` is the 95 % interval of the bootstrap;
    `p_not_higher` the share of the bootstrap's draws in which the second model is no better.
    """

    difference: float
    standard_error: float
    low: float
    high: float
    p_not_higher: float


def clustered_standard_error(values: np.ndarray, clusters: np.ndarray) -> float:
    """Standard error of a mean over triplets, where triplets that share a cluster may go right or wrong together.

    The variance sums the products of the residuals of all pairs of triplets that have a cluster in
    common; triplets that have none count as independent. Without any shared cluster it is the
    textbook's error.

    Args:
      values: float or bool [t], such as which triplets are right.
      clusters: int [t, k], what each triplet's faces belong to: rows of photographs, or people. A
        cluster may occur in several columns, and more than once in a row.

    Returns:
      The standard error; NaN for fewer than 2 triplets. Never below the one of independent
      triplets.

    Raises:
      ValueError: the shapes do not fit.

    Source: Aronow, Samii & Assenova 2015, doi:10.1093/pan/mpv018 (dyadic data; here for k faces).
    """
    values, clusters = np.asarray(values, np.float64), np.asarray(clusters)
    if values.ndim != 1 or clusters.ndim != 2 or len(values) != len(clusters):
        raise ValueError(
            f"values must be [t] and clusters [t, k], found {values.shape} and {clusters.shape}"
        )
    n = len(values)
    if n < 2:
        return float("nan")
    residuals = values - values.mean()
    independent = np.sum(residuals**2)
    return float(
        np.sqrt(max(_sum_over_sharing_pairs(residuals, clusters), independent) / (n * (n - 1)))
    )


def paired_bootstrap(
    first: np.ndarray, second: np.ndarray, clusters: np.ndarray, draws: int = 2000, seed: int = 0
) -> Difference:
    """Compares two models on the same triplets.

    Args:
      first: bool [t], which triplets the first model gets right.
      second: likewise the second, in the same order.
      clusters: int [t, k], as clustered_standard_error has it, for the standard error; the
        bootstrap draws triplets.
      draws: of the bootstrap.
      seed: of the draws.

    Returns:
      Difference.

    Raises:
      ValueError: the shapes do not fit, or there is no triplet.
    """
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if first.shape != second.shape or first.ndim != 1 or not len(first):
        raise ValueError(
            f"both must be [t] alike with t > 0, found {first.shape} and {second.shape}"
        )
    gains = second - first
    # Gains are -1, 0 or 1, so a draw of t triplets with replacement is a draw of how many of each.
    kinds = np.array([-1.0, 0.0, 1.0])
    shares = [np.mean(gains == kind) for kind in kinds]
    drawn = (
        np.random.default_rng(seed).multinomial(len(gains), shares, size=draws) @ kinds / len(gains)
    )
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Difference(
        float(gains.mean()),
        clustered_standard_error(gains, clusters),
        float(low),
        float(high),
        float(np.mean(drawn <= 0)),
    )


def _sum_over_sharing_pairs(residuals: np.ndarray, clusters: np.ndarray) -> float:
    """Sum of r_i r_j over all ordered pairs (i, j), i = j included, of rows with a cluster in common.

    Pairs that share are counted by what they share: once for each single cluster, less once for
      each two, and so on, so
    that a pair with two clusters in common counts once.
    """
    total, sign = 0.0, 1.0
    for size in range(1, clusters.shape[1] + 1):
        rows, keys = _subsets(clusters, size)
        _, group = np.unique(keys, axis=0, return_inverse=True)
        sums = np.bincount(group.reshape(-1), weights=residuals[rows])
        total += sign * np.sum(sums**2)
        sign = -sign
    return float(total)


def _subsets(clusters: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """All sets of `size` different clusters of each row: (row numbers [m], sorted clusters [m, size])."""
    ordered = np.sort(clusters, axis=1)
    new = np.ones(ordered.shape, bool)
    new[:, 1:] = (
        ordered[:, 1:] != ordered[:, :-1]
    )  # a cluster that comes twice in a row counts once
    rows, keys = [], []
    for columns in combinations(range(clusters.shape[1]), size):
        whole = np.flatnonzero(new[:, columns].all(axis=1))
        rows.append(whole)
        keys.append(ordered[np.ix_(whole, columns)])
    return np.concatenate(rows), np.concatenate(keys)
