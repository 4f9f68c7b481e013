"""One picture in every format, colour mode and orientation that read_photo knows."""

import io
import struct
import zlib
from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np
import skimage.data
from PIL import Image

ORIENTATION = 0x0112
_TURNED = Image.Transpose
# How the pixels of an upright picture are stored, by EXIF orientation (Exif 2.32, 4.6.4).
STORED = {
    1: None,
    2: _TURNED.FLIP_LEFT_RIGHT,
    3: _TURNED.ROTATE_180,
    4: _TURNED.FLIP_TOP_BOTTOM,
    5: _TURNED.TRANSPOSE,
    6: _TURNED.ROTATE_90,
    7: _TURNED.TRANSVERSE,
    8: _TURNED.ROTATE_270,
}


class Case(NamedTuple):
    """A row of the table in docs/photos.md.

    Attributes:
      suffix: of the file.
      write: (stored picture RGB, EXIF block) -> the file's bytes.
      shown: upright RGB picture -> the RGB picture that is expected.
      tolerance: largest mean difference per channel, 0 to 255.
      turns: whether the format holds an orientation.
      fetched: whether fetch accepts the format.
    """

    suffix: str
    write: Callable[[Image.Image, bytes], bytes]
    shown: Callable[[Image.Image], Image.Image] = lambda picture: picture
    tolerance: float = 0.0
    turns: bool = True
    fetched: bool = True


def astronaut(size: int = 128) -> Image.Image:
    """A face, size x size pixels."""
    face = Image.fromarray(skimage.data.astronaut()[30:230, 130:330])
    return face.resize((size, size), Image.Resampling.LANCZOS)


def exif(orientation: int) -> bytes:
    """An EXIF block with an orientation."""
    block = Image.Exif()
    block[ORIENTATION] = orientation
    return block.tobytes()


def file_of(case: Case, picture: Image.Image, orientation: int = 1) -> bytes:
    """The file of an upright picture, stored in an orientation."""
    how = STORED[orientation]
    return case.write(picture if how is None else picture.transpose(how), exif(orientation))


def encode(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def _saved(kind: str, mode: str = "RGB", **options) -> Callable[[Image.Image, bytes], bytes]:
    def write(picture: Image.Image, exif: bytes) -> bytes:
        with_exif = {"exif": exif} if kind in ("JPEG", "MPO", "PNG", "WEBP", "TIFF", "AVIF") else {}
        return encode(_as_mode(picture, mode), kind, **with_exif, **options)

    return write


def _further(kind: str, **options) -> Callable[[Image.Image, bytes], bytes]:
    """A file with a second picture, which is not to be read."""

    def write(picture: Image.Image, exif: bytes) -> bytes:
        second = Image.new("RGB", picture.size, (0, 200, 0))
        more = {"save_all": True, "append_images": [second], **options}
        return _saved(kind, **more)(picture, exif)

    return write


def _as_mode(picture: Image.Image, mode: str) -> Image.Image:
    if mode == "RGBA":  # colours hidden where nothing is to be seen
        picture = picture.convert("RGBA")
        picture.putalpha(_half(picture.size))
        return picture
    if mode == "LA":
        return Image.merge("LA", (picture.convert("L"), _half(picture.size)))
    if mode == "I;16":
        return Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257)
    return picture.convert(mode)


def _half(size: tuple[int, int]) -> Image.Image:
    """Opaque in a disc, which no rotation or mirror changes if it is square."""
    rows, columns = np.mgrid[: size[1], : size[0]]
    y, x = 2 * rows - size[1] + 1, 2 * columns - size[0] + 1
    return Image.fromarray(np.where(x**2 + y**2 < min(size) ** 2, 255, 0).astype(np.uint8))


def _over_white(picture: Image.Image) -> Image.Image:
    return Image.composite(picture, Image.new("RGB", picture.size, "white"), _half(picture.size))


def _grey(picture: Image.Image) -> Image.Image:
    return picture.convert("L").convert("RGB")


def _grey_over_white(picture: Image.Image) -> Image.Image:
    return _over_white(_grey(picture))


def _bilevel(picture: Image.Image) -> Image.Image:
    return _grey(picture).point(lambda value: 255 * (value > 127))


def _write_bilevel(kind: str, **options) -> Callable[[Image.Image, bytes], bytes]:
    def write(picture: Image.Image, exif: bytes) -> bytes:
        with_exif = {} if kind in ("BMP", "PPM") else {"exif": exif}
        bits = _bilevel(picture).convert("1")
        return encode(bits, kind, **with_exif, **options)

    return write


def _write_palette(kind: str, is_transparent: bool = False) -> Callable:
    def write(picture: Image.Image, exif: bytes) -> bytes:
        options = {} if kind in ("GIF", "BMP") else {"exif": exif}
        image = picture.quantize(64, dither=Image.Dither.NONE)
        if is_transparent:
            indices = np.asarray(image).copy()
            indices[np.asarray(_half(picture.size)) == 0] = 64
            palette = [*image.getpalette()[: 64 * 3], 255, 0, 255]
            image = Image.fromarray(indices)
            image.putpalette(palette)
            options["transparency"] = 64
        return encode(image, kind, **options)

    return write


def _write_png16(channels: int) -> Callable[[Image.Image, bytes], bytes]:
    def write(picture: Image.Image, exif: bytes) -> bytes:
        rgb = np.asarray(picture).astype(np.uint16) * 257
        bgr = np.dstack([rgb[..., ::-1], np.full(rgb.shape[:2], 65535, np.uint16)])[..., :channels]
        png = cv2.imencode(".png", np.ascontiguousarray(bgr))[1].tobytes()
        data = b"eXIf" + exif.removeprefix(b"Exif\0\0")
        chunk = struct.pack(">I", len(data) - 4) + data + struct.pack(">I", zlib.crc32(data))
        return png[:33] + chunk + png[33:]

    return write


def _write_tiff16(picture: Image.Image, exif: bytes) -> bytes:
    bgr = np.asarray(picture)[..., ::-1].astype(np.uint16) * 257
    return cv2.imencode(".tiff", np.ascontiguousarray(bgr))[1].tobytes()


def _write_pgm16(picture: Image.Image, exif: bytes) -> bytes:
    grey = np.asarray(picture.convert("L")).astype(">u2") * 257
    return b"P5 %d %d 65535\n" % picture.size + grey.astype(">u2").tobytes()


def _write_colour_key(picture: Image.Image, exif: bytes) -> bytes:
    """PNG in which one colour is transparent."""
    rgb = np.asarray(picture).copy()
    rgb[(rgb == (255, 0, 255)).all(axis=-1)] = (255, 0, 254)
    rgb[np.asarray(_half(picture.size)) == 0] = (255, 0, 255)
    return encode(Image.fromarray(rgb), "PNG", transparency=(255, 0, 255), exif=exif)


def _write_bmp32(alpha: bool) -> Callable[[Image.Image, bytes], bytes]:
    """BMP with a V4 header, which declares a mask for the alpha of each pixel."""

    def write(picture: Image.Image, exif: bytes) -> bytes:
        image = _as_mode(picture, "RGBA")
        if not alpha:
            image.putalpha(0)
        pixels = np.asarray(image)[::-1, :, [2, 1, 0, 3]].tobytes()
        masks = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
        fields = (108, *picture.size, 1, 32, 3, len(pixels), 2835, 2835, 0, 0)
        header = struct.pack("<IiiHHIIiiII", *fields) + masks + b"BGRs" + bytes(48)
        return b"BM" + struct.pack("<IHHI", 122 + len(pixels), 0, 0, 122) + header + pixels

    return write


def _write_animated_avif(picture: Image.Image, exif: bytes) -> bytes:
    first = np.ascontiguousarray(np.asarray(picture)[..., ::-1])
    animation = cv2.Animation()  # Pillow's encoder crashed on it
    animation.frames = [first, np.full_like(first, (0, 200, 0))]
    animation.durations = np.array([100, 100], np.int32)
    return cv2.imencodeanimation(".avif", animation)[1].tobytes()


LOSSY = 6.0
NO_TURN = {"turns": False}
LOCAL = {"fetched": False}

CASES = {
    "JPEG": Case("jpg", _saved("JPEG", quality=92), tolerance=LOSSY),
    "JPEG, progressive": Case("jpg", _saved("JPEG", quality=92, progressive=True), tolerance=LOSSY),
    "JPEG, RGB": Case("jpg", _saved("JPEG", quality=92, keep_rgb=True), tolerance=LOSSY),
    "JPEG, grey": Case("jpg", _saved("JPEG", "L", quality=92), _grey, LOSSY),
    "JPEG, CMYK": Case("jpg", _saved("JPEG", "CMYK", quality=92), tolerance=LOSSY),
    "JPEG, several pictures (MPO)": Case("mpo", _further("MPO", quality=92), tolerance=LOSSY),
    "PNG": Case("png", _saved("PNG")),
    "PNG, grey": Case("png", _saved("PNG", "L"), _grey),
    "PNG, 1 bit": Case("png", _write_bilevel("PNG"), _bilevel),
    "PNG, palette": Case("png", _write_palette("PNG"), tolerance=LOSSY),
    "PNG, palette with transparency": Case("png", _write_palette("PNG", True), _over_white, LOSSY),
    "PNG, alpha": Case("png", _saved("PNG", "RGBA"), _over_white),
    "PNG, grey and alpha": Case("png", _saved("PNG", "LA"), _grey_over_white),
    "PNG, a transparent colour": Case("png", _write_colour_key, _over_white),
    "PNG, 16 bits": Case("png", _write_png16(3)),
    "PNG, 16 bits and alpha": Case("png", _write_png16(4)),
    "PNG, 16 bits, grey": Case("png", _saved("PNG", "I;16"), _grey),
    "PNG, animated (APNG)": Case("png", _further("PNG")),
    "WebP, lossy": Case("webp", _saved("WEBP", quality=92), tolerance=LOSSY),
    "WebP, lossless": Case("webp", _saved("WEBP", lossless=True)),
    "WebP, alpha": Case("webp", _saved("WEBP", "RGBA", lossless=True), _over_white),
    "WebP, animated": Case("webp", _further("WEBP", lossless=True)),
    "GIF": Case("gif", _write_palette("GIF"), tolerance=LOSSY, **NO_TURN),
    "GIF, transparency": Case("gif", _write_palette("GIF", True), _over_white, LOSSY, **NO_TURN),
    "GIF, animated": Case("gif", _further("GIF"), tolerance=LOSSY, **NO_TURN),
    "BMP": Case("bmp", _saved("BMP"), **NO_TURN),
    "BMP, grey": Case("bmp", _saved("BMP", "L"), _grey, **NO_TURN),
    "BMP, 1 bit": Case("bmp", _write_bilevel("BMP"), _bilevel, **NO_TURN),
    "BMP, palette": Case("bmp", _write_palette("BMP"), tolerance=LOSSY, **NO_TURN),
    "BMP, alpha": Case("bmp", _write_bmp32(True), _over_white, **NO_TURN),
    "BMP, alpha all 0": Case("bmp", _write_bmp32(False), **NO_TURN),
    "TIFF": Case("tif", _saved("TIFF"), **LOCAL),
    "TIFF, LZW": Case("tif", _saved("TIFF", compression="tiff_lzw"), **LOCAL),
    "TIFF, JPEG": Case(
        "tif", _saved("TIFF", compression="jpeg", quality=92), tolerance=LOSSY, **LOCAL
    ),
    "TIFF, grey": Case("tif", _saved("TIFF", "L"), _grey, **LOCAL),
    "TIFF, 1 bit": Case("tif", _write_bilevel("TIFF", compression="group4"), _bilevel, **LOCAL),
    "TIFF, palette": Case("tif", _write_palette("TIFF"), tolerance=LOSSY, **LOCAL),
    "TIFF, CMYK": Case("tif", _saved("TIFF", "CMYK"), tolerance=2, **LOCAL),
    "TIFF, alpha": Case("tif", _saved("TIFF", "RGBA"), _over_white, **LOCAL),
    "TIFF, 16 bits": Case("tif", _write_tiff16, **NO_TURN, **LOCAL),
    "TIFF, 16 bits, grey": Case("tif", _saved("TIFF", "I;16"), _grey, **LOCAL),
    "TIFF, several pages": Case("tif", _further("TIFF"), **LOCAL),
    "AVIF": Case("avif", _saved("AVIF", quality=92), tolerance=LOSSY, **LOCAL),
    "AVIF, alpha": Case("avif", _saved("AVIF", "RGBA", quality=92), _over_white, LOSSY, **LOCAL),
    "AVIF, animated": Case("avif", _write_animated_avif, tolerance=LOSSY, **NO_TURN, **LOCAL),
    "JPEG 2000": Case("jp2", _saved("JPEG2000"), **NO_TURN, **LOCAL),
    "PPM": Case("ppm", _saved("PPM"), **NO_TURN, **LOCAL),
    "PGM": Case("pgm", _saved("PPM", "L"), _grey, **NO_TURN, **LOCAL),
    "PGM, 16 bits": Case("pgm", _write_pgm16, _grey, **NO_TURN, **LOCAL),
    "PBM": Case("pbm", _write_bilevel("PPM"), _bilevel, **NO_TURN, **LOCAL),
}
