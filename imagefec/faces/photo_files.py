"""Opens photo files and checks that they are complete and not too large; `photos` decodes them."""

import importlib
import io
import mmap
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from imagefec import files
from imagefec.faces import photo_layout
from imagefec.faces.jpeg_layout import TOO_MANY_SCANS, read_jpeg
from imagefec.faces.photo_layout import BROKEN_HEADER, DAMAGED, TRUNCATED, Bytes, Layout

if TYPE_CHECKING:
    from PIL import ImageFile

__all__ = ["BROKEN_HEADER", "DAMAGED", "TOO_MANY_SCANS", "TRUNCATED", "Layout"]

MAX_PIXELS = 100_000_000  # 300 MB decoded; a larger photo is a mistake or an attack
MAX_BYTES = 2**29  # 512 MiB; MAX_PIXELS without compression take 300 MB

# Suffixes of the formats that are read, for those who look for photos in folders.
SUFFIXES = (
    *(".apng", ".avif", ".bmp", ".dib", ".gif", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg"),
    *(".mpo", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"),
)

# Only these are decoded: Pillow knows 40 formats, one of which runs another program (EPS).
KINDS = {
    "JPEG": ("JpegImagePlugin", "JpegImageFile"),
    "PNG": ("PngImagePlugin", "PngImageFile"),
    "GIF": ("GifImagePlugin", "GifImageFile"),
    "WEBP": ("WebPImagePlugin", "WebPImageFile"),
    "BMP": ("BmpImagePlugin", "BmpImageFile"),
    "TIFF": ("TiffImagePlugin", "TiffImageFile"),
    "AVIF": ("AvifImagePlugin", "AvifImageFile"),
    "JPEG2000": ("Jpeg2KImagePlugin", "Jpeg2KImageFile"),
    "PPM": ("PpmImagePlugin", "PpmImageFile"),
}
_FORMATS = "JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF, JPEG 2000 and PPM"

_READERS: dict[str, Callable[[Bytes], Layout]] = {
    "JPEG": read_jpeg,
    "PNG": photo_layout.read_png,
    "GIF": photo_layout.read_gif,
    "WEBP": photo_layout.read_webp,
    "BMP": photo_layout.read_bmp,
}


class NotAPhoto(Exception):
    """Something that cannot be read as a photo; the text says why.

    Attributes:
      reason: the cause, one of few short texts, so that causes can be counted; "" for what is no
        image at all.
    """

    def __init__(self, text: str, reason: str | None = None) -> None:
        super().__init__(text)
        self.reason = text if reason is None else reason


class TooManyPixels(NotAPhoto):
    """The header declares more pixels than allowed."""

    def __init__(self, width: int, height: int, max_pixels: int) -> None:
        super().__init__(
            f"{width} x {height} pixels, over {max_pixels:,}", f"more than {max_pixels} pixels"
        )


def kind_of(head: bytes) -> str:
    """The format of a file by its first 32 bytes: a key of KINDS, "HEIC", or "" if unknown."""
    for start, kind in _STARTS:
        if head.startswith(start):
            return kind
    if head.startswith(b"RIFF"):
        return "WEBP" if head[8:12] == b"WEBP" else ""
    if head.startswith(b"BM"):  # a text may start so
        return "BMP" if head[6:10] == b"\0\0\0\0" else ""
    if head[4:8] == b"ftyp":
        brands = {head[at : at + 4] for at in range(8, len(head) - 3, 4) if at != 12}
        if brands & {b"avif", b"avis"}:
            return "AVIF"
        return "HEIC" if brands & _HEIC_BRANDS else ""
    return "PPM" if head[:1] == b"P" and head[1:2] in b"123456" and head[2:3].isspace() else ""


def starts_like_photo(head: bytes) -> bool:
    """Whether a file's first 16 bytes are those of a JPEG, PNG, GIF, WebP or BMP."""
    return kind_of(head) in _READERS


def is_complete_png(png: bytes) -> bool:
    """Whether bytes begin and end as a PNG file does; nothing is decoded."""
    return png.startswith(b"\x89PNG\r\n\x1a\n") and png.endswith(b"IEND\xaeB`\x82")


def find_defect(path: str | os.PathLike[str], max_pixels: int | None = None) -> str | None:
    """Checks the structure of a photo file from its header to its end.

    Args:
      path: file that `starts_like_photo`.
      max_pixels: largest number of pixels allowed; None for MAX_PIXELS.

    Returns:
      BROKEN_HEADER, TRUNCATED, DAMAGED, TOO_MANY_SCANS or "more than N pixels"; None if the photo
      and, in an animated or multi-picture file, all further pictures are complete.

    Raises:
      OSError: the file cannot be read.
    """
    max_pixels = MAX_PIXELS if max_pixels is None else max_pixels
    with Path(path).open("rb") as file:
        head = file.read(32)
        if kind_of(head) not in _READERS:
            return BROKEN_HEADER
        # Mapped, so that the photos of many threads do not fill the memory.
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            layout = _READERS[kind_of(head)](content)
    if layout.width * layout.height > max_pixels:
        return TooManyPixels(layout.width, layout.height, max_pixels).reason
    return layout.defect or None


def read_file(path: str | os.PathLike[str]) -> bytes:
    """Reads a regular file of at most MAX_BYTES.

    Raises:
      NotAPhoto: it cannot be read, is a named pipe, a device or a folder, or is larger.
    """
    try:
        with files.open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size > MAX_BYTES:
                raise NotAPhoto(
                    f"{size:,} bytes, over {MAX_BYTES:,}", f"more than {MAX_BYTES} bytes"
                )
            return file.read(size)
    except files.NotAFileError:
        text = "not a regular file, but a named pipe, a socket or a device"
        raise NotAPhoto(text, "") from None
    except OSError as error:
        raise NotAPhoto(f"cannot be read: {error.strerror}", "") from None
    except ValueError:  # a name with a zero byte
        raise NotAPhoto("cannot be read: its name is not a file name", "") from None


def read_layout(data: bytes) -> Layout:
    """Reads a photo's format, size and metadata and checks that its first picture is complete.

    Args:
      data: of the file.

    Raises:
      NotAPhoto: the format is unknown, or the first picture is incomplete or takes too many scans.
      TooManyPixels: the header declares more than MAX_PIXELS.
    """
    kind = kind_of(data[:32])
    if kind == "HEIC":
        raise NotAPhoto(
            "a HEIC photo, which is not read; convert it to JPEG (on a Mac: sips -s format jpeg; "
            "elsewhere: heif-convert), or set the phone's camera to its most compatible format",
            "HEIC is not read",
        )
    if not kind:
        found = f"not an image of a format that is read ({_FORMATS})" if data else "an empty file"
        raise NotAPhoto(found, "")
    layout = _READERS[kind](data) if kind in _READERS else Layout(kind, 0, 0)
    check_size(layout.width, layout.height)
    if layout.first_defect:
        raise NotAPhoto(layout.first_defect)
    return layout


def check_size(width: int, height: int) -> None:
    """Raises TooManyPixels if a photo has more than MAX_PIXELS."""
    if width * height > MAX_PIXELS:
        raise TooManyPixels(width, height, MAX_PIXELS)


def open_with_pillow(data: bytes, kind: str) -> "ImageFile.ImageFile":
    """Opens a photo with Pillow's reader of its format; Pillow's limit of pixels does not apply.

    Image.open would set that limit for the complete process and warn through the warnings module,
    whose filters threads cannot change independently.

    Args:
      data: of the file.
      kind: its format.

    Raises:
      NotAPhoto: this Pillow cannot read the format.
      Exception: anything, if the file is damaged.
    """
    module, name = KINDS[kind]
    try:
        reader = getattr(importlib.import_module(f"PIL.{module}"), name)
    except ImportError:
        text = f"{kind} is not read by this version of Pillow; install a later one"
        raise NotAPhoto(text) from None
    return reader(io.BytesIO(data))


# Damaged metadata of a TIFF are no reason to write to the console. The filter stays, because
# threads mix up filters that are set for a block (warnings.catch_warnings).
warnings.filterwarnings("ignore", module=r"PIL\.TiffImagePlugin$")

_STARTS = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG2000"),
    (b"\xff\x4f\xff\x51", "JPEG2000"),
)
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
