"""Decodes photos and encodes faces, RGB on both sides; nothing is cropped or detected here."""

import io
import os
from pathlib import Path

import cv2
import numpy as np

from imagefec import files
from imagefec.faces.photo_files import NotAPhoto, read_header

__all__ = ["NotAPhoto", "encode_png", "read_photo", "write_png"]


def read_photo(source: str | os.PathLike[str] | bytes, upright: bool = False) -> np.ndarray:
    """Reads a photo of any format that OpenCV or Pillow knows, or an animation's first frame.

    Args:
      source: a path, or the file's bytes.
      upright: rotate the photo as its EXIF orientation says. FEC's boxes refer to the pixels as
        stored, so the dataset does not rotate; a photo fresh from a phone needs True.

    Returns:
      uint8 [height, width, 3] RGB; gray becomes RGB, transparency is dropped.

    Raises:
      NotAPhoto: the file cannot be read, is not an image, or has more than photo_files.MAX_PIXELS.
    """
    if isinstance(source, bytes):
        data = source
    else:
        try:
            data = Path(source).read_bytes()
        except OSError as error:
            raise NotAPhoto(f"cannot be read: {error.strerror}") from None
    read_header(io.BytesIO(data))
    flags = cv2.IMREAD_COLOR if upright else cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        bgr = None
    if bgr is None:
        return _read_with_pillow(data, upright)
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def encode_png(rgb: np.ndarray) -> bytes:
    """Encodes an image as the bytes of a PNG file.

    Args:
      rgb: uint8 [height, width, 3] RGB.

    Raises:
      ValueError: rgb is not uint8 [height, width, 3] with at least one pixel.
    """
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or 0 in rgb.shape:
        raise ValueError(
            f"an image must be uint8 [height, width, 3], found {rgb.dtype} {list(rgb.shape)}"
        )
    # Level 1 with run-length encoding: real faces are as small as at level 6 (22 kB), in a fifth
    # of its time.
    options = (
        cv2.IMWRITE_PNG_COMPRESSION,
        1,
        cv2.IMWRITE_PNG_STRATEGY,
        cv2.IMWRITE_PNG_STRATEGY_RLE,
    )
    done, data = cv2.imencode(".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), options)
    if not done:
        raise ValueError(f"OpenCV could not encode an image of {list(rgb.shape)} as PNG")
    return data.tobytes()


def write_png(path: str | os.PathLike[str], rgb: np.ndarray) -> None:
    """Writes an image as PNG; the file is complete or absent.

    It is not forced to disk: a power cut may leave an empty file, which crop notices and replaces.

    Args:
      path: file to write; its folder must exist.
      rgb: uint8 [height, width, 3] RGB.

    Raises:
      ValueError: rgb is not uint8 [height, width, 3].
      OSError: the disk is full, or the folder is missing or not writable.
    """
    files.write_bytes(path, encode_png(rgb), durable=False)


def _read_with_pillow(data: bytes, upright: bool) -> np.ndarray:
    # For formats that this build of OpenCV does not include.
    from PIL import Image, ImageOps

    try:
        with Image.open(io.BytesIO(data)) as opened:
            image = ImageOps.exif_transpose(opened) if upright else opened
            return np.array(image.convert("RGB"))
    except Exception as error:
        raise NotAPhoto(f"not an image: {type(error).__name__}") from None
