"""Many small faces as one picture, a sprite, which a page cuts into tiles."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from imagefec.faces import crop, opencv

MAX_SIDE_PX = 8192  # browsers and TensorBoard's projector refuse larger pictures


@dataclass(frozen=True)
class Sprite:
    """Faces in rows of equal tiles, in reading order.

    Attributes:
      data: bytes of a JPEG or PNG file.
      media_type: "image/jpeg" or "image/png".
      columns: tiles in a row.
      tile_px: side of a tile in pixels.
      n_tiles: number of faces.
    """

    data: bytes
    media_type: str
    columns: int
    tile_px: int
    n_tiles: int

    @property
    def url(self) -> str:
        """The picture as a data: URL."""
        return f"data:{self.media_type};base64,{base64.b64encode(self.data).decode()}"


def make_sprite(
    faces: Iterable[np.ndarray],
    n_faces: int,
    tile_px: int,
    file_format: str = "JPEG",
    grid: int | None = None,
) -> Sprite:
    """Makes a sprite as square as its tiles allow; the last row may be black at its end.

    Args:
      faces: n_faces faces, uint8 [h, w, 3] RGB each; one at a time is in memory. A face that is
        not square is letterboxed.
      n_faces: at least 1.
      tile_px: side of a tile; smaller if the sprite would be wider than MAX_SIDE_PX.
      file_format: "JPEG" or "PNG".
      grid: number of columns and of rows; None for as few as are required.

    Raises:
      ValueError: faces has another number of faces, or more than fit into `grid`.
    """
    columns = grid or math.isqrt(n_faces - 1) + 1
    tile_px = min(tile_px, MAX_SIDE_PX // columns)
    rows = grid or -(-n_faces // columns)
    if n_faces > rows * columns:
        raise ValueError(f"{n_faces} faces do not fit into {rows} x {columns} tiles")
    pixels = np.zeros((rows, tile_px, columns, tile_px, 3), np.uint8)
    number = -1
    for number, face in enumerate(faces):
        if number >= n_faces:
            break
        pixels[number // columns, :, number % columns] = thumbnail(face, tile_px)
    if number != n_faces - 1:
        raise ValueError(f"a sprite of {n_faces} faces was given more or fewer of them")
    file = io.BytesIO()
    image = Image.fromarray(pixels.reshape(rows * tile_px, columns * tile_px, 3))
    options = {"quality": 85} if file_format == "JPEG" else {"optimize": True}
    image.save(file, file_format, **options)
    return Sprite(file.getvalue(), Image.MIME[file_format], columns, tile_px, n_faces)


def thumbnail(face: np.ndarray, side: int) -> np.ndarray:
    """The face, uint8 [h, w, 3], as uint8 [side, side, 3], letterboxed if it is not square."""
    if face.shape[0] != face.shape[1]:
        face, _ = crop.letterbox(face)
    return opencv.resize(face, side, side)
