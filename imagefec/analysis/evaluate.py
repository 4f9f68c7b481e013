"""Evaluation of a run on a split of a built dataset, as `imagefec evaluate` prints it."""

import math
import os
from typing import TYPE_CHECKING, Any

import numpy as np
from absl import logging

from imagefec.paths import readable

if TYPE_CHECKING:
    from imagefec.data.store.datasets import Triplets

FEW_TRIPLETS = 100  # with fewer, the standard error of the TPA may exceed 5 points


def evaluate_run(
    run_dir: str | os.PathLike[str],
    data_dir: str | os.PathLike[str],
    dataset: str = "fec",
    split: str = "test",
    against: str | os.PathLike[str] | None = None,
    disjoint_from: str | None = None,
    invariance: bool = False,
) -> dict[str, Any]:
    """Evaluates a run on every triplet of a split. Each distinct face is embedded once.

    Args:
      run_dir: a training run's directory; faces are loaded at the size that it was trained on.
      data_dir: see `imagefec.data.store.datasets.load_triplets`.
      dataset: likewise.
      split: likewise.
      against: another run, to be compared on the same triplets.
      disjoint_from: a split, such as "train": also evaluates the triplets that show none of its
        photos.
      invariance: also measures the distance between augmented views of a face, with the run's own
        augmentation ranges.

    Returns:
      What `score_triplets` returns, and "run", "step", "dataset", "split", and "human_tpa_source":
      whether the votes are those of "people" or "simulated" ("mixed"; None if there is no
      human_tpa, or if the dataset does not say); JSON-compatible.
      If requested: "against": {"run", "tpa", "difference", "standard_error", "low", "high",
      "p_not_higher"}, this run minus the other, as in imagefec.maths.uncertainty.Difference;
      "disjoint": {"from", "tpa", "tpa_se", "tpa_se_clustered", "n_triplets", "n_left_out"};
      "invariance": as in imagefec.analysis.invariance.

    Raises:
      UserError: the run, its checkpoint, the dataset or the split is missing or damaged.
    """
    from imagefec.analysis import accuracy
    from imagefec.analysis.invariance import augmentation_invariance
    from imagefec.analysis.split import SplitLoader
    from imagefec.maths import metrics
    from imagefec.model import Embedder
    from imagefec.model.run import Run

    run = Run.open(run_dir)
    embedder = Embedder.load(run)
    other = None if against is None else Embedder.load(against)
    loader = SplitLoader(data_dir, dataset, split)
    data = loader.load(embedder.image_size)
    photos = accuracy.triplet_photos(data)
    vectors = embedder.embed(data.faces)
    correct = accuracy.correct_predictions(vectors, data)
    scores = score_triplets(vectors, correct, data, photos)
    result = {
        **scores,
        "human_tpa_source": None if scores["human_tpa"] is None else loader.rater_source(),
        "run": readable(run_dir),
        "step": embedder.info.get("step"),
        "dataset": readable(dataset),
        "split": readable(split),
    }
    if disjoint_from is not None:
        disjoint = accuracy.disjoint_triplets(data, loader.urls_of(disjoint_from))
        result["disjoint"] = {
            "from": readable(disjoint_from),
            **metrics.tpa_with_errors(correct[disjoint], photos[disjoint]),
            "n_left_out": int((~disjoint).sum()),
        }
    if invariance:
        result["invariance"] = augmentation_invariance(embedder, data.faces, run.augment_ranges)
    if against is not None and other is not None:
        other_vectors = other.embed(loader.load(other.image_size).faces)
        other_correct = accuracy.correct_predictions(other_vectors, data)
        result["against"] = {
            "run": readable(against),
            **compare_predictions(other_correct, correct, photos),
        }
    return result


def score_triplets(
    vectors: np.ndarray, correct: np.ndarray, data: "Triplets", photos: np.ndarray
) -> dict[str, Any]:
    """Scores embeddings against the triplets that human raters annotated.

    Args:
      vectors: float32 [n, d], the embedding of each of `data.faces`.
      correct: bool [triplets], as returned by `accuracy.correct_predictions`.
      data: the triplets; the images are not used.
      photos: int [triplets, 3], as returned by `accuracy.triplet_photos`.

    Returns:
      What `accuracy.tpa_and_parts` returns, and "embedding_spread", the RMS pairwise distance, None
      if an embedding is not finite. "warning", logged as well, is present only if the numbers
      should not be trusted.
    """
    from imagefec.analysis import accuracy
    from imagefec.maths import metrics

    spread = float(metrics.rms_pairwise_distance(vectors)) if len(vectors) > 1 else math.nan
    scores = {
        **accuracy.tpa_and_parts(correct, data, photos),
        "embedding_spread": accuracy.number_or_none(spread),
    }
    warnings = _warnings(scores, vectors)
    for warning in warnings:
        logging.warning("%s", warning)
    return {**scores, "warning": " ".join(warnings)} if warnings else scores


def compare_predictions(
    first: np.ndarray, second: np.ndarray, photos: np.ndarray
) -> dict[str, Any]:
    """Compares two runs on the same triplets by a paired bootstrap.

    Args:
      first: bool [triplets], which triplets the first run predicts correctly.
      second: bool [triplets], likewise for the second run.
      photos: int [triplets, 3], as returned by `accuracy.triplet_photos`.

    Returns:
      {"tpa": the first's, "difference": second minus first, "standard_error", "low", "high",
      "p_not_higher"}.
    """
    from imagefec.analysis import accuracy
    from imagefec.maths import uncertainty

    found = uncertainty.paired_bootstrap(first, second, photos)
    return {
        "tpa": float(np.mean(first)),
        **found._asdict(),
        "standard_error": accuracy.number_or_none(found.standard_error),
    }


def _warnings(scores: dict[str, Any], vectors: np.ndarray) -> list[str]:
    warnings = []
    n = scores["n_triplets"]
    if n < FEW_TRIPLETS:
        warnings.append(
            f"Only {n} triplets: the standard error of the TPA is up to {50 / math.sqrt(n):.1f} "
            f"points. Evaluate on {FEW_TRIPLETS} triplets or more."
        )
    n_broken = int((~np.isfinite(vectors).all(axis=1)).sum())
    if n_broken:
        warnings.append(
            f"{n_broken} of {len(vectors)} embeddings are not finite; their triplets count as "
            "wrong."
        )
    elif scores["embedding_spread"] is not None and scores["embedding_spread"] < 1e-3:
        warnings.append(
            f"The RMS pairwise distance of the embeddings is {scores['embedding_spread']:.1e}: the "
            "run has collapsed."
        )
    return warnings
