"""Reads photos of every kind and encodes faces, RGB on both sides; nothing is cropped here."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from imagefec import files
from imagefec.faces import colour, orientation, photo_files, photo_layout
from imagefec.faces.photo_files import DAMAGED, NotAPhoto

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["NotAPhoto", "check_rgb", "encode_png", "read_photo", "write_jpeg", "write_png"]


def read_photo(source: Any, upright: bool = False) -> np.ndarray:
    """Reads a photo, the same way from a file, bytes or an image of Pillow.

    docs/photos.md lists what each format, colour mode and orientation gives. Of an animation or a
    multi-picture file the first picture is read.

    Args:
      source: a path, a file's bytes, an image of Pillow, or uint8 [height, width, 3] RGB, which is
        returned as it is.
      upright: turn the photo as its EXIF orientation says. FEC's boxes refer to the pixels as
        stored, so the dataset does not turn photos; a photo fresh from a phone needs True.

    Returns:
      uint8 [height, width, 3] sRGB.

    Raises:
      NotAPhoto: it cannot be read, is no image or an incomplete one, or is too large: more than
        photo_files.MAX_PIXELS, photo_files.MAX_BYTES, or too many scans of a JPEG.
      ValueError: an array has another shape or dtype.
      MemoryError: there is too little memory; the photo may be good.
    """
    if isinstance(source, (str, os.PathLike)):
        return _read_bytes(photo_files.read_file(source), upright)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _read_bytes(bytes(source), upright)
    # An image of Pillow can only exist if Pillow was imported.
    pillow = sys.modules.get("PIL.Image")
    if pillow is not None and isinstance(source, pillow.Image):
        photo_files.check_size(*source.size)
        return _read_image(source, upright, source.info.get("icc_profile") or b"")
    return check_rgb(np.asarray(source))


def check_rgb(image: np.ndarray) -> np.ndarray:
    """Returns the image if it is uint8 [height, width, 3] with at least one pixel.

    Raises:
      ValueError: it is not.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ValueError(
            "an image must be uint8 [height, width, 3] RGB, found "
            f"{image.dtype} {list(image.shape)}"
        )
    return image


def encode_png(rgb: np.ndarray) -> bytes:
    """Encodes an image as the bytes of a PNG file.

    Args:
      rgb: uint8 [height, width, 3] RGB.

    Raises:
      ValueError: rgb is not uint8 [height, width, 3] with at least one pixel.
    """
    check_rgb(rgb)
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


def write_jpeg(path: str | os.PathLike[str], rgb: np.ndarray, quality: int = 92) -> None:
    """Writes an image as JPEG for people to look at; otherwise as `write_png`.

    Args:
      path: file to write; its folder must exist.
      rgb: uint8 [height, width, 3] RGB.
      quality: 0 to 100.
    """
    bgr = cv2.cvtColor(check_rgb(rgb), cv2.COLOR_RGB2BGR)
    done, data = cv2.imencode(".jpg", bgr, (cv2.IMWRITE_JPEG_QUALITY, quality))
    if not done:
        raise ValueError(f"OpenCV could not encode an image of {list(rgb.shape)} as JPEG")
    files.write_bytes(path, data.tobytes(), durable=False)


def _read_bytes(data: bytes, upright: bool) -> np.ndarray:
    layout = photo_files.read_layout(data)
    how = orientation.exif_orientation(layout.exif)
    rgb = _decode_jpeg(data, layout) if layout.kind == "JPEG" else None
    if rgb is None:
        image = _open(data, layout)
        if layout.kind not in _OWN_METADATA:
            return _read_image(image, upright, image.info.get("icc_profile") or b"")
        rgb = _pixels(image, layout.icc)
    return orientation.turn(rgb, how) if upright else rgb


# Of these formats the metadata were read with the layout.
_OWN_METADATA = ("JPEG", "PNG", "WEBP")


def _decode_jpeg(data: bytes, layout: photo_layout.Layout) -> np.ndarray | None:
    """Decodes a grey or colour JPEG with OpenCV; None for others, such as CMYK."""
    if layout.bits != 8 or layout.components not in (1, 3):
        return None
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        return None
    if bgr is None:
        return None
    rgb = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
    return colour.apply_profile(rgb, layout.icc, is_grey=layout.components == 1)


def _open(data: bytes, layout: photo_layout.Layout) -> Image.Image:
    if layout.kind == "PNG":
        data = photo_layout.png_without_metadata(data)
    try:
        image = photo_files.open_with_pillow(data, layout.kind)
    except (NotAPhoto, MemoryError):
        raise
    except Exception:  # Pillow's readers raise anything on a broken header
        raise NotAPhoto(photo_files.BROKEN_HEADER) from None
    photo_files.check_size(*image.size)
    return image


def _read_image(image: Image.Image, upright: bool, icc: bytes) -> np.ndarray:
    """Reads an image of Pillow and turns it; only its first picture was opened."""
    with _pillow_errors():
        before = _orientation_of(image)  # of a PNG, this loads the pixels
        rgb = _pixels(image, icc)
        after = _orientation_of(image)
    if upright:
        return orientation.turn(rgb, after)
    # Pillow turns a TIFF while it loads the pixels, and then forgets the orientation.
    return orientation.turn(rgb, orientation.INVERSE[before]) if before != after else rgb


def _pixels(image: Image.Image, icc: bytes) -> np.ndarray:
    with _pillow_errors():
        _load(image)
        if image.format == "BMP" and image.mode == "RGBA" and not image.getchannel("A").getbbox():
            image = image.convert("RGB")  # writers of 32-bit BMP often leave the fourth byte 0
        return colour.to_rgb(image, icc)


@contextlib.contextmanager
def _pillow_errors() -> Iterator[None]:
    # Pillow raises anything on damaged files.
    try:
        yield
    except (NotAPhoto, MemoryError):
        raise
    except Exception as error:
        if type(error).__name__ == "DecompressionBombError":  # of TIFF only, while it is decoded
            raise NotAPhoto(f"over the limit of PIL.Image.MAX_IMAGE_PIXELS ({error})", "") from None
        is_cut = "truncated" in str(error)
        raise NotAPhoto(photo_files.TRUNCATED if is_cut else DAMAGED) from None


def _load(image: Image.Image) -> None:
    name = getattr(image, "filename", "")
    if image.format != "TIFF" or not name:
        image.load()
        return
    # Pillow 12.3 shears a TIFF of orientation 5 to 8 if it maps the file, as it does if it has the
    # file's name.
    image.filename = ""  # type: ignore[attr-defined]
    try:
        image.load()
    finally:
        image.filename = name  # type: ignore[attr-defined]


def _orientation_of(image: Image.Image) -> int:
    found = image.getexif().get(orientation.TAG, orientation.UPRIGHT)
    if "xmp" in image.info and image.format != "TIFF":
        # Where EXIF has none, Pillow takes the orientation of XMP, which no viewer heeds.
        found = orientation.exif_orientation(image.info.get("exif") or b"")
    return orientation.known(found)
