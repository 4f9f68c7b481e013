"""Standard errors of accuracies where triplets share photos, and paired comparisons, in NumPy."""

import math
from itertools import combinations
from typing import NamedTuple

import numpy as np


class Difference(NamedTuple):
    """Difference in accuracy of two models on the same triplets, second minus first, as fractions.

    `standard_error` is clustered. `low` to `high` is the 95 % bootstrap interval, as wide as photos
    that several triplets share require. `p_not_higher` is the share of bootstrap samples in which
    the second model is not better.
    """

    difference: float
    standard_error: float
    low: float
    high: float
    p_not_higher: float


def clustered_standard_error(values: np.ndarray, clusters: np.ndarray) -> float:
    """Standard error of a mean over triplets, where triplets that share a cluster are dependent.

    The variance sums the products of the residuals of all pairs of triplets that share a cluster;
    other pairs count as independent. Without shared clusters it is the usual standard error.

    Args:
      values: float or bool [t], such as which triplets are correct.
      clusters: int [t, k], the cluster of each of the triplet's faces: its photo or identity. A
        cluster may occur in several columns and more than once in a row.

    Returns:
      The standard error, at least that of independent triplets; NaN for fewer than 2 triplets.

    Raises:
      ValueError: the shapes do not match.

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


def equal_means_p_value(values: np.ndarray, first: np.ndarray, clusters: np.ndarray) -> float:
    """Two-sided p-value of a difference between two groups' means, where clusters are dependent.

    A score test: residuals are taken from the common mean, as if the groups were equal, so that a
    group without variation has no standard error of 0. Pairs count as in
    `clustered_standard_error`. The normal approximation requires some dozens of clusters.

    Args:
      values: float or bool [n], such as which faces were dropped.
      first: bool [n], which of them are in the first group; the others are in the second.
      clusters: int [n, k], as in `clustered_standard_error`.

    Returns:
      In [0, 1]; 1 if all values are equal; NaN if a group is empty.

    Raises:
      ValueError: the shapes do not match.
    """
    values, first = np.asarray(values, np.float64), np.asarray(first, bool)
    clusters = np.asarray(clusters)
    if (
        values.ndim != 1
        or first.shape != values.shape
        or clusters.ndim != 2
        or len(clusters) != len(values)
    ):
        raise ValueError(
            "values and first must be [n] and clusters [n, k], found "
            f"{values.shape}, {first.shape} and {clusters.shape}"
        )
    n_first = int(first.sum())
    n_second = len(first) - n_first
    if not n_first or not n_second:
        return float("nan")
    weights = np.where(first, 1 / n_first, -1 / n_second)
    shares = (values - values.mean()) * weights
    variance = max(_sum_over_sharing_pairs(shares, clusters), float(np.sum(shares**2)))
    return math.erfc(abs(float(shares.sum())) / math.sqrt(2 * variance)) if variance else 1.0


def paired_bootstrap(
    first: np.ndarray,
    second: np.ndarray,
    clusters: np.ndarray,
    n_samples: int = 2000,
    seed: int = 0,
) -> Difference:
    """Compares two models on the same triplets.

    Args:
      first: bool [t], which triplets the first model predicts correctly.
      second: bool [t], likewise for the second model, in the same order.
      clusters: int [t, k], as in `clustered_standard_error`, . The bootstrap resamples
        triplets; its samples are then moved away from the difference, all by the factor by which
        clusters increase the standard error.
      n_samples: number of bootstrap samples.
      seed: seed of the bootstrap.

    Returns:
      The difference, second minus first.

    Raises:
      ValueError: the shapes do not match, or there is no triplet.
    """
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if first.shape != second.shape or first.ndim != 1 or not len(first):
        raise ValueError(
            f"first and second must both be [t >= 1], found {first.shape} and {second.shape}"
        )
    gains = second - first
    # Gains are -1, 0 or 1, so resampling t triplets is one multinomial sample of their counts.
    kinds = np.array([-1.0, 0.0, 1.0])
    shares = [np.mean(gains == kind) for kind in kinds]
    counts = np.random.default_rng(seed).multinomial(len(gains), shares, size=n_samples)
    means = counts @ kinds / len(gains)
    difference = gains.mean()
    clustered = clustered_standard_error(gains, clusters)
    independent = np.sqrt(np.sum((gains - difference) ** 2) / max(len(gains) * (len(gains) - 1), 1))
    if independent > 0:
        means = difference + (means - difference) * (clustered / independent)
    low, high = np.quantile(means, (0.025, 0.975))
    return Difference(
        float(difference),
        clustered,
        float(low),
        float(high),
        float(np.mean(means <= 0)),
    )


def _sum_over_sharing_pairs(residuals: np.ndarray, clusters: np.ndarray) -> float:
    """Sum of r_i r_j over all ordered pairs (i, j), including i = j, that share a cluster.

    By inclusion and exclusion: add the pairs that share each single cluster, subtract those that
    share each set of two, and so on, so that a pair with several shared clusters counts once.
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
    """All sets of `size` different clusters in each row: row indices [m], clusters [m, size]."""
    ordered = np.sort(clusters, axis=1)
    new = np.ones(ordered.shape, bool)  # False where a cluster repeats the one before it
    new[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    rows, keys = [], []
    for columns in combinations(range(clusters.shape[1]), size):
        distinct = np.flatnonzero(new[:, columns].all(axis=1))
        rows.append(distinct)
        keys.append(np.take(ordered[distinct], columns, axis=1))
    return np.concatenate(rows), np.concatenate(keys)
