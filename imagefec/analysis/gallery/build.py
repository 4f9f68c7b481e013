"""Makes the two files of a gallery from a run; selection and rendering are in other files."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from imagefec import files
from imagefec.analysis import output
from imagefec.analysis.gallery.selection import (
    Queries,
    allowed_rows,
    check_seed,
    choose_queries,
)
from imagefec.analysis.neighbours import (
    MAX_DISTANCE,
    check_k,
    check_max_distance,
    neighbours_from_other_photos,
)
from imagefec.data.exclusion import Exclusion
from imagefec.errors import UserError
from imagefec.paths import readable, user_path

if TYPE_CHECKING:
    from imagefec.analysis.gallery.sheet import GalleryText, Strip
    from imagefec.data.store.datasets import Triplets

DEFAULT_NAME = "gallery"
OTHER_SUFFIXES = (".htm", ".jpg", ".jpeg", ".pdf", ".svg", ".webp", ".gif")
EXPLANATION = (
    "Each row shows a query face and the faces whose embeddings are nearest to it, nearest first. "
    "Faces from the query's own photo are left out. The number is the Euclidean distance between "
    "the two embeddings, which have unit length: 0 means identical, 2 means opposite. Hover over a "
    "face, or focus it with the tab key, to see its id."
)


def make_gallery(
    run_dir: str | os.PathLike[str],
    data_dir: str | os.PathLike[str],
    out: str | os.PathLike[str],
    dataset: str = "fec",
    split: str = "test",
    queries: Queries = 12,
    k: int = 4,
    max_distance: float | None = MAX_DISTANCE,
    exclude: str | os.PathLike[str] | None = None,
    seed: int = 0,
) -> tuple[Path, Path]:
    """Shows query faces beside the nearest faces from other photos.

    Neighbours are searched among all faces of the split, except those of the query's own photo.

    Args:
      run_dir: a training run's directory.
      data_dir: see `imagefec.data.store.datasets.load_triplets`; takes about 50 kB of memory per
        face.
      dataset: likewise.
      split: likewise.
      out: a folder for gallery.png and gallery.html, or the path of either file, ending in .png or
        .html; the other is written beside it.
      queries: how many to sample (all faces, if there are fewer); or which ones: face ids or rows
        of the split's faces, as a sequence or as comma-separated text.
      k: neighbours per query.
      max_distance: neighbours farther away are not shown, so a query may have none; None for no
        limit. The distance of two embeddings is 0 to 2.
      exclude: file of face ids, photo URLs and identities, one per line, that are shown neither as
        query nor as neighbour; blank lines and lines that start with # are ignored.
      seed: seed of the sampled queries.

    Returns:
      (png, html): the two paths.

    Raises:
      UserError: there is no such run, dataset or split; k, max_distance or queries is out of range
        or unknown; the exclusion file cannot be read; or `out` cannot be written, or is written to
        by another gallery.
    """
    png_path, html_path = _output_paths(out)
    if check_max_distance(max_distance) == math.inf:
        max_distance = None
    check_seed(seed)
    exclusion = Exclusion.load(exclude)

    from imagefec.analysis.gallery.sheet import GalleryText
    from imagefec.analysis.split import SplitLoader
    from imagefec.faces.crop import FACE_PX
    from imagefec.model import Embedder

    embedder = Embedder.load(run_dir)
    # Faces are shown at FACE_PX or more. The embedder shrinks them exactly as loading would; if the
    # model sees larger ones, loading enlarges them.
    data = SplitLoader(data_dir, dataset, split).load(max(FACE_PX, embedder.image_size))
    allowed = allowed_rows(data, exclusion, exclude)
    check_k(k, len(allowed) - 1)
    chosen = choose_queries(queries, data.face_ids, allowed, seed)
    with files.folder_lock(png_path.parent, "gallery", "--out", f".{DEFAULT_NAME}.lock"):
        vectors = embedder.embed(data.faces)
        if not np.isfinite(vectors).all():
            raise UserError(
                f"{run_dir}: its embeddings are not finite, so the training diverged. Give another "
                "run, or train again with a lower learning rate."
            )
        strips = find_strips(data, vectors, chosen, allowed, k, max_distance)
        limit = "" if max_distance is None else f" within {max_distance:g}"
        tpa = _tpa_text(vectors, data, embedder.info.get("step"))
        faces = f"{len(allowed):,} faces, {k} nearest{limit}"
        text = GalleryText(
            title=f"Nearest neighbours: {readable(Path(run_dir).resolve().name)}",
            facts=f"{readable(dataset)}, {readable(split)} · {tpa} · {faces}",
            no_neighbour=f"none{limit}",
        )
        _write(Path(out), png_path, html_path, text, strips)
    return png_path, html_path


def _write(
    out: Path, png_path: Path, html_path: Path, text: GalleryText, strips: list[Strip]
) -> None:
    from imagefec.analysis.gallery.page import make_page
    from imagefec.analysis.gallery.sheet import render_sheet

    try:
        files.write_bytes(png_path, render_sheet(text, strips))
        files.write_text(html_path, make_page(text, strips, EXPLANATION))
    except OSError as error:
        raise output.unwritable(out, error) from None


def find_strips(
    data: Triplets,
    vectors: np.ndarray,
    chosen: Sequence[int],
    allowed: np.ndarray,
    k: int,
    max_distance: float | None,
) -> list[Strip]:
    """Finds the neighbours of the chosen faces, among the allowed ones and from other photos.

    Args:
      data: the faces; the triplets are not used.
      vectors: float32 [n, d], their embeddings.
      chosen: rows of the queries.
      allowed: int [m], rows that may be shown.
      k: neighbours per query.
      max_distance: largest distance of a neighbour; None for no limit.
    """
    from imagefec.analysis.gallery.sheet import Strip, Tile

    found = neighbours_from_other_photos(vectors, data.urls, chosen, k, max_distance, allowed)

    def tile(row: int, distance: float) -> Tile:
        return Tile(data.faces[row], data.face_ids[row], distance)

    return [
        Strip(tile(row, 0.0), tuple(tile(*near) for near in nearest), k - len(nearest))
        for row, nearest in zip(chosen, found)
    ]


def _tpa_text(vectors: np.ndarray, data: Triplets, step: int | None) -> str:
    from imagefec.analysis import accuracy, evaluate

    correct = accuracy.correct_predictions(vectors, data)
    scores = evaluate.score_triplets(vectors, correct, data, accuracy.triplet_photos(data))
    tpa = f"TPA {100 * scores['tpa']:.1f} ± {100 * accuracy.shown_error(scores):.1f} %"
    at_step = f" (step {step:,})" if isinstance(step, int) else ""
    return f"{tpa} on {scores['n_triplets']:,} triplets{at_step}"


def _output_paths(out: str | os.PathLike[str]) -> tuple[Path, Path]:
    """The paths of both files. Creates their folder; raises UserError if they are unwritable."""
    out = user_path(out, "out")
    suffix = out.suffix.lower()
    if suffix in OTHER_SUFFIXES and not out.is_dir():
        raise UserError(
            f"{out}: a gallery is a .png and a .html. Give a name with one of these, or a folder."
        )
    if suffix in (".png", ".html"):
        png, page = out.with_suffix(".png"), out.with_suffix(".html")
    else:
        png, page = out / f"{DEFAULT_NAME}.png", out / f"{DEFAULT_NAME}.html"
    output.make_folder(png.parent)
    for path in (png, page):
        if path.is_dir():
            raise UserError(f"{path}: is a folder, but a file must be written. Give another --out.")
    return png, page
