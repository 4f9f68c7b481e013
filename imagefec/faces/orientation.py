"""EXIF orientation: reads it from a file's metadata and turns pixels upright."""

import struct

import numpy as np

from imagefec.maths.geometry import Box

UPRIGHT = 1
TAG = 0x0112
# The orientation that undoes another.
INVERSE = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}


def exif_orientation(exif: bytes) -> int:
    """The orientation in an EXIF block, 1 to 8; 1 if there is none or the block is damaged.

    Args:
      exif: TIFF structure, optionally after "Exif" and two zero bytes.

    Source: CIPA DC-008, Exif 2.32, 4.6.4: tag 0x0112 of the first directory.
    """
    exif = exif.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(exif[:2], "")
    try:
        (at,) = struct.unpack_from(f"{order}I", exif, 4) if order else (len(exif),)
        (n_tags,) = struct.unpack_from(f"{order}H", exif, at)
        for tag_at in range(at + 2, at + 2 + 12 * n_tags, 12):
            tag, kind = struct.unpack_from(f"{order}HH", exif, tag_at)
            if tag == TAG:
                size = {3: "H", 4: "I"}[kind]
                return known(struct.unpack_from(f"{order}{size}", exif, tag_at + 8)[0])
    except (struct.error, KeyError):
        pass
    return UPRIGHT


def known(orientation: object) -> int:
    """An orientation as int, 1 if it is not one of the eight."""
    return orientation if isinstance(orientation, int) and orientation in INVERSE else UPRIGHT


def turn(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Turns and mirrors pixels from an orientation to upright.

    Args:
      pixels: uint8 [height, width, 3].
      orientation: 1 to 8.

    Returns:
      uint8 [height, width, 3], or [width, height, 3] for 5 to 8; `pixels` itself for 1.
    """
    if orientation in (5, 6, 7, 8):
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def turn_box(box: Box, orientation: int) -> Box:
    """Turns a box of stored pixels to the pixels as `turn` returns them.

    Args:
      box: in fractions of the photo.
      orientation: 1 to 8.
    """
    left, right, top, bottom = box.sides
    if orientation in (5, 6, 7, 8):
        left, right, top, bottom = top, bottom, left, right
    if orientation in (2, 3, 6, 7):
        left, right = 1 - right, 1 - left
    if orientation in (3, 4, 7, 8):
        top, bottom = 1 - bottom, 1 - top
    return Box(left, right, top, bottom)
