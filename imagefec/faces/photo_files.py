"""Checks that a file holds a complete photo of an acceptable size; `photos` decodes it."""

import os
import warnings
from pathlib import Path
from typing import BinaryIO

MAX_PIXELS = 100_000_000  # 300 MB decoded; a larger image is a mistake or an attack
BROKEN_HEADER = "not an image: broken header"
TRUNCATED = "truncated image"


class NotAPhoto(Exception):
    """Bytes that cannot be read as a photo; the text says why."""


class TooManyPixels(NotAPhoto):
    """The header declares more pixels than allowed."""


def starts_like_photo(head: bytes) -> bool:
    """Whether a file's first 16 bytes are those of a JPEG, PNG, GIF, WebP or BMP."""
    if head.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a")):
        return True
    if head.startswith(b"RIFF"):
        return head[8:12] == b"WEBP"
    return head.startswith(b"BM") and head[6:10] == b"\0\0\0\0"  # a text may start with "BM"


def is_complete_png(png: bytes) -> bool:
    """Whether bytes begin and end as a PNG file does; nothing is decoded."""
    return png.startswith(b"\x89PNG\r\n\x1a\n") and png.endswith(b"IEND\xaeB`\x82")


def find_defect(path: str | os.PathLike[str], max_pixels: int | None = None) -> str | None:
    """Checks the header and the end of a photo file.

    Args:
      path: file that `starts_like_photo`.
      max_pixels: largest number of pixels allowed; None for MAX_PIXELS.

    Returns:
      BROKEN_HEADER, TRUNCATED or "more than N pixels"; None if the photo looks complete.

    Raises:
      OSError: the file cannot be read.
    """
    max_pixels = MAX_PIXELS if max_pixels is None else max_pixels
    with Path(path).open("rb") as file:
        try:
            kind = read_header(file, max_pixels)
        except TooManyPixels:
            return f"more than {max_pixels} pixels"
        except NotAPhoto:
            return BROKEN_HEADER
        return None if _has_end(file, kind) else TRUNCATED


def read_header(file: BinaryIO, max_pixels: int | None = None) -> str:
    """Reads a photo's format and size; a small file may declare a size that fills the memory.

    Args:
      file: seekable, at its start.
      max_pixels: largest number of pixels allowed; None for MAX_PIXELS.

    Returns:
      Pillow's name of the format: "JPEG", "PNG", ...

    Raises:
      NotAPhoto: the header is broken or of an unknown format.
      TooManyPixels: the header declares more than `max_pixels`.
    """
    from PIL import Image  # not needed for writing photos

    max_pixels = MAX_PIXELS if max_pixels is None else max_pixels
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(file)
            width, height, kind = *image.size, image.format
    except Image.DecompressionBombError:
        raise TooManyPixels(f"over {max_pixels:,} pixels") from None
    except Exception as error:  # Pillow's readers raise anything on a broken header
        raise NotAPhoto(f"not an image: {type(error).__name__}") from None
    if width * height > max_pixels:
        raise TooManyPixels(f"{width} x {height} pixels, over {max_pixels:,}")
    return kind or ""


_TAIL_BYTES = 4096
_END = {"JPEG": b"\xff\xd9", "PNG": b"IEND", "GIF": b";"}


def _has_end(file: BinaryIO, kind: str) -> bool:
    size = file.seek(0, os.SEEK_END)
    if kind == "WEBP":  # a RIFF header declares the length
        file.seek(4)
        return int.from_bytes(file.read(4), "little") + 8 <= size
    if kind not in _END:
        return True
    file.seek(max(0, size - _TAIL_BYTES))
    if _END[kind] in file.read():
        return True
    # Phones append videos and depth maps to complete JPEGs: the end marker then lies anywhere after
    # the start of the first scan. Scan data never contain the marker; a thumbnail before it may.
    if kind != "JPEG":
        return False
    file.seek(0)
    content = file.read()
    return content.find(_END["JPEG"], _first_scan(content)) >= 0


def _first_scan(content: bytes) -> int:
    """Offset of a JPEG's first scan; skips segments before it, such as thumbnails, by length."""
    at = 2
    while at + 4 <= len(content) and content[at] == 0xFF:
        if content[at + 1] == 0xDA:
            return at
        at += 2 + int.from_bytes(content[at + 2 : at + 4], "big")
    return len(content)
