"""Whether a file is a whole picture of a bearable size, told from its bytes without decoding it."""

from __future__ import annotations

import os
import warnings
from typing import BinaryIO

from PIL import Image

MAX_PIXELS = 100_000_000  # a decoded picture takes three bytes a pixel
NOT_A_PICTURE, TOO_MANY_PIXELS, TRUNCATED = (
    "not an image: broken header",
    f"more than {MAX_PIXELS} pixels",
    "truncated image",
)

_TAIL_BYTES = 4096
_END = {"JPEG": b"\xff\xd9", "PNG": b"IEND", "GIF": b";"}


def is_picture(head: bytes) -> bool:
    """Whether 16 first bytes are those of a JPEG, PNG, GIF, WEBP or BMP."""
    if head.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a")):
        return True
    if head.startswith(b"RIFF"):
        return head[8:12] == b"WEBP"
    return head.startswith(b"BM") and head[6:10] == b"\0\0\0\0"  # "BM" alone may well open a text


def what_is_wrong(path: str | os.PathLike, max_pixels: int = MAX_PIXELS) -> str | None:
    """Looks at a picture's header and end.

    Args:
      path: of a file whose first bytes are a picture's.
      max_pixels: a header that tells of more is refused: a small file can hold a picture that fills
        the memory.

    Returns:
      NOT_A_PICTURE, TOO_MANY_PIXELS or TRUNCATED; None for a picture that seems whole.

    Raises:
      OSError: the file cannot be read.
    """
    with open(path, "rb") as file:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)
                picture = Image.open(file)
                width, height, kind = *picture.size, picture.format
        except Image.DecompressionBombError:
            return TOO_MANY_PIXELS
        except Exception:  # whatever PIL's readers make of bytes that a stranger chose
            return NOT_A_PICTURE
        if width * height > max_pixels:
            return TOO_MANY_PIXELS
        return None if _has_end(file, kind) else TRUNCATED


def _has_end(file: BinaryIO, kind: str) -> bool:
    size = file.seek(0, os.SEEK_END)
    if kind == "WEBP":  # RIFF tells its length
        file.seek(4)
        return int.from_bytes(file.read(4), "little") + 8 <= size
    if kind not in _END:
        return True
    file.seek(max(0, size - _TAIL_BYTES))
    if _END[kind] in file.read():
        return True
    # Phones append films and depth maps to whole JPEGs: then the end lies somewhere after the first
    # scan began. The picture's own data never hold its mark; a thumbnail ahead of the scan may.
    if kind != "JPEG":
        return False
    file.seek(0)
    content = file.read()
    return content.find(_END["JPEG"], _first_scan(content)) >= 0


def _first_scan(content: bytes) -> int:
    """Where a JPEG's own first scan begins: segments are passed over by their lengths, thumbnails with them."""
    at = 2
    while at + 4 <= len(content) and content[at] == 0xFF:
        if content[at + 1] == 0xDA:
            return at
        at += 2 + int.from_bytes(content[at + 2 : at + 4], "big")
    return len(content)
