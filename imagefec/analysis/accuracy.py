"""Which triplets embeddings get right, summed up whole and in parts, with errors that know of shared photographs; no files."""

import math
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import numpy as np

from imagefec.fec import TYPE_KEYS

if TYPE_CHECKING:
    from imagefec.data.store.datasets import Triplets


def correct_triplets(vectors: np.ndarray, data: "Triplets") -> np.ndarray:
    """Which triplets the embeddings predict right.

    Args:
      vectors: float32 [n, d], the embedding of each of `data.faces`.
      data: the triplets; their images are not looked at.

    Returns:
      bool [triplets].

    Raises:
      ValueError: vectors is not [n, d], one for each face.
    """
    from imagefec.maths import metrics

    if vectors.ndim != 2 or len(vectors) != len(data.face_ids):
        raise ValueError(
            f"vectors must be [{len(data.face_ids)}, d], one a face; found {vectors.shape}"
        )
    return np.asarray(metrics.correct_triplets(*metrics.triplet_distances(vectors[data.triplets])))


def photographs(data: "Triplets") -> np.ndarray:
    """The photograph that each triplet's faces come from, as a number: int [triplets, 3], equal where URLs are."""
    _, number = np.unique(np.array(data.urls, dtype=object), return_inverse=True)
    return number.reshape(-1)[data.triplets]


def accuracy(right: np.ndarray, clusters: np.ndarray) -> dict[str, Any]:
    """TPA with both its errors.

    Args:
      right: bool [triplets], or shares in [0, 1] where several runs are averaged.
      clusters: int [triplets, 3], as `photographs` gives them.

    Returns:
      {"tpa", "tpa_se", "tpa_se_clustered", "n_triplets"}: tpa_se takes the triplets as independent,
      tpa_se_clustered those that share a photograph as going right or wrong together. None for what
      no triplet, or one alone, tells.
    """
    from imagefec.maths import uncertainty

    n = len(right)
    if n == 0:
        return {"tpa": None, "tpa_se": None, "tpa_se_clustered": None, "n_triplets": 0}
    tpa = float(np.mean(right))
    clustered = uncertainty.clustered_standard_error(right, clusters)
    return {
        "tpa": tpa,
        "tpa_se": math.sqrt(tpa * (1 - tpa) / n),
        "tpa_se_clustered": number_or_none(clustered),
        "n_triplets": n,
    }


def shown_error(scores: dict[str, Any]) -> float:
    """The standard error to print beside scores["tpa"]: the clustered one, or the plain one where a lone cluster tells none."""
    clustered = scores["tpa_se_clustered"]
    return scores["tpa_se"] if clustered is None else clustered


def accuracy_by_type(right: np.ndarray, data: "Triplets") -> dict[str, dict[str, Any]]:
    """`accuracy` of each type of triplet, and beside it "human_tpa", how often a rater agrees with the others on that type."""
    clusters = photographs(data)
    return {
        name: {
            **accuracy(right[data.types == code], clusters[data.types == code]),
            "human_tpa": human_accuracy(data.vote_counts[data.types == code]),
        }
        for code, name in enumerate(TYPE_KEYS)
    }


def accuracy_by_agreement(right: np.ndarray, data: "Triplets") -> dict[str, dict[str, Any]]:
    """`accuracy` by how many raters chose the odd face: {"4": …, "5": …, "6": …}; triplets without votes are in none."""
    clusters, agreeing = photographs(data), data.vote_counts[:, 2]
    return {
        str(count): accuracy(right[agreeing == count], clusters[agreeing == count])
        for count in sorted(set(agreeing[data.vote_counts.sum(axis=1) > 0].tolist()))
    }


def human_accuracy(votes: np.ndarray) -> float | None:
    """`metrics.rater_accuracy`, or None where no vote can be held against others."""
    from imagefec.maths import metrics

    return number_or_none(metrics.rater_accuracy(votes))


def apart_from(data: "Triplets", urls: Collection[str]) -> np.ndarray:
    """Which triplets show none of the photographs: bool [triplets].

    Args:
      data: the triplets.
      urls: photographs, such as those of the split that a run was trained on.
    """
    known = set(urls)
    seen = np.array([url in known for url in data.urls], bool)
    return ~seen[data.triplets].any(axis=1)


def number_or_none(number: float) -> float | None:
    """The number, or None for NaN and infinity, which JSON has no words for."""
    return float(number) if math.isfinite(number) else None
