"""How well a run agrees with human raters on a split of a built dataset; it draws nothing and trains nothing."""

import math
import os
from typing import TYPE_CHECKING, Any

import numpy as np
from absl import logging

if TYPE_CHECKING:
    from imagefec.data.store.datasets import Triplets

FEW_TRIPLETS = 100  # the standard error of the TPA is then 5 points


def evaluate_run(
    run_dir: str | os.PathLike,
    data_dir: str | os.PathLike,
    dataset: str = "fec",
    split: str = "test",
    against: str | os.PathLike | None = None,
    disjoint_from: str | None = None,
    invariance: bool = False,
) -> dict[str, Any]:
    """Evaluates a run on every triplet of a split, in evaluation mode, each distinct face embedded once.

    Args:
      run_dir: a training run's directory; faces are taken at the size that it was trained on.
      data_dir, dataset, split: as in imagefec.data.store.datasets.load_triplets.
      against: another run, to be compared on the same triplets.
      disjoint_from: a split, such as "train": the triplets that show none of its photographs are
        also counted alone.
      invariance: whether to measure how little augmentation, with the run's own ranges, moves an
        embedding.

    Returns:
      What `score_triplets` returns, and "run", "step", "dataset", "split"; JSON can hold all of it.
      Where asked for: "against": {"run", "tpa", "difference", "standard_error", "low", "high",
      "p_not_higher"}, this run less the other, as in imagefec.maths.uncertainty.Difference;
      "disjoint": {"from", "tpa", "tpa_se", "tpa_se_clustered", "n_triplets", "n_left_out"};
      "invariance": as in imagefec.analysis.invariance.

    Raises:
      UserError: there is no such run or checkpoint, or no such dataset or split, or either is
        damaged.
    """
    from imagefec.analysis.accuracy import correct_triplets
    from imagefec.analysis.invariance import augmentation_invariance
    from imagefec.data.store import datasets
    from imagefec.model import Embedder
    from imagefec.model.run import Run

    embedder = Embedder.load(run_dir)
    other = Embedder.load(against) if against is not None else None
    data = datasets.load_triplets(data_dir, dataset, split, image_size=embedder.image_size)
    vectors = embedder.embed(data.faces)
    result = {
        **score_triplets(vectors, data),
        "run": os.fspath(run_dir),
        "step": embedder.info.get("step"),
        "dataset": dataset,
        "split": split,
    }
    right = correct_triplets(vectors, data)
    if disjoint_from is not None:
        result["disjoint"] = _apart(right, data, disjoint_from, data_dir, dataset)
    if invariance:
        result["invariance"] = augmentation_invariance(
            embedder, data.faces, Run.open(run_dir).augment_ranges
        )
    if other is not None:
        faces = data.faces
        if other.image_size != embedder.image_size:
            faces = datasets.load_triplets(
                data_dir, dataset, split, image_size=other.image_size
            ).faces
        result["against"] = {
            "run": os.fspath(against),
            **compare(correct_triplets(other.embed(faces), data), right, data),
        }
    return result


def score_triplets(vectors: np.ndarray, data: "Triplets") -> dict[str, Any]:
    """Scores embeddings against the triplets that human raters judged.

    Args:
      vectors: float32 [n, d], the embedding of each of `data.faces`.
      data: the triplets; their images are not looked at.

    Returns:
      {"tpa", "tpa_se", "tpa_se_clustered", "n_triplets", "by_type": {name: {"tpa", "tpa_se",
      "tpa_se_clustered", "n_triplets", "human_tpa"}}, "by_agreement": {votes for the odd face:
      {"tpa", …}}, "human_tpa", "embedding_spread"}, fractions; None stands where there is nothing
      to average: the TPA of a type without triplets, the human one where no votes can be compared,
      the spread of embeddings that are not finite. "warning" is there only where the numbers should
      not be trusted, and is logged as well.

    Raises:
      ValueError: vectors is not [n, d], one for each face.
    """
    from imagefec.analysis import accuracy
    from imagefec.maths import metrics

    right = accuracy.correct_triplets(vectors, data)
    spread = metrics.rms_pairwise_distance(vectors) if len(vectors) > 1 else math.nan
    scores = {
        **accuracy.accuracy(right, accuracy.photographs(data)),
        "by_type": accuracy.accuracy_by_type(right, data),
        "by_agreement": accuracy.accuracy_by_agreement(right, data),
        "human_tpa": accuracy.human_accuracy(data.vote_counts),
        "embedding_spread": accuracy.number_or_none(spread),
    }
    warnings = _warnings(scores, vectors)
    for warning in warnings:
        logging.warning("%s", warning)
    return {**scores, "warning": " ".join(warnings)} if warnings else scores


def compare(first: np.ndarray, second: np.ndarray, data: "Triplets") -> dict[str, Any]:
    """Holds two runs against each other on the same triplets.

    Args:
      first, second: bool [triplets], which triplets each gets right.
      data: the triplets.

    Returns:
      {"tpa": the first's, "difference": second less first, "standard_error", "low", "high",
      "p_not_higher"}.
    """
    from imagefec.analysis import accuracy
    from imagefec.maths import uncertainty

    found = uncertainty.paired_bootstrap(first, second, accuracy.photographs(data))
    return {
        "tpa": float(np.mean(first)),
        **found._asdict(),
        "standard_error": accuracy.number_or_none(found.standard_error),
    }


def _apart(
    right: np.ndarray, data: "Triplets", other_split: str, data_dir: str | os.PathLike, dataset: str
) -> dict[str, Any]:
    from imagefec.analysis import accuracy
    from imagefec.data.store import datasets

    urls = datasets.load_triplets(
        data_dir, dataset, other_split, image_size=1
    ).urls  # the faces are not looked at
    apart = accuracy.apart_from(data, urls)
    return {
        "from": other_split,
        **accuracy.accuracy(right[apart], accuracy.photographs(data)[apart]),
        "n_left_out": int((~apart).sum()),
    }


def _warnings(scores: dict[str, Any], vectors: np.ndarray) -> list[str]:
    warnings = []
    n = scores["n_triplets"]
    if n < FEW_TRIPLETS:
        warnings.append(
            f"Only {n} triplets: the TPA is uncertain by several points (its standard error is at worst "
            f"{0.5 / math.sqrt(n):.3f}). Evaluate on {FEW_TRIPLETS} or more."
        )
    broken = int((~np.isfinite(vectors).all(axis=1)).sum())
    if broken:
        warnings.append(
            f"{broken} of {len(vectors)} embeddings are not finite; their triplets count as wrong."
        )
    elif scores["embedding_spread"] is not None and scores["embedding_spread"] < 1e-3:
        warnings.append(
            f"All embeddings lie within {scores['embedding_spread']:.1e} of each other: the run "
            "has collapsed."
        )
    return warnings
