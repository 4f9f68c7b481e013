"""Photos read from and faces written to disk, RGB on both sides; nothing is cropped or detected here."""

import io
import os
from pathlib import Path

import cv2
import numpy as np

MAX_PIXELS = 200_000_000  # 600 MB decoded; larger is a mistake or an attack, not a photo


class NotAPhoto(Exception):
    """Bytes that cannot be read as a picture; the text says why."""


def read_photo(source: str | os.PathLike | bytes, upright: bool = False) -> np.ndarray:
    """Reads a picture of any format that OpenCV knows (JPEG, PNG, WebP, GIF's first frame, BMP, TIFF).

    Args:
      source: a path, or the file's bytes.
      upright: turn the picture as its EXIF orientation asks. FEC's boxes refer to the pixels as
        stored, so the dataset leaves them as they are; a photo fresh from a phone wants True.

    Returns:
      uint8 [height, width, 3] RGB; gray becomes RGB, transparency is left out.

    Raises:
      NotAPhoto: the file cannot be read or holds no picture, or one of over 200 million pixels.
    """
    if isinstance(source, bytes):
        data = source
    else:
        try:
            data = Path(source).read_bytes()
        except OSError as error:
            raise NotAPhoto(f"cannot be read: {error.strerror}") from None
    _check_header(data)
    flags = cv2.IMREAD_COLOR if upright else cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        bgr = None
    if bgr is None:
        bgr = _read_with_pillow(data, upright)
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def encode_png(rgb: np.ndarray) -> bytes:
    """A picture as the bytes of a PNG file.

    Raises:
      ValueError: rgb is not uint8 [height, width, 3] with at least one pixel.
    """
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or 0 in rgb.shape:
        raise ValueError(
            f"a picture must be uint8 [height, width, 3], found {rgb.dtype} {list(rgb.shape)}"
        )
    # Level 1 with run lengths: real faces come out as small as at level 6 (22 kB), in a fifth of
    # its time.
    options = (
        cv2.IMWRITE_PNG_COMPRESSION,
        1,
        cv2.IMWRITE_PNG_STRATEGY,
        cv2.IMWRITE_PNG_STRATEGY_RLE,
    )
    done, data = cv2.imencode(".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), options)
    if not done:
        raise ValueError(f"OpenCV could not encode a picture of {list(rgb.shape)} as PNG")
    return data.tobytes()


def write_png(path: str | os.PathLike, rgb: np.ndarray) -> None:
    """Writes a picture as PNG; the file appears whole or not at all.

    Raises:
      ValueError: rgb is not uint8 [height, width, 3].
      OSError: the disk is full, or the folder is missing or not writable.
    """
    write_bytes(path, encode_png(rgb))


def write_bytes(path: str | os.PathLike, data: bytes) -> None:
    """Writes a file that appears whole or not at all, even when the process is killed half-way."""
    path = Path(path)
    passing = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        passing.write_bytes(data)
        passing.replace(path)
    except OSError:
        passing.unlink(missing_ok=True)
        raise


def _check_header(data: bytes) -> None:
    from PIL import Image  # not needed by those who only write

    try:
        with Image.open(io.BytesIO(data)) as picture:
            width, height = picture.size
    except Image.DecompressionBombError:
        raise NotAPhoto(f"over {MAX_PIXELS:,} pixels") from None
    except Exception as error:  # Pillow's plugins raise whatever a broken header leads them to
        raise NotAPhoto(f"no picture: {type(error).__name__}") from None
    if width * height > MAX_PIXELS:
        raise NotAPhoto(f"{width} x {height} pixels, over {MAX_PIXELS:,}")


def _read_with_pillow(data: bytes, upright: bool) -> np.ndarray:
    # Formats that this OpenCV was built without.
    from PIL import Image, ImageOps

    try:
        with Image.open(io.BytesIO(data)) as picture:
            picture = ImageOps.exif_transpose(picture) if upright else picture
            return np.ascontiguousarray(np.asarray(picture.convert("RGB"))[:, :, ::-1])
    except Exception as error:
        raise NotAPhoto(f"no picture: {type(error).__name__}") from None
