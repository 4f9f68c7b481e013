"""Evaluation of a run, or of any vectors, on a split, as `imagefec evaluate` prints it."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from absl import logging

from imagefec.errors import UserError
from imagefec.paths import readable

if TYPE_CHECKING:
    from imagefec.analysis.split import SplitLoader
    from imagefec.analysis.vectors.matching import Matched
    from imagefec.analysis.vectors.sources import RunSource, Source
    from imagefec.data.store.datasets import Triplets

FEW_TRIPLETS = 100  # with fewer, the standard error of the TPA may exceed 5 points
Path = str | os.PathLike[str]


def evaluate_run(
    run_dir: Path,
    data_dir: Path,
    dataset: str = "fec",
    split: str = "test",
    against: Path | None = None,
    disjoint_from: str | None = None,
    invariance: bool = False,
    normalise: bool = False,
    annotations: Sequence[Path] = (),
) -> dict[str, Any]:
    """Evaluates a run on every triplet of a split. Each distinct face is embedded once.

    Args:
      run_dir: a training run's directory; faces are loaded at the size that it was trained on.
      data_dir: see `imagefec.data.store.datasets.load_triplets`.
      dataset: likewise.
      split: likewise.
      against: another run, or a file of vectors, to be compared on the same triplets.
      disjoint_from: splits, separated by commas, such as "train": also evaluates the triplets of
        whose faces these have neither the photo nor nearly the same picture.
      invariance: also measures the distance between augmented views of a face, with the run's own
        augmentation ranges.
      normalise: scale the vectors of a file to length 1.
      annotations: files of the faces' persons and labels, as for `annotations.read_annotations`:
        also scores the nearest neighbours.

    Returns:
      What `score_triplets` returns, and "run", "step", "embeddings" (None), "dataset", "split", and
      "human_tpa_source": whether the votes are those of "people" or "simulated" ("mixed"; None if
      there is no human_tpa, or if the dataset does not say); JSON-compatible.
      If requested: "against": {"run", "step", "embeddings" of the other, "tpa" of the other,
      "difference", "standard_error", "low", "high", "p_not_higher", "n_triplets"}, this run minus
      the other, as in imagefec.maths.uncertainty.Difference, on the n_triplets that both have
      vectors for; "disjoint": {"from", "tpa", "tpa_se", "tpa_se_clustered", "n_triplets",
      "n_left_out", "reasons": reason -> triplets, "faces": as `shared_faces.Overlap.as_json`};
      "neighbours": as in `retrieval.neighbour_numbers`; "invariance": as in
      imagefec.analysis.invariance.

    Raises:
      UserError: the run, its checkpoint, the dataset, the split or the file is missing or damaged.
    """
    from imagefec.analysis.split import SplitLoader
    from imagefec.analysis.vectors.sources import RunSource, open_source

    own = RunSource(run_dir)
    other = None if against is None else open_source(against, normalise)
    loader = SplitLoader(data_dir, dataset, split)
    result = evaluate_source(own, other, loader, disjoint_from, annotations).result
    if invariance:
        result["invariance"] = run_invariance(own, loader)
    return result


def evaluate_embeddings(
    path: Path,
    data_dir: Path,
    dataset: str = "fec",
    split: str = "test",
    against: Path | None = None,
    disjoint_from: str | None = None,
    normalise: bool = False,
    annotations: Sequence[Path] = (),
) -> dict[str, Any]:
    """Evaluates the vectors of a file on the triplets of a split whose three faces it has.

    Args:
      path: see `vectors.vector_file.read_vector_file`; how its rows are matched with faces:
        `vectors.matching.match`.
      data_dir: as for `evaluate_run`; likewise the others.
      dataset: likewise.
      split: likewise.
      against: likewise.
      disjoint_from: likewise.
      normalise: likewise.
      annotations: likewise.

    Returns:
      As `evaluate_run`, with "run" and "step" None, "embeddings" the file, "normalised", and
      "coverage": {"n_faces" of the split, "n_found", "missing" (reason -> faces), "n_triplets" of
      the split, "n_lost", "tpa_lost_wrong" (TPA of all triplets if the lost ones count as wrong),
      "matched_by" (names -> faces), "rows_left_out" (reason -> {"count", "first"})}. All other
      numbers are of the triplets that are not lost.

    Raises:
      UserError: as for `evaluate_run`; or no triplet has the vectors of its three faces.
    """
    from imagefec.analysis.split import SplitLoader
    from imagefec.analysis.vectors.sources import FileSource, open_source

    own = FileSource(path, normalise)
    other = None if against is None else open_source(against, normalise)
    loader = SplitLoader(data_dir, dataset, split)
    return evaluate_source(own, other, loader, disjoint_from, annotations).result


def run_invariance(source: "RunSource", loader: "SplitLoader") -> dict[str, Any]:
    """`invariance.augmentation_invariance` of a run on a split, with the run's own ranges."""
    from imagefec.analysis.invariance import augmentation_invariance

    faces = loader.load(source.embedder.image_size).faces
    return augmentation_invariance(source.embedder, faces, source.run.augment_ranges)


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


@dataclass(frozen=True)
class Evaluated:
    """What `evaluate_source` found.

    Attributes:
      result: as `evaluate_run` or `evaluate_embeddings` returns it, without "invariance".
      data: the split.
      correct: bool [triplets], which triplets of `data` the source predicts correctly.
      known: bool [triplets], which it has the vectors of all faces of.
      theirs: `correct` of the other source; None without another one.
      common: bool [triplets], which are known to both; likewise.
    """

    result: dict[str, Any]
    data: "Triplets"
    correct: np.ndarray
    known: np.ndarray
    theirs: np.ndarray | None = None
    common: np.ndarray | None = None


def evaluate_source(
    own: "Source",
    other: "Source | None",
    loader: "SplitLoader",
    disjoint_from: str | None,
    annotations: Sequence[Path],
) -> Evaluated:
    """Evaluates a run or a file on a split; arguments and errors as for `evaluate_run`."""
    from imagefec.analysis import accuracy
    from imagefec.analysis.vectors.coverage import triplets_known

    sizes = [each.image_size for each in (own, other) if each is not None and each.image_size]
    whole = loader.load(sizes[0]) if sizes else loader.load_any()
    found = own.vectors_on(loader)
    kept = triplets_known(found, whole.triplets, own)
    correct = accuracy.correct_predictions(found.vectors, whole)
    data, photos = accuracy.triplets_with(whole, kept), accuracy.triplet_photos(whole)
    scores = score_triplets(found.vectors[found.known], correct[kept], data, photos[kept])
    result = {
        **scores,
        "human_tpa_source": None if scores["human_tpa"] is None else loader.rater_source(),
        **own.as_json(),
        "dataset": readable(loader.dataset),
        "split": readable(loader.name),
    }
    _add_warnings(result, own.warnings(loader))
    if found.matched is not None:
        _add_coverage(result, own, found.matched, kept, int(correct.sum()))
    if annotations:
        from imagefec.analysis.retrieval import neighbour_numbers

        what = f"{result['dataset']}, split {result['split']}"
        result["neighbours"] = neighbour_numbers(
            found.vectors, correct[kept], data, photos[kept], annotations, what
        )
    if disjoint_from is not None:
        result["disjoint"] = _disjoint(loader, whole, correct, kept, disjoint_from)
    if other is None:
        return Evaluated(result, whole, correct, kept)
    theirs, common = _on_common(own, other, loader, whole, kept)
    result["against"] = {
        **other.as_json(),
        **compare_predictions(theirs[common], correct[common], photos[common]),
        "n_triplets": int(common.sum()),
    }
    _add_warnings(result, other.warnings(loader))
    return Evaluated(result, whole, correct, kept, theirs, common)


def _on_common(
    own: "Source", other: "Source", loader: "SplitLoader", whole: "Triplets", kept: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Which triplets the other source predicts correctly, and which are known to both."""
    from imagefec.analysis import accuracy
    from imagefec.analysis.vectors.coverage import triplets_known

    others = other.vectors_on(loader)
    common = kept & triplets_known(others, whole.triplets, other)
    if not common.any():
        raise UserError(
            f"{own.path} and {other.path} have no triplet of this split in common: no triplet "
            "has three faces that are in both. Give vectors of the same faces."
        )
    return accuracy.correct_predictions(others.vectors, whole), common


def _disjoint(
    loader: "SplitLoader",
    whole: "Triplets",
    correct: np.ndarray,
    kept: np.ndarray,
    disjoint_from: str,
) -> dict[str, Any]:
    """TPA of the triplets none of whose faces other splits have, and why the others are not."""
    from imagefec.analysis import accuracy
    from imagefec.analysis.overlap import shared_faces
    from imagefec.analysis.overlap.near_duplicates import HASH_PX
    from imagefec.maths import metrics

    size = int(whole.faces.shape[1])
    pictures = whole if size >= HASH_PX else loader.load_other(loader.name, HASH_PX)
    splits = shared_faces.splits_of(disjoint_from, loader)
    overlap = shared_faces.find_overlap(loader, pictures, splits, size)
    same_photo = overlap.same_photo[whole.triplets].any(axis=1)
    copy = overlap.copy[whole.triplets].any(axis=1) & ~same_photo
    disjoint = kept & ~same_photo & ~copy
    photos = accuracy.triplet_photos(whole)
    why = {shared_faces.SAME_PHOTO: same_photo, shared_faces.COPY: copy}
    return {
        "from": ",".join(map(readable, splits)),
        **metrics.tpa_with_errors(correct[disjoint], photos[disjoint]),
        "n_left_out": int((kept & ~disjoint).sum()),
        "reasons": {reason: int((kept & which).sum()) for reason, which in why.items()},
        "faces": overlap.as_json(),
    }


def _add_coverage(
    result: dict[str, Any], source: "Source", matched: "Matched", kept: np.ndarray, n_correct: int
) -> None:
    from imagefec.analysis.vectors import coverage

    result["coverage"] = coverage.describe_coverage(matched, kept, n_correct)
    _add_warnings(result, coverage.coverage_warnings(source, matched, result["coverage"]))


def _add_warnings(result: dict[str, Any], warnings: Sequence[str]) -> None:
    for warning in warnings:
        logging.warning("%s", warning)
    if all_warnings := [*filter(None, [result.get("warning")]), *warnings]:
        result["warning"] = " ".join(all_warnings)


def few_triplets(n: int) -> list[str]:
    """The warning that n triplets are few; empty if they are not."""
    if n >= FEW_TRIPLETS:
        return []
    return [
        f"Only {n} triplets: the standard error of the TPA is up to {50 / math.sqrt(n):.1f} "
        f"points. Evaluate on {FEW_TRIPLETS} triplets or more."
    ]


def _warnings(scores: dict[str, Any], vectors: np.ndarray) -> list[str]:
    warnings = few_triplets(scores["n_triplets"])
    n_broken = int((~np.isfinite(vectors).all(axis=1)).sum())
    if n_broken:
        warnings.append(
            f"{n_broken} of {len(vectors)} embeddings are not finite; their triplets count as "
            "wrong."
        )
    elif (spread := scores["embedding_spread"]) is not None:
        length, least = _rms_length(vectors), math.sqrt(np.finfo(vectors.dtype).tiny)
        found = f"The RMS pairwise distance of the embeddings is {spread:.1e}"
        if spread < 1e-3 * length:
            why = f"less than 0.001 of their RMS length, {length:.1e}"
            warnings.append(f"{found}, {why}: nearly one vector for all faces, as if collapsed.")
        elif spread < least:
            why = f"distances below {least:.1e} cannot be compared, and triplets count as wrong"
            warnings.append(f"{found}: {why}. Multiply all vectors by a large number.")
    return warnings


def _rms_length(vectors: np.ndarray) -> float:
    """Root mean square length; 1 for the embeddings of a run."""
    return math.sqrt(np.mean(np.sum(np.square(vectors, dtype=np.float64), axis=1)))
