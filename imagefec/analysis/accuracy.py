"""Accuracy of embeddings on the triplets of a split, overall and on parts of it; no files."""

import math
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from imagefec.fec import MIXED, SIMULATED

if TYPE_CHECKING:
    from imagefec.data.store.datasets import Triplets

_CHUNK_VALUES = 2**23  # at a time: the vectors of others may be long


def correct_predictions(vectors: np.ndarray, data: "Triplets") -> np.ndarray:
    """Which triplets of a split the embeddings predict correctly.

    Args:
      vectors: float32 or float64 [n, d], the embedding of each of `data.faces`.
      data: the triplets; the images are not used.

    Returns:
      bool [triplets]; False where an embedding is not finite.

    Raises:
      ValueError: vectors is not [n, d], one per face.
    """
    from imagefec.maths import metrics

    if vectors.ndim != 2 or len(vectors) != len(data.face_ids):
        raise ValueError(
            f"vectors must be [{len(data.face_ids)}, d], one per face; found {vectors.shape}"
        )
    n = max(1, _CHUNK_VALUES // (3 * max(vectors.shape[1], 1)))
    parts = [
        metrics.correct_triplets(
            *metrics.triplet_distances(vectors[data.triplets[start : start + n]])
        )
        for start in range(0, len(data.triplets), n)
    ]
    return np.concatenate(parts) if parts else np.zeros(0, bool)


def triplets_with(data: "Triplets", kept: np.ndarray) -> "Triplets":
    """Some of the triplets, of the same faces.

    Args:
      data: the triplets.
      kept: bool [triplets].
    """
    return replace(
        data,
        triplets=data.triplets[kept],
        types=data.types[kept],
        vote_counts=data.vote_counts[kept],
        agreement=data.agreement[kept],
    )


def triplet_photos(data: "Triplets") -> np.ndarray:
    """The photo of each triplet's faces as a number, equal for equal URLs: int [triplets, 3]."""
    return photo_numbers(data.urls)[data.triplets]


def photo_numbers(urls: Sequence[str]) -> np.ndarray:
    """The photo of each face as a number from 0, equal for equal URLs: int [n]."""
    _, numbers = np.unique(np.array(urls, dtype=object), return_inverse=True)
    return numbers.reshape(-1)


def shown_error(scores: dict[str, Any]) -> float:
    """The standard error to print beside scores["tpa"]: clustered, or binomial if undefined."""
    clustered = scores["tpa_se_clustered"]
    return scores["tpa_se"] if clustered is None else clustered


def tpa_and_parts(correct: np.ndarray, data: "Triplets", photos: np.ndarray) -> dict[str, Any]:
    """TPA of a split, by type of triplet and by agreement of the raters.

    Args:
      correct: bool [triplets], as returned by `correct_predictions`; at least one.
      data: the triplets; the images are not used.
      photos: int [triplets, 3], as returned by `triplet_photos`.

    Returns:
      "tpa", "tpa_se", "tpa_se_clustered", "n_triplets" of all triplets. "by_type": {type: these
      four and "human_tpa"}. "by_agreement": {"4": these four of the triplets whose odd face has 4
      votes, …}; triplets without votes are in none. "human_tpa". Values are None if undefined.
    """
    from imagefec.maths import metrics

    scores = metrics.tpa_by_type(correct, data.types, photos)
    for code, part in enumerate(scores["by_type"].values()):
        part["human_tpa"] = human_tpa(data.vote_counts[data.types == code])
    odd_votes, has_votes = data.vote_counts[:, 2], data.vote_counts.sum(axis=1) > 0
    scores["by_agreement"] = {
        str(count): metrics.tpa_with_errors(correct[odd_votes == count], photos[odd_votes == count])
        for count in np.unique(odd_votes[has_votes]).tolist()
    }
    return {**scores, "human_tpa": human_tpa(data.vote_counts)}


def human_tpa(vote_counts: np.ndarray) -> float | None:
    """`metrics.leave_one_out_human_accuracy`; None if no vote can be compared with others."""
    from imagefec.maths import metrics

    return number_or_none(metrics.leave_one_out_human_accuracy(vote_counts))


def rater_accuracy_name(rater_source: str | None) -> str:
    """What `human_tpa` is called in texts: "human accuracy" only of people.

    Args:
      rater_source: as `SplitLoader.rater_source` returns.
    """
    if rater_source == SIMULATED:
        return "accuracy of simulated raters"
    return "accuracy of people and simulated raters" if rater_source == MIXED else "human accuracy"


def disjoint_triplets(data: "Triplets", urls: Collection[str]) -> np.ndarray:
    """Which triplets show none of the given photos: bool [triplets].

    Args:
      data: the triplets.
      urls: photos, such as those of the split that a run was trained on.
    """
    known = set(urls)
    shown = np.array([url in known for url in data.urls], bool)
    return ~shown[data.triplets].any(axis=1)


def number_or_none(number: float) -> float | None:
    """The number as a float, or None for NaN and infinity, which JSON cannot represent."""
    return float(number) if math.isfinite(number) else None
