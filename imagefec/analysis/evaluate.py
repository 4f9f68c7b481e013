"""How well a run agrees with human raters on a split of a built dataset; it draws nothing and trains nothing."""

import math
import os
from typing import TYPE_CHECKING, Any

import numpy as np
from absl import logging

if TYPE_CHECKING:
    from imagefec.data.pipeline import Triplets

FEW_TRIPLETS = 100  # the standard error of the TPA is then 5 points


def evaluate_run(run_dir: str | os.PathLike, data_dir: str | os.PathLike, dataset: str = "fec",
                 split: str = "test") -> dict[str, Any]:
    """Evaluates a run on every triplet of a split, in evaluation mode, each distinct face embedded once.

    Args:
      run_dir: a training run's directory.
      data_dir, dataset, split: as in imagefec.data.pipeline.load_triplets.

    Returns:
      What `score_triplets` returns, and "run", "step", "dataset", "split"; JSON can hold all of it.

    Raises:
      UserError: there is no such run or checkpoint, or no such dataset or split, or either is damaged.
    """
    from imagefec.data import pipeline
    from imagefec.model import Embedder

    embedder = Embedder.load(run_dir)
    data = pipeline.load_triplets(data_dir, dataset, split, image_size=embedder.image_size)
    scores = score_triplets(embedder.embed(data.faces), data)
    step = embedder.info.get("step")
    return {**scores, "run": os.fspath(run_dir), "step": step, "dataset": dataset, "split": split}


def score_triplets(vectors: np.ndarray, data: "Triplets") -> dict[str, Any]:
    """Scores embeddings against the triplets that human raters judged.

    Args:
      vectors: float32 [n, d], the embedding of each of `data.faces`.
      data: the triplets; their images are not looked at.

    Returns:
      {"tpa", "tpa_se", "n_triplets", "by_type": {name: {"tpa", "tpa_se", "n_triplets"}}, "human_tpa",
      "embedding_spread"}, fractions; None stands where there is nothing to average: the TPA of a type
      without triplets, the human one where no votes can be compared, the spread of embeddings that are not
      finite. "warning" is there only where the numbers should not be trusted, and is logged as well.

    Raises:
      ValueError: vectors is not [n, d], one for each face.
    """
    from imagefec.maths import metrics

    if vectors.ndim != 2 or len(vectors) != len(data.face_ids):
        raise ValueError(f"vectors must be [{len(data.face_ids)}, d], one a face; found {vectors.shape}")
    right = metrics.triplets_right(*metrics.triplet_distances(vectors[data.triplets]))
    spread = metrics.embedding_spread(vectors) if len(vectors) > 1 else math.nan
    scores = {
        **metrics.tpa_by_type(right, data.types),
        "human_tpa": _or_none(metrics.rater_accuracy(data.votes)),
        "embedding_spread": _or_none(spread),
    }
    warnings = _warnings(scores, vectors)
    for warning in warnings:
        logging.warning("%s", warning)
    return {**scores, "warning": " ".join(warnings)} if warnings else scores


def _warnings(scores: dict[str, Any], vectors: np.ndarray) -> list[str]:
    warnings = []
    n = scores["n_triplets"]
    if n < FEW_TRIPLETS:
        warnings.append(
            f"Only {n} triplets: the TPA is uncertain by several points (its standard error is at worst "
            f"{0.5 / math.sqrt(n):.3f}). Evaluate on {FEW_TRIPLETS} or more.")
    broken = int((~np.isfinite(vectors).all(axis=1)).sum())
    if broken:
        warnings.append(f"{broken} of {len(vectors)} embeddings are not finite; their triplets count as wrong.")
    elif scores["embedding_spread"] is not None and scores["embedding_spread"] < 1e-3:
        warnings.append(f"All embeddings lie within {scores['embedding_spread']:.1e} of each other: the run "
                        "has collapsed.")
    return warnings


def _or_none(number: float) -> float | None:
    # JSON has no NaN.
    return float(number) if math.isfinite(number) else None
