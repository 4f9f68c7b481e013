"""Makes the two files of a gallery; selection, rendering and the faces are in other files."""

# Over 350 lines: three doors to one gallery, whose arguments are described at each.

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from absl import logging

from imagefec import files
from imagefec.analysis import output
from imagefec.analysis.gallery.options import AUTO, DEFAULTS, AnyPath, GalleryOptions
from imagefec.analysis.gallery.page_data import MAX_FACES, check_n_faces, make_page_data
from imagefec.analysis.gallery.query_overlap import (
    describe_overlap,
    overlap_text,
    rows_to_sample,
)
from imagefec.analysis.gallery.selection import (
    Queries,
    allowed_rows,
    check_seed,
    choose_queries,
)
from imagefec.analysis.gallery.strips import UnreadableFace, find_strips
from imagefec.analysis.neighbours import (
    MAX_DISTANCE,
    check_k,
    check_max_distance,
)
from imagefec.data.exclusion import Exclusion
from imagefec.errors import UserError
from imagefec.paths import readable, user_path

if TYPE_CHECKING:
    from imagefec.analysis.gallery.faces import GalleryFaces
    from imagefec.analysis.gallery.page_data import PageData
    from imagefec.analysis.gallery.sheet import GalleryText, Strip

DEFAULT_NAME = "gallery"
LOCK = f".{DEFAULT_NAME}.lock"
UNREADABLE = "cannot be read"
OTHER_SUFFIXES = (".htm", ".jpg", ".jpeg", ".pdf", ".svg", ".webp", ".gif")
UNIT_LENGTH = ", which have unit length: 0 means identical, 2 means opposite"
EXPLANATION = (
    "Each row shows a query face and the faces whose embeddings are nearest to it, nearest first. "
    "Faces from the query's own photo are left out. The number is the Euclidean distance between "
    "the two embeddings{unit_length}. Hover over a face, or focus it with the tab key, to see its "
    "id."
)


def make_gallery(
    run_dir: AnyPath,
    data_dir: AnyPath,
    out: AnyPath,
    dataset: str = "fec",
    split: str = "test",
    queries: Queries = 12,
    k: int = 4,
    max_distance: float | str | None = AUTO,
    exclude: AnyPath | None = None,
    seed: int = 0,
    annotations: Sequence[AnyPath] = (),
    disjoint_from: str = AUTO,
    space: str = "",
    faces: int = MAX_FACES,
    facts: dict[str, Any] | None = None,
) -> tuple[Path, Path]:
    """Shows query faces of a dataset beside the nearest faces from other photos.

    Neighbours are searched among all faces of the split, except those of the query's own photo.

    Args:
      run_dir: a training run's directory.
      data_dir: see `imagefec.data.store.datasets.load_triplets`; takes about 50 kB of memory per
        face.
      dataset: likewise.
      split: likewise.
      out: a folder for gallery.png and gallery.html, or the path of either file, ending in .png or
        .html; the other is written beside it.
      queries: see `GalleryOptions`; likewise the others.
      k: likewise.
      max_distance: likewise.
      exclude: likewise.
      seed: likewise.
      annotations: likewise.
      disjoint_from: likewise.
      space: likewise.
      faces: likewise.
      facts: gets "n_faces" that may be shown, "left_out" (reason -> faces, photos or rows that
        may not, for lack of a vector or a picture), "queries" (their ids), "k", "max_distance",
        "annotations" (as `Annotations.as_json`, or None) and "disjoint", as
        `query_overlap.describe_overlap` returns it.

    Returns:
      (png, html): the two paths.

    Raises:
      UserError: there is no such run, dataset or split; k, max_distance or queries is out of range
        or unknown; too few faces remain; the exclusion file cannot be read; or `out` cannot be
        written, or is written to by another gallery.
    """

    def load() -> GalleryFaces:
        from imagefec.analysis.gallery.split_faces import faces_of_split
        from imagefec.analysis.vectors.sources import RunSource

        return faces_of_split(RunSource(run_dir), data_dir, dataset, split, disjoint_from, space)

    options = GalleryOptions(
        queries, k, max_distance, exclude, seed, annotations, disjoint_from, space, faces
    )
    return _make(load, out, options, facts)


def make_photo_gallery(
    run_dir: AnyPath,
    photos: AnyPath | Iterable[AnyPath],
    out: AnyPath,
    options: GalleryOptions = DEFAULTS,
    on_no_face: str = "skip",
    detector: str = AUTO,
    facts: dict[str, Any] | None = None,
) -> tuple[Path, Path]:
    """As `make_gallery`, for the faces of image files, which the run embeds.

    Args:
      run_dir: a training run's directory.
      photos: image files and folders of them; takes about 50 kB of memory per face.
      out: as for `make_gallery`.
      options: which faces are shown.
      on_no_face: what to do with a photo without a face, as for `embed.embed_and_count`.
      detector: finds the faces; likewise.
      facts: as for `make_gallery`.

    Raises:
      UserError: as for `make_gallery` and `embed.embed_files`.
    """

    def load() -> GalleryFaces:
        from imagefec.analysis.gallery.photo_faces import faces_of_photos

        return faces_of_photos(run_dir, photos, on_no_face, detector)

    _refuse_splits(options, "--photos")
    return _make(load, out, options, facts)


def make_file_gallery(
    embeddings: AnyPath,
    out: AnyPath,
    options: GalleryOptions = DEFAULTS,
    data_dir: AnyPath | None = None,
    dataset: str = "fec",
    split: str = "test",
    normalise: bool = False,
    facts: dict[str, Any] | None = None,
) -> tuple[Path, Path]:
    """As `make_gallery`, with the vectors of a file.

    Args:
      embeddings: file of vectors, see `vectors.vector_file.read_vector_file`.
      out: as for `make_gallery`.
      options: which faces are shown.
      data_dir: as for `make_gallery`, to show the faces of a split; None to show the image files
        that the paths of `embeddings` name.
      dataset: as for `make_gallery`.
      split: likewise.
      normalise: scale the vectors to length 1.
      facts: as for `make_gallery`.

    Raises:
      UserError: as for `make_gallery` and `read_vector_file`.
    """

    def load() -> GalleryFaces:
        from imagefec.analysis.gallery.photo_faces import faces_of_file
        from imagefec.analysis.gallery.split_faces import faces_of_split
        from imagefec.analysis.vectors.sources import FileSource

        source = FileSource(embeddings, normalise)
        if data_dir is None:
            return faces_of_file(source.file, normalise)
        wanted = options.disjoint_from, options.space
        return faces_of_split(source, data_dir, dataset, split, *wanted)

    if data_dir is None:
        _refuse_splits(options, "--embeddings without --data_dir")
    return _make(load, out, options, facts)


def _refuse_splits(options: GalleryOptions, what: str) -> None:
    for flag, given in (("space", options.space), ("disjoint_from", options.disjoint_from)):
        if given not in ("", AUTO, "none"):
            raise UserError(
                f"--{flag}={given}: with {what} there are no splits. Leave it out, or give the "
                "--data_dir of a built dataset."
            )


def _make(
    load: Callable[[], GalleryFaces],
    out: AnyPath,
    options: GalleryOptions,
    facts: dict[str, Any] | None,
) -> tuple[Path, Path]:
    png_path, html_path = _output_paths(out)
    with output.folder_to_write(png_path.parent, LOCK):
        _make_files(load, (Path(out), png_path, html_path), options, facts)
    return png_path, html_path


def _make_files(
    load: Callable[[], GalleryFaces],
    paths: tuple[Path, Path, Path],
    options: GalleryOptions,
    facts: dict[str, Any] | None,
) -> None:
    out, png_path, html_path = paths
    _check_limit(options.max_distance)
    check_seed(options.seed)
    check_n_faces(options.faces)
    exclusion = Exclusion.load(options.exclude)

    from imagefec.analysis.gallery.sheet import GalleryText

    data = _annotated(load(), options)
    allowed, left_out = allowed_rows(data, exclusion, options.exclude), Counter(data.left_out)
    chosen, strips = _choose(data, allowed, options), None
    with files.folder_lock(png_path.parent, "gallery", "--out", LOCK):
        vectors = data.embed()
        is_unit = _check_vectors(vectors[data.known], data)
        limit = _limit(options.max_distance, is_unit)
        while strips is None:
            try:
                strips = find_strips(data, vectors, chosen, allowed, options.k, limit)
            except UnreadableFace as error:
                allowed = _without(allowed, error, data, options)
                left_out[UNREADABLE] += 1
                chosen = _choose(data, allowed, options)
        within = "" if limit is None else f" within {limit:g}"
        overlap = describe_overlap(data, vectors, allowed, chosen)
        about = [data.describe(vectors), f"{len(allowed):,} faces, {options.k} nearest{within}"]
        if (line := overlap_text(data, overlap)) != "":
            logging.log(
                logging.WARNING if overlap and overlap["n_left_out"] else logging.INFO, "%s", line
            )
            about.append(line)
        text = GalleryText(
            title=f"Nearest neighbours: {readable(Path(data.source).resolve().name)}",
            facts=" · ".join(about),
            no_neighbour=f"none{within}",
        )
        why = EXPLANATION.format(unit_length=UNIT_LENGTH if is_unit else "")
        sample = {"k": options.k, "faces": options.faces, "seed": options.seed}
        walk = make_page_data(data, vectors, allowed, strips, limit, is_unit, **sample)
        _write(out, png_path, html_path, text, strips, why, walk)
    if facts is not None:
        facts |= {
            "n_faces": len(allowed),
            "left_out": dict(left_out),
            "queries": [readable(data.face_ids[row]) for row in chosen],
            "k": options.k,
            "max_distance": limit,
            "annotations": None if data.annotations is None else data.annotations.as_json(),
            "disjoint": overlap,
        }


def _annotated(data: GalleryFaces, options: GalleryOptions) -> GalleryFaces:
    if not options.annotations:
        return data
    from imagefec.data.annotations import read_annotations

    what = "this gallery"
    known = read_annotations(options.annotations, data.face_ids, data.urls, what)
    return replace(data, annotations=known)


def _choose(data: GalleryFaces, allowed: np.ndarray, options: GalleryOptions) -> list[int]:
    check_k(options.k, len(allowed) - 1)
    sampled_from = rows_to_sample(data, allowed)
    return choose_queries(
        options.queries, data.face_ids, allowed, options.seed, data.names, sampled_from
    )


def _check_vectors(vectors: np.ndarray, data: GalleryFaces) -> bool:
    """Whether all vectors have unit length; UserError if one is not finite."""
    from imagefec.analysis.vectors.vector_file import are_unit_length

    if not np.isfinite(vectors).all():
        raise UserError(
            f"{data.source}: its embeddings are not finite, so the training diverged. Give another "
            "run, or train again with a lower learning rate."
        )
    return are_unit_length(vectors)


def _without(
    allowed: np.ndarray, error: UnreadableFace, data: GalleryFaces, options: GalleryOptions
) -> np.ndarray:
    """The allowed rows without one that cannot be read, which is logged."""
    name = data.face_ids[error.row]
    rest = allowed[allowed != error.row]
    logging.warning("left out, %s: %s (%s)", UNREADABLE, name, error)
    if len(rest) <= options.k:
        raise UserError(
            f"{name}: {error}; too few other faces remain for {options.k} neighbours. {data.advice}"
        ) from None
    return rest


def _check_limit(max_distance: float | str | None) -> None:
    if max_distance != AUTO:
        _limit(max_distance, True)


def _limit(max_distance: float | str | None, is_unit: bool) -> float | None:
    """The largest distance of a neighbour; None for no limit."""
    if isinstance(max_distance, str):
        return MAX_DISTANCE if is_unit else None
    limit = check_max_distance(max_distance)
    return None if limit == math.inf else limit


def _write(
    out: Path,
    png_path: Path,
    html_path: Path,
    text: GalleryText,
    strips: list[Strip],
    explanation: str,
    walk: PageData | None,
) -> None:
    from imagefec.analysis.gallery.page import make_page
    from imagefec.analysis.gallery.sheet import render_sheet

    try:
        files.write_bytes(png_path, render_sheet(text, strips))
        files.write_text(html_path, make_page(text, strips, explanation, walk))
    except OSError as error:
        raise output.unwritable(out, error) from None


def _output_paths(out: str | os.PathLike[str]) -> tuple[Path, Path]:
    """The paths of both files; raises UserError if `out` can be neither of them."""
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
    for path in (png, page):
        if path.is_dir():
            raise UserError(f"{path}: is a folder, but a file must be written. Give another --out.")
    return png, page
