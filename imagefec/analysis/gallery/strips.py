"""The rows of a gallery: queries with their nearest faces from other photos; no rendering."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from imagefec.analysis.neighbours import neighbours_from_other_photos
from imagefec.analysis.overlap.photo_sources import photo_source
from imagefec.faces.photo_files import NotAPhoto

if TYPE_CHECKING:
    from imagefec.analysis.gallery.faces import GalleryFaces
    from imagefec.analysis.gallery.sheet import Strip, Tile
    from imagefec.data.store.datasets import Triplets


class UnreadableFace(Exception):
    """A face's file cannot be read.

    Attributes:
      row: of the face.
    """

    def __init__(self, row: int, reason: str) -> None:
        super().__init__(reason)
        self.row = row


def find_strips(
    data: GalleryFaces | Triplets,
    vectors: np.ndarray,
    chosen: Sequence[int],
    allowed: np.ndarray,
    k: int,
    max_distance: float | None,
) -> list[Strip]:
    """Finds the neighbours of the chosen faces, among the allowed ones and from other photos.

    Args:
      data: the faces.
      vectors: float [n, d], their embeddings.
      chosen: rows of the queries.
      allowed: int [m], rows that may be shown.
      k: neighbours per query.
      max_distance: largest distance of a neighbour; None for no limit.

    Raises:
      UnreadableFace: one of the faces cannot be read.
    """
    from imagefec.analysis.gallery.faces import GalleryFaces
    from imagefec.analysis.gallery.sheet import Strip, Tile

    photos = [photo_source(url) for url in data.urls]
    found = neighbours_from_other_photos(vectors, photos, chosen, k, max_distance, allowed)

    def tile(row: int, distance: float) -> Tile:
        try:
            face = data.faces[row]
        except NotAPhoto as error:
            raise UnreadableFace(row, str(error)) from None
        label, person = "", ""
        if isinstance(data, GalleryFaces):
            label, person = data.label_of(row), data.person_of(row)
        return Tile(face, data.face_ids[row], distance, label, person, row)

    return [
        Strip(tile(row, 0.0), tuple(tile(*near) for near in nearest), k - len(nearest))
        for row, nearest in zip(chosen, found)
    ]
