"""Makes the files of a report from runs: the order of the steps; each is in another file."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from absl import logging

from imagefec import files
from imagefec.analysis import output
from imagefec.analysis.report.conditions import (
    group_by_condition,
    read_runs,
    refuse_copies,
    uda_series,
)
from imagefec.analysis.report.measures import EvaluationSet, Measures
from imagefec.analysis.report.page import Block, Figure, as_html, as_markdown
from imagefec.analysis.report.request import Request
from imagefec.model.run import Run
from imagefec.paths import readable, user_path
from imagefec.progress import say

PAGE, MARKDOWN, CACHE = "report.html", "report.md", "embeddings"
TITLE = "Experiments with expression embeddings"


def make_report(
    run_dirs: Sequence[str | os.PathLike[str]],
    data_dir: str | os.PathLike[str],
    out: str | os.PathLike[str],
    dataset: str = "fec",
    split: str = "test",
    progress: Callable[[int], object] | None = None,
    annotations: Sequence[str | os.PathLike[str]] = (),
) -> Path:
    """Compares runs on a split and writes report.md, report.html and plots.

    Each run's embeddings are cached in OUT/embeddings; another call embeds only new runs.

    Args:
      run_dirs: training runs; those that differ only in their seed form one condition.
      data_dir: see `imagefec.data.store.datasets.load_triplets`.
      dataset: likewise.
      split: likewise.
      out: folder to write to, created if missing.
      progress: called with 1 after each run.
      annotations: files of the faces' persons and labels, as for `annotations.read_annotations`, by
        which the neighbours are compared.

    Returns:
      The path of report.md.

    Raises:
      UserError: there is no run; a run is missing, damaged, repeated or without a checkpoint; the
        runs differ in dataset or dimension; there is no such dataset or split; or `out` cannot be
        written, or is written to by another report.
    """
    runs = read_runs(run_dirs)
    refuse_copies(runs)
    out = user_path(out, "out")
    _make_folders(out)
    paths = tuple(os.fspath(path) for path in run_dirs)
    tables = tuple(os.fspath(path) for path in annotations)
    request = Request(paths, os.fspath(data_dir), dataset, split, str(out), tables)
    # The lock is beside the embeddings, since the rest of the folder may be committed.
    with files.folder_lock(out, "report", "--out", f"{CACHE}/.lock", CACHE):
        _write(out, _blocks(runs, request, progress))
    return out / MARKDOWN


def _blocks(
    runs: Sequence[Run], request: Request, progress: Callable[[int], object] | None
) -> list[Block]:
    """Measures the runs and writes the page's sections."""
    out = Path(request.out)

    from imagefec.analysis.report.answers import answer_all
    from imagefec.analysis.report.embeddings import embed_split
    from imagefec.analysis.report.measuring import measure_all, measure_condition, measure_run
    from imagefec.analysis.report.sections import all_sections
    from imagefec.analysis.report.side_by_side import TILE_PX
    from imagefec.analysis.split import SplitLoader
    from imagefec.data.annotations import read_annotations

    loader = SplitLoader(request.data_dir, request.dataset, request.split)
    data = loader.load(max(TILE_PX, runs[0].image_size))
    known = None
    if request.annotations:
        what = f"{readable(request.dataset)}, split {readable(request.split)}"
        known = read_annotations(request.annotations, data.face_ids, data.urls, what)
    evaluation_set = EvaluationSet.of(data, loader.rater_source(), known)
    face_ids = evaluation_set.data.face_ids
    ranges, augmentation = _augmentation(runs)
    conditions = group_by_condition(runs)
    measured = []
    for condition in conditions:
        run_measures = []
        for run in condition.runs:
            embedded = embed_split(run, loader, face_ids, ranges, out / CACHE)
            run_measures.append(measure_run(run, embedded, evaluation_set))
            if progress:
                progress(1)
        measured.append(measure_condition(condition, run_measures, evaluation_set))
    say("report", "comparing the conditions and drawing")
    measures = measure_all(measured, uda_series(conditions), evaluation_set)
    answers = answer_all(measures, request.split)
    gallery = _gallery(measures, evaluation_set)
    return all_sections(measures, answers, request, augmentation, gallery)


def _augmentation(runs: Sequence[Run]) -> tuple[dict[str, float], str]:
    """Ranges for measuring invariance, the runs' own if they agree, and their description."""
    ranges = runs[0].augment_ranges
    if any(run.augment_ranges != ranges for run in runs):
        logging.warning(
            "The runs were trained with different augmentation; invariance is measured with the "
            "defaults of augment_faces."
        )
        return {}, "default augmentation for all, because the runs' own differ"
    if not ranges:
        return {}, "default augmentation"
    text = ", ".join(f"{name} {value:g}" for name, value in ranges.items())
    return ranges, f"the runs' own augmentation: {text}"


def _gallery(measures: Measures, evaluation_set: EvaluationSet) -> Figure | None:
    from imagefec.analysis.report.side_by_side import N_QUERIES, side_by_side

    best, worst = measures.best.runs[0], measures.worst.runs[0]
    if best is worst or best.ordering is None or worst.ordering is None:
        return None
    places = np.linspace(
        0, len(evaluation_set.queries) - 1, min(N_QUERIES, len(evaluation_set.queries))
    ).astype(int)
    data = side_by_side(
        evaluation_set.data.faces,
        evaluation_set.queries[places].tolist(),
        best.ordering.neighbours[places],
        worst.ordering.neighbours[places],
        (
            f"{measures.best.name} ({100 * best.tpa:.1f} %)",
            f"{measures.worst.name} ({100 * worst.tpa:.1f} %)",
        ),
    )
    return Figure(
        "side_by_side.jpg",
        data,
        "Query faces with their nearest neighbours in the best and the worst condition",
        "Nearest neighbours of the same query faces, nearest first, in one run of the best "
        "condition and one of the worst. Framed faces are found by both runs.",
    )


def _make_folders(out: Path) -> None:
    """Creates the folders before any work; raises UserError if they are unwritable."""
    output.make_folder(out)
    output.make_folder(out / CACHE)
    try:
        # The report may be committed, but not the embeddings that it was computed from.
        files.write_text(out / CACHE / ".gitignore", "*\n")
    except OSError as error:
        raise output.unwritable(out, error) from None


def _write(out: Path, blocks: Sequence[Block]) -> None:
    try:
        for block in blocks:
            if isinstance(block, Figure):
                files.write_bytes(out / block.name, block.data)
        files.write_text(out / PAGE, as_html(TITLE, blocks))
        files.write_text(out / MARKDOWN, as_markdown(TITLE, blocks))
    except OSError as error:
        raise output.unwritable(out, error) from None
