"""From runs to one page of answers, tables and plots: the order of the work; each part has its own file."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from absl import logging

from imagefec.errors import UserError

PAGE, MARKDOWN, CACHE = "report.html", "report.md", "embeddings"


def make_report(
    run_dirs: Sequence[str | os.PathLike],
    data_dir: str | os.PathLike,
    out: str | os.PathLike,
    dataset: str = "fec",
    split: str = "test",
    progress: Callable[[int], object] | None = None,
) -> Path:
    """Compares runs on a split and writes report.md, report.html and plots.

    Each run's embeddings are computed once and kept in OUT/embeddings; called again, only what is
    new is embedded.

    Args:
      run_dirs: training runs; those that differ in their seed alone make one condition.
      data_dir, dataset, split: as in imagefec.data.store.datasets.load_triplets.
      out: folder to write into, made if missing.
      progress: told 1 after each run that is embedded.

    Returns:
      The path of report.md.

    Raises:
      UserError: no run is given, a run is missing, broken, without a checkpoint or named twice, the
        runs differ in dataset or dimension, there is no such dataset or split, or `out` cannot be
        written.
    """
    from imagefec.analysis.report.conditions import read_runs, sort_into_conditions, uda_series

    runs = read_runs(run_dirs)
    out = _writable(out)

    from imagefec.analysis.report import page, sections
    from imagefec.analysis.report.answers import answer_all
    from imagefec.analysis.report.embeddings import Split, digest_of, embed_split
    from imagefec.analysis.report.measures import measure_all, measure_condition, measure_run

    faces = Split(data_dir, dataset, split)
    data = faces.at(max(_shown_px(), runs[0].info["image_size"]))
    queries, ranked = _queries(data.urls)
    ranges, ranges_said = _ranges(runs)
    conditions = sort_into_conditions(runs)
    measured = []
    for condition in conditions:
        of_runs = []
        for run in condition.runs:
            embedded = embed_split(run, faces, digest_of(data), ranges, out / CACHE)
            of_runs.append(measure_run(run, embedded, data, queries, ranked))
            if progress:
                progress(1)
        measured.append(measure_condition(condition, of_runs, data))
    measures = measure_all(measured, uda_series(conditions), data, len(queries))

    request = sections.Request(tuple(map(str, run_dirs)), str(data_dir), dataset, split, str(out))
    blocks = [
        page.Text(sections.facts(measures, request)),
        *sections.first_screen(answer_all(measures, split), request),
        *sections.table_of_conditions(measures, request, ranges_said),
        *sections.by_type(measures, request),
        *sections.curves(measures, request),
        *sections.comparisons(measures, request),
        *sections.uda(measures, request),
        *sections.likeness(measures, request, _gallery(measures, data.faces, queries)),
    ]
    _write(out, "Experiments with expression embeddings", blocks)
    return out / MARKDOWN


def _queries(urls: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Faces to compare neighbours of, less those with too few faces of other photographs."""
    from imagefec.analysis import orderings

    queries, ranked = orderings.choose_faces(len(urls))
    _, photo, sizes = np.unique(
        np.array(urls, dtype=object), return_inverse=True, return_counts=True
    )
    return queries[len(urls) - sizes[photo.reshape(-1)[queries]] >= orderings.K], ranked


def _ranges(runs: Sequence) -> tuple[dict[str, float], str]:
    """Augmentation for the measure of invariance: the runs' own where they agree, else the project's for all."""
    found = [run.augment_ranges for run in runs]
    if all(one == found[0] for one in found) and found[0]:
        said = ", ".join(f"{name} {value:g}" for name, value in found[0].items())
        return found[0], f"the runs' own augmentation: {said}"
    if any(one != found[0] for one in found):
        logging.warning(
            "The runs were trained with different augmentations; their invariance is measured with the defaults "
            "of augment_faces."
        )
        return {}, "the default augmentation for all, as the runs were trained with different ones"
    return {}, "the default augmentation"


def _gallery(measures: object, faces: np.ndarray, queries: np.ndarray) -> object:
    from imagefec.analysis.report.page import Picture
    from imagefec.analysis.report.side_by_side import N_QUERIES, side_by_side

    best, worst = measures.best.runs[0], measures.worst.runs[0]
    if best is worst or best.ordering is None or worst.ordering is None or not len(queries):
        return None
    places = np.linspace(0, len(queries) - 1, min(N_QUERIES, len(queries))).astype(int)
    titles = tuple(
        f"{one.name} ({100 * run.scores['tpa']:.1f} %)"
        for one, run in ((measures.best, best), (measures.worst, worst))
    )
    picture = side_by_side(
        faces,
        queries[places],
        best.ordering.neighbours[places],
        worst.ordering.neighbours[places],
        titles,
    )
    return Picture(
        "side_by_side.jpg",
        picture,
        "Query faces with their nearest neighbours by the best and the worst condition",
        "Nearest neighbours of the same faces, nearest first, by a run of the best condition and one of the worst. "
        "Framed: found by both.",
    )


def _shown_px() -> int:
    from imagefec.analysis.report.side_by_side import TILE_PX

    return TILE_PX


def _writable(out: str | os.PathLike) -> Path:
    """The folder, made; refuses before any work what could not be written after it."""
    out = Path(out).expanduser()
    try:
        (out / CACHE).mkdir(parents=True, exist_ok=True)
        (out / CACHE / ".gitignore").write_text(
            "*\n"
        )  # a report may well be committed, what it was computed from not
    except OSError as error:
        raise _unwritable(out, error.strerror or str(error)) from None
    if not os.access(out, os.W_OK):
        raise _unwritable(out, "no permission")
    return out


def _write(out: Path, title: str, blocks: Sequence) -> None:
    from imagefec.analysis.report.page import Picture, as_html, as_markdown
    from imagefec.faces.photos import write_bytes

    try:
        for block in blocks:
            if isinstance(block, Picture):
                write_bytes(out / block.name, block.data)
        write_bytes(out / PAGE, as_html(title, blocks).encode())
        write_bytes(out / MARKDOWN, as_markdown(title, blocks).encode())
    except OSError as error:
        raise _unwritable(out, error.strerror or str(error)) from None


def _unwritable(out: Path, why: str) -> UserError:
    return UserError(
        f"{out}: cannot be written ({why}). Give --out where there is free space and write permission."
    )
