"""Which faces a gallery may show, and which of them are queries."""

import os
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np
from absl import logging

from imagefec.analysis.overlap.photo_sources import photo_source
from imagefec.data.exclusion import Exclusion
from imagefec.errors import UserError

if TYPE_CHECKING:
    from imagefec.analysis.gallery.faces import GalleryFaces

Queries = int | str | Sequence[int | str]


def choose_queries(
    queries: Queries,
    face_ids: Sequence[str],
    allowed: np.ndarray,
    seed: int,
    names: Sequence[tuple[str, ...]] = (),
    sampled_from: np.ndarray | None = None,
) -> list[int]:
    """Chooses the rows of the query faces.

    Args:
      queries: how many to sample, or face ids, rows and other names, as in `GalleryOptions`.
      face_ids: the id of each row.
      allowed: int [m], rows that may be chosen.
      seed: seed of the sampling.
      names: other names of each row, such as its photo's; one may be of several rows, which then
        are all chosen if allowed.
      sampled_from: int [c], those of `allowed` that are sampled from; None for all of them.

    Returns:
      The rows in the order of `queries`.

    Raises:
      UserError: there is no query, or one is unknown, repeated or excluded.
    """
    rows_of = _rows_of(face_ids, names)
    if isinstance(queries, str):
        is_count = _is_number(queries.strip().removeprefix("-")) and queries not in rows_of
        queries = int(queries) if is_count else _parts(queries, rows_of)
    if isinstance(queries, (int, np.integer)):
        if queries < 1:
            raise UserError(f"queries = {queries}: it must be 1 or more, or face ids.")
        pool = allowed if sampled_from is None else sampled_from
        n = min(int(queries), len(pool))
        return np.random.default_rng(seed).choice(pool, n, replace=False).tolist()
    chosen, allowed_set = list[int](), set(allowed.tolist())
    for query in queries:
        rows = [row for row in _query_rows(query, rows_of, face_ids) if row in allowed_set]
        if not rows:
            raise UserError(
                f"query {query}: this face may not be shown: the exclusion file excludes it, or it "
                "has no vector or picture. Remove it from the queries or from that file."
            )
        if not set(rows).isdisjoint(chosen):
            raise UserError(f"query {query}: given more than once. Give each face once.")
        chosen += rows
    if not chosen:
        raise UserError("queries: the list is empty. Give face ids, rows or a number of queries.")
    return chosen


def check_seed(seed: int) -> None:
    """Raises UserError if NumPy takes no such seed."""
    if seed < 0:
        raise UserError(f"seed = {seed}: it must be 0 or more.")


def allowed_rows(
    data: "GalleryFaces", exclusion: Exclusion, path: str | os.PathLike[str] | None
) -> np.ndarray:
    """The rows of the faces that may be shown: int [m].

    Args:
      data: the faces; those without a vector are not shown.
      exclusion: names of faces or photos and, for faces in identity folders, identities.
      path: the exclusion file, for messages.

    Raises:
      UserError: fewer than two faces remain, or all are of one photo.
    """
    rows = rows_not_excluded(data, exclusion, path)
    if len(rows) < 2:
        after = f" after the exclusions of {path}" if exclusion else ""
        raise UserError(
            f"{len(rows)} of {len(data.names)} faces remain{after}; a gallery requires two or "
            f"more. {data.advice}"
        )
    if len({photo_source(data.urls[row]) for row in rows}) < 2:
        raise UserError(
            f"all {len(rows)} faces are of one photo, {data.urls[rows[0]]}, but neighbours are "
            f"shown from other photos only. {data.advice}"
        )
    return np.array(rows)


def rows_not_excluded(
    data: "GalleryFaces", exclusion: Exclusion, path: str | os.PathLike[str] | None
) -> list[int]:
    """The rows of the faces that have a vector and are not excluded; warns of unknown entries.

    Args:
      data: the faces.
      exclusion: as for `allowed_rows`.
      path: likewise.
    """
    rows = [
        row
        for row, names in enumerate(data.names)
        if data.known[row] and not exclusion.excludes(*names)
    ]
    unknown = exclusion.names_not_in(name for names in data.names for name in names)
    if unknown:
        logging.warning(
            "%s: %d of %d entries match nothing here, such as %s",
            path,
            len(unknown),
            len(exclusion),
            unknown[0],
        )
    return rows


def _rows_of(face_ids: Sequence[str], names: Sequence[tuple[str, ...]]) -> dict[str, list[int]]:
    """The rows of each name; a name that is an id means that face only."""
    rows_of: dict[str, list[int]] = {}
    for row, of_face in enumerate(names):
        for name in of_face:
            rows_of.setdefault(name, []).append(row)
    return rows_of | {face_id: [row] for row, face_id in enumerate(face_ids)}


def _parts(text: str, known: Collection[str]) -> list[str]:
    """Splits a text at commas, except at those within a known name."""
    parts, pieces = [], text.split(",")
    while pieces:
        n = next((n for n in range(len(pieces), 1, -1) if ",".join(pieces[:n]).strip() in known), 1)
        parts.append(",".join(pieces[:n]))
        pieces = pieces[n:]
    return parts


def _query_rows(
    query: int | str, rows_of: dict[str, list[int]], face_ids: Sequence[str]
) -> list[int]:
    text = str(query).strip()
    if isinstance(query, str) and text in rows_of:
        return rows_of[text]
    if _is_number(text) and int(text) < len(face_ids):
        return [int(text)]
    raise UserError(
        f"query {text!r}: there is no such face. Give face ids such as {face_ids[0]}, "
        f"or rows from 0 to {len(face_ids) - 1}."
    )


def _is_number(text: str) -> bool:
    return text.strip().isascii() and text.strip().isdigit()
