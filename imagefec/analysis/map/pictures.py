"""Thumbnails of the faces of a map, each read once; and a grey one for what cannot be read."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from imagefec.analysis.thumbnails import thumbnail
from imagefec.faces.image_files import LeftOut
from imagefec.faces.photo_files import NotAPhoto
from imagefec.progress import progress

THUMBNAIL_PX = 96
UNREADABLE = "picture cannot be read, shown grey"
_GREY = 150


@dataclass(frozen=True)
class Thumbnails:
    """The faces of a map as small JPEG files, about 3 kB each.

    Attributes:
      jpegs: n files of THUMBNAIL_PX x THUMBNAIL_PX pixels.
      unreadable: names of the faces whose pictures cannot be read; these are grey.
    """

    jpegs: Sequence[bytes]
    unreadable: LeftOut

    def pixels(self, rows: Sequence[int]) -> Iterator[np.ndarray]:
        """The faces of these rows one by one, uint8 [THUMBNAIL_PX, THUMBNAIL_PX, 3] RGB."""
        for row in rows:
            with Image.open(io.BytesIO(self.jpegs[row])) as image:
                yield np.array(image.convert("RGB"))


def make_thumbnails(
    faces: Sequence[np.ndarray], rows: Sequence[int], names: Sequence[str]
) -> Thumbnails:
    """Makes a thumbnail of each face.

    Args:
      faces: uint8 [h, w, 3] RGB each; reading one may raise NotAPhoto.
      rows: which of them.
      names: of all faces, for what cannot be read.
    """
    jpegs, unreadable = list[bytes](), LeftOut()
    with progress("thumbnails", total=len(rows), unit="faces") as bar:
        for row in rows:
            try:
                face = thumbnail(faces[row], THUMBNAIL_PX)
            except NotAPhoto:
                unreadable.add(UNREADABLE, names[row])
                face = np.full((THUMBNAIL_PX, THUMBNAIL_PX, 3), _GREY, np.uint8)
            file = io.BytesIO()
            Image.fromarray(face).save(file, "JPEG", quality=90)
            jpegs.append(file.getvalue())
            bar.update()
    return Thumbnails(jpegs, unreadable)
