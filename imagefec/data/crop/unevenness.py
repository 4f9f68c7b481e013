"""Whether a detector misses one group of faces or triplets far more often than another."""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np

from imagefec.maths.uncertainty import equal_means_p_value

RATIO = 1.5  # of the two groups' shares missed, or of their shares not missed
LEAST_DIFFERENCE = 0.03  # of the shares missed
ALPHA = 0.01  # probability of a warning if the detector misses all groups equally often
FEWEST = 20  # members of a group that is compared


def most_uneven_pair(
    missed: np.ndarray, groups: np.ndarray, clusters: np.ndarray
) -> tuple[int, int] | None:
    """The two groups of which one is missed far more often than the other.

    Far more often: it is missed, or the other is not missed, at least `RATIO` times as often, the
    shares missed differ by `LEAST_DIFFERENCE`, and this is not by chance. Chance is excluded by two
    tests, both of which must be significant, corrected for the number of pairs (Bonferroni):
    Fisher's exact test, since groups may be small, and `equal_means_p_value`, since members that
    share a photo are often missed together.

    Args:
      missed: bool [n], of each face or triplet.
      groups: int [n], the group of each, from 0.
      clusters: int [n, k], the photo of the face or of each of the triplet's faces.

    Returns:
      (group missed more often, group missed less often), of all such pairs the one whose shares
      differ most; None if there is none.
    """
    sizes = np.bincount(groups)
    compared = np.flatnonzero(sizes >= FEWEST)
    shares = np.bincount(groups, weights=missed)[compared] / sizes[compared]
    pairs = (
        (compared[a], compared[b], shares[a] - shares[b])
        for a, b in combinations(np.argsort(-shares, kind="stable"), 2)
        if _far_apart(shares[a], shares[b])
    )
    alpha = ALPHA / max(comb(len(compared), 2), 1)
    for more, less, _ in sorted(pairs, key=lambda pair: -pair[2]):
        member = (groups == more) | (groups == less)
        if _is_significant(missed[member], groups[member] == more, clusters[member], alpha):
            return int(more), int(less)
    return None


def _far_apart(more: float, less: float) -> bool:
    often = more >= RATIO * less or 1 - less >= RATIO * (1 - more)
    return often and more - less >= LEAST_DIFFERENCE


def _is_significant(
    missed: np.ndarray, first: np.ndarray, clusters: np.ndarray, alpha: float
) -> bool:
    if equal_means_p_value(missed, first, clusters) >= alpha:
        return False
    from scipy.stats import fisher_exact  # takes a second to import, and is rarely needed

    table = [[np.sum(of & missed), np.sum(of & ~missed)] for of in (first, ~first)]
    return bool(fisher_exact(table).pvalue < alpha)
