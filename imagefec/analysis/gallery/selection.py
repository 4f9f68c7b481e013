"""Which faces of a split a gallery may show, and which of them are queries."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from absl import logging

from imagefec.data.exclusion import Exclusion
from imagefec.data.identity.folders import names_of
from imagefec.errors import UserError

if TYPE_CHECKING:
    from imagefec.data.store.datasets import Triplets

Queries = int | str | Sequence[int | str]


def choose_queries(
    queries: Queries, face_ids: Sequence[str], allowed: np.ndarray, seed: int
) -> list[int]:
    """Chooses the rows of the query faces.

    Args:
      queries: how many to sample, or face ids and rows, as in `make_gallery`.
      face_ids: the id of each row.
      allowed: int [m], rows that may be chosen.
      seed: seed of the sampling.

    Returns:
      The rows in the order of `queries`.

    Raises:
      UserError: there is no query, or one is unknown, repeated or excluded.
    """
    if isinstance(queries, str):
        queries = (
            int(queries) if _is_number(queries) and queries not in face_ids else queries.split(",")
        )
    if isinstance(queries, (int, np.integer)):
        if queries < 1:
            raise UserError(f"queries = {queries}: it must be 1 or more, or face ids.")
        n = min(int(queries), len(allowed))
        return np.random.default_rng(seed).choice(allowed, n, replace=False).tolist()
    row_of = {face_id: row for row, face_id in enumerate(face_ids)}
    rows = [_query_row(query, row_of) for query in queries]
    if not rows:
        raise UserError("queries: the list is empty. Give face ids, rows or a number of queries.")
    allowed_set = set(allowed.tolist())
    for query, row in zip(queries, rows):
        if row not in allowed_set:
            raise UserError(
                f"query {query}: the exclusion file excludes this face. Remove it from that file "
                "or from the queries."
            )
        if rows.count(row) > 1:
            raise UserError(f"query {query}: given more than once. Give each face once.")
    return rows


def check_seed(seed: int) -> None:
    """Raises UserError if NumPy takes no such seed."""
    if seed < 0:
        raise UserError(f"seed = {seed}: it must be 0 or more.")


def allowed_rows(
    data: "Triplets", exclusion: Exclusion, path: str | os.PathLike[str] | None
) -> np.ndarray:
    """The rows of the faces that may be shown: int [m].

    Args:
      data: the faces.
      exclusion: face ids, URLs and, for faces in identity folders, identities.
      path: the exclusion file, for messages.

    Raises:
      UserError: fewer than two faces remain.
    """
    names = [(face_id, *names_of(url)) for face_id, url in zip(data.face_ids, data.urls)]
    rows = [row for row, of_face in enumerate(names) if not exclusion.excludes(*of_face)]
    unknown = exclusion.names_not_in(name for of_face in names for name in of_face)
    if unknown:
        logging.warning(
            "%s: %d of %d entries match nothing in this split, such as %s",
            path,
            len(unknown),
            len(exclusion),
            unknown[0],
        )
    if len(rows) < 2:
        after = f" after the exclusions of {path}" if exclusion else ""
        raise UserError(
            f"{len(rows)} of {len(data.face_ids)} faces remain{after}; a gallery requires two or "
            "more. Exclude fewer faces or use a larger part of the dataset."
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
