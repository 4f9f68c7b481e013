"""What the page's script knows: thumbnails, vectors and names of up to some thousand faces."""

from __future__ import annotations

import base64
import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from absl import logging

from imagefec import fec
from imagefec.analysis.gallery.faces import Column
from imagefec.analysis.overlap.photo_sources import photo_source
from imagefec.analysis.thumbnails import make_sprite, thumbnail
from imagefec.errors import UserError
from imagefec.faces.photo_files import NotAPhoto
from imagefec.progress import progress

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from imagefec.analysis.gallery.faces import GalleryFaces
    from imagefec.analysis.gallery.sheet import Strip
    from imagefec.data.store.datasets import Triplets

MAX_FACES = 2000
# Sides of thumbnails; multiples of 16, so that no block of the JPEG spans two of them.
_TILE_PX, _ALL_PIXELS = (128, 112, 96, 80, 64, 48, 32), 2000 * 80**2
_SLIDER_K = 24


@dataclass(frozen=True)
class PageData:
    """The faces that a page's visitor can walk through.

    Attributes:
      values: what the script reads, as JSON.
      numbers: row of a face -> its number in the page.
      n_allowed: number of faces in the gallery, of which the page may have a part.
    """

    values: dict[str, Any]
    numbers: dict[int, int]
    n_allowed: int

    @property
    def is_part(self) -> bool:
        """Whether the gallery has more faces than the page."""
        return len(self.numbers) < self.n_allowed


def make_page_data(
    data: GalleryFaces,
    vectors: np.ndarray,
    allowed: np.ndarray,
    strips: Sequence[Strip],
    max_distance: float | None,
    is_unit: bool,
    *,
    k: int,
    faces: int,
    seed: int,
) -> PageData | None:
    """Collects thumbnails, vectors and names.

    Args:
      data: the faces.
      vectors: float [n, d], finite in the allowed rows.
      allowed: int [m], rows of the faces that may be shown.
      strips: the first view; its faces are in the page, even if they are more than asked for.
      max_distance: largest distance of a neighbour at first; None for no limit.
      is_unit: whether the vectors have unit length.
      k: neighbours of a query at first.
      faces: largest number of faces.
      seed: of their sample.

    Returns:
      The data; None if no faces are asked for. Faces whose files cannot be read are left out,
      which is logged.
    """
    if faces == 0:
        return None
    rows = _sample(allowed, strips, faces, seed)
    rows, pictures = _thumbnails(data, rows)
    # Neighbours must be those of the search in Python: no rounding that was not there before.
    found = vectors[rows]
    with np.errstate(over="ignore"):
        single = found.astype(np.float32)
    found = single if np.array_equal(single, found) else found.astype(np.float64)
    face_ids = [data.face_ids[row] for row in rows]
    photos = _numbers(data.urls[row] for row in rows)
    sources = _numbers(photo_source(url) for url in photos)  # one photo may have several URLs
    sprite = make_sprite(pictures, len(rows), len(pictures[0]))
    raw = np.ascontiguousarray(found, found.dtype.newbyteorder("<")).tobytes()
    digest = hashlib.sha256(raw + "\n".join(face_ids).encode("utf-8", "surrogatepass"))
    values = {
        "digest": digest.hexdigest()[:20],
        "total": len(allowed),
        "ids": face_ids,
        "photos": [photos[data.urls[row]] for row in rows],
        "urls": list(photos),
        "sources": [sources[photo_source(url)] for url in photos],
        "columns": [_column(column, rows) for column in (*_annotated(data), *data.columns)],
        "dtype": str(found.dtype),
        "vectors": base64.b64encode(raw).decode(),
        "sprite": {"url": sprite.url, "columns": sprite.columns},
        "k": k,
        "largestK": max(k, min(_SLIDER_K, len(rows) - 1)),
        "limit": max_distance,
        "largestDistance": 2.0 if is_unit else _largest_distance(found),
    }
    return PageData(values, {row: number for number, row in enumerate(rows)}, len(allowed))


def check_n_faces(n_faces: int) -> None:
    """Raises UserError if a page cannot have so many faces."""
    if n_faces < 0:
        raise UserError(
            f"faces = {n_faces}: it must be 0 (a page that only shows the queries) or more."
        )


def triplet_column(data: Triplets, n_faces: int) -> Column:
    """In which types of triplets each face of a split occurs; empty where the dataset has none.

    Args:
      data: the split.
      n_faces: length of the column; the faces after the split's own are of other splits.
    """
    types: list[set[int]] = [set() for _ in range(n_faces)]
    for kind in fec.TripletType:
        for row in np.unique(data.triplets[data.types == kind]).tolist():
            types[row].add(kind)
    names = [tuple(fec.TripletType(kind).display_name for kind in sorted(of)) for of in types]
    return Column("triplets", names)


def _annotated(data: GalleryFaces) -> list[Column]:
    """The columns of labels and of persons, those that are known of any face."""
    if data.annotations is None:
        return []
    rows, known = range(len(data.face_ids)), data.annotations
    of = (("label", known.labels, data.label_of), ("person", known.persons, data.person_of))
    return [
        Column(name, [tuple(filter(None, [value_of(row)])) for row in rows])
        for name, names, value_of in of
        if names
    ]


def _numbers(names: Iterable[str]) -> dict[str, int]:
    """Numbers different names from 0, in their order."""
    return {name: number for number, name in enumerate(dict.fromkeys(names))}


def _sample(allowed: np.ndarray, strips: Sequence[Strip], n_faces: int, seed: int) -> list[int]:
    """Rows of at most n_faces faces, ascending; those of the strips and others by chance."""
    shown = {tile.row for strip in strips for tile in (strip.query, *strip.neighbours)}
    others = np.array([row for row in allowed.tolist() if row not in shown], np.int64)
    n = min(max(n_faces - len(shown), 0), len(others))
    sampled = np.random.default_rng(seed).choice(others, n, replace=False) if n else others[:0]
    return sorted({*shown, *sampled.tolist()})


def _thumbnails(data: GalleryFaces, rows: list[int]) -> tuple[list[int], list[np.ndarray]]:
    """The rows that can be read, and their pictures."""
    side = next((px for px in _TILE_PX if len(rows) * px**2 <= _ALL_PIXELS), _TILE_PX[-1])
    readable, pictures = [], []
    with progress("gallery", len(rows), "faces of the page") as bar:
        for row in rows:
            try:
                pictures.append(thumbnail(data.faces[row], side))
                readable.append(row)
            except NotAPhoto as error:
                logging.warning("left out, cannot be read: %s (%s)", data.face_ids[row], error)
            bar.update(1)
    return readable, pictures


def _column(column: Column, rows: list[int]) -> dict[str, Any]:
    """A column's distinct values, and for each face the indices of its own."""
    of_faces = [list(column.values[row]) for row in rows]
    values = sorted({value for of in of_faces for value in of})
    index = {value: number for number, value in enumerate(values)}
    return {
        "name": column.name,
        "values": values,
        "of": [[index[value] for value in of] for of in of_faces],
    }


def _largest_distance(vectors: np.ndarray) -> float:
    """A number that no distance of two vectors exceeds, and about that of the farthest two."""
    with np.errstate(over="ignore", invalid="ignore"):
        middle = vectors.mean(axis=0, dtype=np.float64)
        radius = float(np.linalg.norm(vectors - middle, axis=1).max())
    return 2 * radius if radius > 0 and math.isfinite(2 * radius) else 1.0
