"""What it changes that faces of other splits are no queries: counts and distances."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from absl import logging

from imagefec.analysis.neighbours import neighbours_from_other_photos
from imagefec.analysis.overlap.photo_sources import photo_source
from imagefec.errors import UserError

if TYPE_CHECKING:
    from imagefec.analysis.gallery.faces import GalleryFaces

N_COMPARED = 500  # faces of each kind whose nearest neighbour is searched for
_SEED = 0


def rows_to_sample(data: GalleryFaces, allowed: np.ndarray) -> np.ndarray:
    """The allowed rows that may be sampled as queries: int [c].

    Raises:
      UserError: there is none.
    """
    if data.may_query is None:
        return allowed
    rows = allowed[data.may_query[allowed]]
    if not len(rows):
        why = "" if data.overlap is None else f": {data.overlap.in_words()}"
        raise UserError(
            f"no face may be a query{why}. Give --disjoint_from=none to show them all the same."
        )
    return rows


def describe_overlap(
    data: GalleryFaces, vectors: np.ndarray, allowed: np.ndarray, chosen: list[int]
) -> dict[str, Any] | None:
    """Counts the faces that are no queries, and how near their nearest neighbours are.

    Args:
      data: the faces.
      vectors: float [n, d].
      allowed: int [m], rows that may be shown.
      chosen: rows of the queries; named ones may be in another split too, which is logged.

    Returns:
      What `Overlap.as_json` returns, and "nearest_distance": {"queries", "left_out"}: the mean
      distance of the nearest neighbour, of up to 500 faces each that may be queries and that are
      left out; None where there is none. None if nothing was compared.
    """
    overlap = data.overlap
    if overlap is None or not overlap.splits:
        return None
    for row in chosen:
        if overlap.shared[row : row + 1].any():
            logging.warning("query %s is also in %s", data.face_ids[row], overlap.names)
    shared = np.zeros(len(data.face_ids), bool)
    shared[: len(overlap.shared)] = overlap.shared
    is_own = np.arange(len(shared)) < len(overlap.shared)
    photos = [photo_source(url) for url in data.urls]
    distances = {}
    for name, which in (("queries", is_own & ~shared), ("left_out", shared)):
        rows = allowed[which[allowed]]
        rows = np.random.default_rng(_SEED).permutation(rows)[:N_COMPARED]
        found = neighbours_from_other_photos(vectors, photos, rows.tolist(), 1, None, allowed)
        near = [nearest[0][1] for nearest in found if nearest]
        distances[name] = float(np.mean(near)) if near else None
    return {**overlap.as_json(), "nearest_distance": distances}


def overlap_text(data: GalleryFaces, found: dict[str, Any] | None) -> str:
    """The counts and distances as a line; "" if nothing was compared."""
    if found is None or data.overlap is None:
        return ""
    if not found["n_left_out"]:
        return f"no face is also in {data.overlap.names}"
    means = found["nearest_distance"]
    if None in means.values():
        return f"{data.overlap.in_words()}, so no queries"
    is_one = found["n_left_out"] == 1
    return (
        f"{data.overlap.in_words()}, so {'no query' if is_one else 'no queries'}; "
        f"{'its' if is_one else 'their'} nearest neighbour is at {means['left_out']:.3f}"
        f"{'' if is_one else ' on average'}, that of the others at {means['queries']:.3f}"
        f"{' on average' if is_one else ''}"
    )
