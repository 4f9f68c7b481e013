"""Which faces a gallery shows and where it is written; the drawing is in gallery_sheet and gallery_page."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from absl import logging

from imagefec.analysis.neighbours import TOP_DISTANCE, NeighbourIndex, check_k, check_max_distance
from imagefec.data.exclusion import Exclusion
from imagefec.data.identity.folders import names_of
from imagefec.errors import UserError

if TYPE_CHECKING:
    from imagefec.analysis.gallery.sheet import Heading, Strip
    from imagefec.data.store.datasets import Triplets

DEFAULT_NAME = "gallery"
SHOWN_PX = 128  # as the dataset keeps them

Queries = int | str | Sequence[int | str]


def make_gallery(
    run_dir: str | os.PathLike,
    data_dir: str | os.PathLike,
    out: str | os.PathLike,
    dataset: str = "fec",
    split: str = "test",
    queries: Queries = 12,
    k: int = 4,
    max_distance: float | None = TOP_DISTANCE,
    exclude: str | os.PathLike | None = None,
    seed: int = 0,
) -> tuple[Path, Path]:
    """Shows query faces with the faces of other photographs that the run finds nearest.

    All faces of the split take part. Those of the query's own photograph never appear beside it.

    Args:
      run_dir: a training run's directory.
      data_dir, dataset, split: as in imagefec.data.store.datasets.load_triplets; about 50 kB of
        memory a face.
      out: a folder, which gets gallery.png and gallery.html; or the name of one of the two, ending
        in .png or .html, and the other goes beside it.
      queries: how many, drawn at random (all, where there are fewer); or which: face ids or rows of
        the split's faces, as a sequence or as text with commas.
      k: neighbours of each.
      max_distance: neighbours farther away are not shown, so that a query whose nearest is beyond
        it shows none; None for no limit. Embeddings lie 0 to 2 apart.
      exclude: file of face ids, URLs of photographs and identities, one a line, that must not
        appear, neither as query nor as neighbour; blank lines and lines that start with # are
        passed over.
      seed: of the queries drawn.

    Returns:
      (png, html): the two paths.

    Raises:
      UserError: no such run, dataset or split; k, max_distance or queries out of range or unknown;
        the file of exclusions cannot be read; or `out` cannot be written.
    """
    png_path, html_path = _checked_out(out)
    check_max_distance(max_distance)
    unwanted = Exclusion.load(exclude)

    from imagefec.analysis.evaluate import score_triplets
    from imagefec.analysis.gallery.page import make_page
    from imagefec.analysis.gallery.sheet import render_sheet
    from imagefec.data.store import datasets
    from imagefec.faces.photos import write_bytes
    from imagefec.model import Embedder

    embedder = Embedder.load(run_dir)
    # The embedder shrinks faces just as the pipeline does; only enlarging is left to the pipeline.
    data = datasets.load_triplets(data_dir, dataset, split, max(SHOWN_PX, embedder.image_size))
    allowed = allowed_rows(data, unwanted, exclude)
    check_k(k, len(allowed) - 1)
    chosen = choose_queries(queries, data.face_ids, allowed, seed)
    vectors = embedder.embed(data.faces)
    if not np.isfinite(vectors).all():
        raise UserError(
            f"{run_dir}: its embeddings are not finite, so it has diverged. Give another run, or "
            "train again with a smaller learning rate."
        )
    strips = find_strips(data, vectors, chosen, allowed, k, max_distance)
    scores = score_triplets(vectors, data)
    limit = "" if max_distance is None else f" within {max_distance:g}"
    heading = _heading(
        run_dir,
        embedder.info.get("step"),
        scores,
        f"{dataset}, {split}",
        f"{len(allowed):,} faces, {k} nearest{limit}",
        limit,
    )
    try:
        write_bytes(png_path, render_sheet(heading, strips))
        write_bytes(html_path, make_page(heading, strips, EXPLANATION).encode())
    except OSError as error:
        raise _unwritable(out, error) from None
    return png_path, html_path


EXPLANATION = (
    "Each query face stands beside the faces whose expressions the run finds most alike, nearest first. They come "
    "from other photographs than the query. The number is the Euclidean distance between the two embeddings, which "
    "have unit length: 0 is the same, 2 is opposite. Point at a face, or tab to it, to see its id."
)


def find_strips(
    data: Triplets,
    vectors: np.ndarray,
    chosen: Sequence[int],
    allowed: np.ndarray,
    k: int,
    max_distance: float | None,
) -> list[Strip]:
    """Finds the neighbours of the chosen faces, among the allowed ones and outside their own photographs.

    Args:
      data: the faces; its triplets are not looked at.
      vectors: float32 [n, d], their embeddings.
      chosen: rows of the queries.
      allowed: int [m], rows that may appear.
      k, max_distance: as in NeighbourIndex.query.
    """
    from imagefec.analysis.gallery.sheet import Strip, Tile

    index = NeighbourIndex(vectors[allowed], allowed.tolist())
    of_photo: dict[str, list[int]] = {}
    for row, url in enumerate(data.urls):
        of_photo.setdefault(url, []).append(row)
    same_photo = [of_photo[data.urls[row]] for row in chosen]
    found = index.query(vectors[list(chosen)], k, max_distance, exclude=same_photo)

    def tile(row: int, distance: float) -> Tile:
        return Tile(data.faces[row], data.face_ids[row], distance)

    return [
        Strip(
            tile(row, 0.0),
            tuple(tile(near.id, near.distance) for near in neighbours),
            k - len(neighbours),
        )
        for row, neighbours in zip(chosen, found)
    ]


def choose_queries(
    queries: Queries, face_ids: Sequence[str], allowed: np.ndarray, seed: int
) -> list[int]:
    """The rows of the query faces.

    Args:
      queries: a number of them, or face ids and rows, as in make_gallery.
      face_ids: the id of each row.
      allowed: int [m], rows that may be chosen.
      seed: of the choice, where only a number is given.

    Raises:
      UserError: none is asked for, or one is unknown, comes twice or is excluded.
    """
    if isinstance(queries, str):
        queries = (
            int(queries) if _is_number(queries) and queries not in face_ids else queries.split(",")
        )
    if isinstance(queries, (int, np.integer)):
        if queries < 1:
            raise UserError(f"queries = {queries}: ask for 1 or more, or name face ids.")
        n = min(int(queries), len(allowed))
        return np.random.default_rng(seed).choice(allowed, n, replace=False).tolist()
    row_of = {face_id: row for row, face_id in enumerate(face_ids)}
    rows = [_query_row(query, row_of) for query in queries]
    if not rows:
        raise UserError("queries: none is named. Give face ids, rows or a number of queries.")
    may = set(allowed.tolist())
    for query, row in zip(queries, rows):
        if row not in may:
            raise UserError(
                f"query {query}: the file of exclusions excludes this face. Take it out of there "
                "or out of the queries."
            )
        if rows.count(row) > 1:
            raise UserError(f"query {query}: named twice. Name each face once.")
    return rows


def allowed_rows(data: Triplets, unwanted: Exclusion, path: str | os.PathLike | None) -> np.ndarray:
    """The rows of the faces that may be shown, int [m].

    Args:
      data: the faces.
      unwanted: face ids, URLs and, of faces in identity folders, identities.
      path: where that list was read, for the messages.

    Raises:
      UserError: fewer than two are left.
    """
    names = [(face_id, *names_of(url)) for face_id, url in zip(data.face_ids, data.urls)]
    rows = [row for row, of_face in enumerate(names) if not unwanted.excludes(*of_face)]
    unknown = unwanted.without(name for of_face in names for name in of_face)
    if unknown:
        logging.warning(
            "%s: %d of its %d lines name nothing in this split, such as %s",
            path,
            len(unknown),
            len(unwanted),
            unknown[0],
        )
    if len(rows) < 2:
        raise UserError(
            f"{len(rows)} of {len(data.face_ids)} faces are left to show"
            + (f" after the exclusions of {path}" if unwanted else "")
            + "; a gallery needs two "
            "or more. Exclude fewer or take a larger part of the dataset."
        )
    return np.array(rows)


def _query_row(query: int | str, row_of: dict[str, int]) -> int:
    text = str(query).strip()
    if isinstance(query, str) and text in row_of:
        return row_of[text]
    if _is_number(text) and int(text) < len(row_of):
        return int(text)
    raise UserError(
        f"query {text!r}: the split has no such face. Give face ids such as {next(iter(row_of))}, "
        f"or rows from 0 to {len(row_of) - 1}."
    )


def _is_number(text: str) -> bool:
    return text.strip().isascii() and text.strip().isdigit()


def _heading(
    run_dir: str | os.PathLike, step: int | None, scores: dict, where: str, what: str, limit: str
) -> Heading:
    from imagefec.analysis.accuracy import shown_error
    from imagefec.analysis.gallery.sheet import Heading

    tpa = f"TPA {100 * scores['tpa']:.1f} ± {100 * shown_error(scores):.1f} %"
    at_step = f" (step {step:,})" if isinstance(step, int) else ""
    return Heading(
        title=f"Faces of like expression: {Path(run_dir).resolve().name}",
        facts=f"{where} · {tpa} on {scores['n_triplets']:,} triplets{at_step} · {what}",
        none_left=f"no other{limit}",
    )


def _checked_out(out: str | os.PathLike) -> tuple[Path, Path]:
    """The two paths, their folder made; refuses before any work what could not be written after it."""
    out = Path(out)
    suffix = out.suffix.lower()
    if suffix in (".htm", ".jpg", ".jpeg", ".pdf", ".svg", ".webp", ".gif") and not out.is_dir():
        raise UserError(
            f"{out}: a gallery is a .png and a .html. Give a name with one of these, or a folder."
        )
    if suffix in (".png", ".html"):
        png, page = out.with_suffix(".png"), out.with_suffix(".html")
    else:
        png, page = out / f"{DEFAULT_NAME}.png", out / f"{DEFAULT_NAME}.html"
    try:
        png.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(out, error) from None
    for path in (png, page):
        if path.is_dir():
            raise UserError(
                f"{path}: is a folder, where a file is to be written. Give --out elsewhere."
            )
    if not os.access(png.parent, os.W_OK):
        raise UserError(f"{png.parent}: no permission to write here. Give --out elsewhere.")
    return png, page


def _unwritable(out: str | os.PathLike, error: OSError) -> UserError:
    return UserError(
        f"{out}: cannot be written ({error.strerror or error}). Give --out where there is free "
        "space and write permission."
    )
