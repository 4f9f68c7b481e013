"""Evaluation over folds: a run for each fold on its own test split, averaged and pooled."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from absl import logging

from imagefec.errors import UserError
from imagefec.paths import readable, user_path

if TYPE_CHECKING:
    from imagefec.analysis.evaluate import Evaluated
    from imagefec.data.store.datasets import Triplets

AnyPath = str | os.PathLike[str]
_FOLD = re.compile(r"fold(\d+)")


def evaluate_folds(
    sources: Sequence[AnyPath],
    data_dirs: Sequence[AnyPath],
    dataset: str = "fec",
    split: str = "test",
    against: Sequence[AnyPath] = (),
    disjoint_from: str | None = None,
    invariance: bool = False,
    normalise: bool = False,
    annotations: Sequence[AnyPath] = (),
    progress: Callable[[int], object] | None = None,
) -> dict[str, Any]:
    """Evaluates the runs of folds, such as those of `imagefec split --folds`, as one condition.

    Args:
      sources: a run for each fold, or one file of vectors for all, or one for each.
      data_dirs: the folder of the fold's datasets, in the same order; two or more.
      dataset: in each of them, as for `evaluate_run`; likewise the split.
      split: whose faces no other fold has in this split.
      against: a second run for each fold, or files of vectors, likewise; empty for none.
      disjoint_from: as for `evaluate_run`, for each fold.
      invariance: likewise; sources must be runs.
      normalise: likewise.
      annotations: likewise; each file must know faces of every fold.
      progress: called with 1 after each fold.

    Returns:
      "tpa", "tpa_se", "tpa_se_clustered", "n_triplets", "by_type", "by_agreement" and "human_tpa",
      as `evaluate_run` returns them, of the triplets of all folds together, each predicted by the
      run of its own fold. "embedding_spread": mean over folds, None if a fold's is. "run", "step"
      and "embeddings": None. "human_tpa_source", "dataset", "split".
      "folds": {"n", "tpa" (mean over folds), "tpa_se" (its standard error over folds), "each" (what
      `evaluate_run` or `evaluate_embeddings` returns for each fold, in order)}.
      If requested, "against": "tpa" of the others, "difference", "standard_error", "low", "high",
      "p_not_higher" and "n_triplets" of all folds together, as `evaluate_run` returns them, and
      "folds": {"difference" (mean over folds), "standard_error" (over folds)}. "warning" if there
      are few triplets.

    Raises:
      UserError: as for `evaluate_run`; or the numbers of runs and datasets do not fit, a run of a
        folder fold1 (links are followed) is given with the data of fold2, or two folds share a
        face.
    """
    from imagefec.analysis.evaluate import evaluate_source, run_invariance
    from imagefec.analysis.split import SplitLoader
    from imagefec.analysis.vectors.sources import RunSource, open_source

    paths = _one_each(sources, data_dirs, "--run or --embeddings")
    others = _one_each(against, data_dirs, "--against") if against else [None] * len(data_dirs)
    folds: list[Evaluated] = []
    fold_of: dict[str, AnyPath] = {}
    for path, other_path, data_dir in zip(paths, others, data_dirs):
        own = open_source(path, normalise)
        other = None if other_path is None else open_source(other_path, normalise)
        loader = SplitLoader(data_dir, dataset, split)
        _refuse_shared_faces(loader.load(own.image_size or 1), data_dir, fold_of)
        found = evaluate_source(own, other, loader, disjoint_from, annotations)
        if invariance:
            if not isinstance(own, RunSource):
                raise UserError("--invariance requires networks: give --run.")
            found.result["invariance"] = run_invariance(own, loader)
        folds.append(found)
        if progress:
            progress(1)
    return _joined(folds, bool(against))


def describe(result: dict[str, Any], against: str = "") -> str:
    """The result in lines of text.

    Args:
      result: as `evaluate_folds` returns it.
      against: what "against" is called.
    """
    from imagefec.analysis.accuracy import shown_error

    folds = result["folds"]
    lines = [
        f"fold {number}: TPA {each['tpa']:.4f} ± {shown_error(each):.4f} on {each['n_triplets']} "
        f"triplets, {readable(each['run'] or each['embeddings'])}"
        for number, each in enumerate(folds["each"])
    ]
    lines += [
        f"TPA {folds['tpa']:.4f} ± {folds['tpa_se']:.4f}, mean over {folds['n']} folds ± its "
        "standard error over folds",
        f"TPA {result['tpa']:.4f} ± {shown_error(result):.4f} on the {result['n_triplets']} "
        "triplets of all folds",
    ]
    if "against" in result:
        found = result["against"]
        mean = found["folds"]
        lines += [
            f"minus {against}: {mean['difference']:+.4f} ± {mean['standard_error']:.4f} over "
            f"folds; {found['difference']:+.4f} ± {found['standard_error'] or 0:.4f} on the "
            f"{found['n_triplets']} triplets of all folds"
        ]
    return "\n".join(lines)


def _one_each(paths: Sequence[AnyPath], data_dirs: Sequence[AnyPath], flags: str) -> list[AnyPath]:
    """A run or file for each folder of data; raises UserError if they do not fit."""
    from imagefec.analysis.vectors.columns import is_vector_file

    if len(paths) == 1 < len(data_dirs) and is_vector_file(user_path(paths[0], flags)):
        return [paths[0]] * len(data_dirs)
    if len(paths) != len(data_dirs):
        raise UserError(
            f"{flags} gives {len(paths)} and --data_dir {len(data_dirs)}. For folds give a run "
            "and a folder of data for each, in the same order: --run fold*/run --data_dir "
            "fold*/data (one file of vectors may serve all folds)."
        )
    for path, data_dir in zip(paths, data_dirs):
        own, its_data = _fold_number(path), _fold_number(data_dir)
        if own and its_data and own != its_data:
            raise UserError(
                f"{path} is of fold{own}, but is given with the data of {data_dir}, fold{its_data}:"
                " another fold, whose test faces it may have been trained on. Give --run and "
                "--data_dir in the same order."
            )
    return list(paths)


def _fold_number(path: AnyPath) -> str:
    """The number of the fold that a path is in, after links are followed; "" if it names none."""
    path = user_path(path)
    numbers = _FOLD.findall(str(path.resolve())) or _FOLD.findall(str(path.absolute()))
    return numbers[-1] if numbers else ""


def _refuse_shared_faces(data: Triplets, data_dir: AnyPath, fold_of: dict[str, AnyPath]) -> None:
    """Raises UserError if an earlier fold has one of the faces; else adds them to `fold_of`."""
    shared = [face for face in data.face_ids if face in fold_of]
    if shared:
        raise UserError(
            f"{data_dir}: {len(shared)} of its {len(data.face_ids)} faces, such as {shared[0]}, "
            f"are also in this split of {fold_of[shared[0]]}, so the two are not folds: each face "
            "is tested in one fold. Give the data of each fold once; make folds with `imagefec "
            "split --folds` or `imagefec triplets --folds`."
        )
    fold_of.update(dict.fromkeys(data.face_ids, data_dir))


def _joined(folds: Sequence[Evaluated], has_other: bool) -> dict[str, Any]:
    from imagefec.analysis import accuracy
    from imagefec.analysis.evaluate import compare_predictions, few_triplets
    from imagefec.analysis.report.estimates import mean_over_known, mean_with_error

    data = _all_triplets([fold.data for fold in folds])
    known = np.concatenate([fold.known for fold in folds])
    correct = np.concatenate([fold.correct for fold in folds])
    photos = accuracy.triplet_photos(data)
    each = [fold.result for fold in folds]
    mean = mean_with_error([result["tpa"] for result in each])
    spread = mean_over_known([result["embedding_spread"] for result in each])
    voters = {result["human_tpa_source"] for result in each} - {None}
    result: dict[str, Any] = {
        **accuracy.tpa_and_parts(
            correct[known], accuracy.triplets_with(data, known), photos[known]
        ),
        "embedding_spread": None if spread is None else spread.value,
        "human_tpa_source": voters.pop() if len(voters) == 1 else "mixed" if voters else None,
        "run": None,
        "step": None,
        "embeddings": None,
        "dataset": each[0]["dataset"],
        "split": each[0]["split"],
        "folds": {"n": len(folds), "tpa": mean.value, "tpa_se": mean.error, "each": each},
    }
    if has_other:
        common = np.concatenate([fold.common for fold in folds if fold.common is not None])
        theirs = np.concatenate([fold.theirs for fold in folds if fold.theirs is not None])
        gain = mean_with_error([fold["against"]["difference"] for fold in each])
        result["against"] = {
            **compare_predictions(theirs[common], correct[common], photos[common]),
            "n_triplets": int(common.sum()),
            "folds": {"difference": gain.value, "standard_error": gain.error},
        }
    if warnings := few_triplets(result["n_triplets"]):
        logging.warning("%s", warnings[0])
        result["warning"] = warnings[0]
    return result


def _all_triplets(folds: Sequence[Triplets]) -> Triplets:
    """The triplets of all folds; their images are left out."""
    from imagefec.data.store.datasets import Triplets

    starts = np.cumsum([0, *(len(fold.face_ids) for fold in folds)])
    return Triplets(
        np.zeros((int(starts[-1]), 1, 1, 3), np.uint8),
        [face for fold in folds for face in fold.face_ids],
        [url for fold in folds for url in fold.urls],
        np.concatenate([fold.triplets + start for fold, start in zip(folds, starts.tolist())]),
        np.concatenate([fold.types for fold in folds]),
        np.concatenate([fold.vote_counts for fold in folds]),
        np.concatenate([fold.agreement for fold in folds]),
    )
