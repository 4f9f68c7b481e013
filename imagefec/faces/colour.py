"""Pixels of any colour mode to 8-bit sRGB: depth, palettes, transparency and colour profiles."""

from __future__ import annotations

import functools
import io
from typing import TYPE_CHECKING

import numpy as np

from imagefec.faces.photo_files import NotAPhoto
from imagefec.faces.photo_layout import MAX_PROFILE_BYTES

if TYPE_CHECKING:
    from PIL import Image, ImageCms

# What browsers show behind a transparent picture; hidden colours must not appear.
BACKGROUND = (255, 255, 255)
# A profile that moves no colour by more than this is sRGB by another name: pixels stay as they are.
SAME_COLOUR = 2

_16_BIT = ("I;16", "I;16L", "I;16B", "I;16N")
_WITH_ALPHA = ("RGBA", "RGBa", "LA", "PA")
_OPAQUE = ("1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr", "HSV")
_ALLOWED = "1, L, LA, I;16, P, PA, RGB, RGBA, RGBX, CMYK, YCbCr, HSV"


def to_rgb(image: Image.Image, icc: bytes = b"") -> np.ndarray:
    """Converts an image of Pillow to 8-bit sRGB.

    A colour profile is applied, unless it is damaged or sRGB itself. Transparency shows BACKGROUND.
    Of 16 bits the upper 8 are used.

    Args:
      image: loaded; not changed.
      icc: its colour profile; b"" for none.

    Returns:
      uint8 [height, width, 3].

    Raises:
      NotAPhoto: pixels of this mode have no known range, such as floats.
    """
    image = _as_8_bit(image)
    if image.mode == "La":  # multiplied by its alpha; Pillow converts it to LA only
        image = image.convert("LA")
    if image.mode in _WITH_ALPHA or "transparency" in image.info:
        return _over_background(image.convert("RGBA"), icc)
    if image.mode in ("1", "P", "RGBX", "YCbCr", "HSV"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    return np.array(_to_srgb(image, icc).convert("RGB"))


def apply_profile(rgb: np.ndarray, icc: bytes, is_grey: bool) -> np.ndarray:
    """Converts decoded pixels from a colour profile to sRGB.

    Args:
      rgb: uint8 [height, width, 3].
      icc: the profile; b"" for none.
      is_grey: whether the file's pixels are grey, as its profile then is.

    Returns:
      uint8 [height, width, 3]; `rgb` itself if the profile is sRGB, damaged or of other colours.
    """
    if not icc:
        return rgb
    is_grey = is_grey and _space_of(icc) == "GRAY"
    transform = _transform(icc, "L" if is_grey else "RGB")
    if transform is None:
        return rgb
    from PIL import Image, ImageCms

    image = Image.fromarray(np.ascontiguousarray(rgb[:, :, 0]) if is_grey else rgb)
    return np.array(ImageCms.applyTransform(image, transform) or image)


def _as_8_bit(image: Image.Image) -> Image.Image:
    from PIL import Image as pillow

    # Pillow reads PNM files of more than 8 bits as "I", scaled to 16 bits.
    if image.mode in _16_BIT or (image.mode == "I" and getattr(image, "format", "") == "PPM"):
        values = np.asarray(image)
        return pillow.fromarray((values >> 8).clip(0, 255).astype(np.uint8))
    if image.mode not in (*_OPAQUE, *_WITH_ALPHA, "La"):
        raise NotAPhoto(
            f"pixels of Pillow's mode {image.mode!r}, whose range or colours are not known; "
            f"convert them to one of {_ALLOWED}",
            f"pixels of mode {image.mode}",
        )
    return image


def _over_background(image: Image.Image, icc: bytes) -> np.ndarray:
    """Lays an RGBA image over BACKGROUND."""
    from PIL import Image as pillow

    alpha = image.getchannel("A")
    colours = _to_srgb(image.convert("RGB"), icc)
    sheet = pillow.new("RGB", image.size, BACKGROUND)
    sheet.paste(colours, mask=alpha)
    return np.array(sheet)


def _to_srgb(image: Image.Image, icc: bytes) -> Image.Image:
    """An L, RGB or CMYK image as sRGB; the image itself if there is nothing to convert."""
    if not icc:
        return image
    if image.mode == "L" and _space_of(icc) == "RGB":
        image = image.convert("RGB")
    transform = _transform(icc, image.mode)
    if transform is None:
        return image
    from PIL import ImageCms

    return ImageCms.applyTransform(image, transform) or image


@functools.lru_cache(maxsize=8)
def _space_of(icc: bytes) -> str:
    """The colours of a profile: "RGB", "GRAY", "CMYK", …; "" if it is damaged."""
    from PIL import ImageCms

    try:
        return ImageCms.ImageCmsProfile(io.BytesIO(icc)).profile.xcolor_space.strip()
    except Exception:  # Pillow's errors differ by version
        return ""


@functools.lru_cache(maxsize=8)
def _transform(icc: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The conversion from a profile to sRGB; None if there is none or it changes nothing.

    Its use by several threads at once is safe without the cache of the last pixel.
    """
    from PIL import Image, ImageCms

    if len(icc) > MAX_PROFILE_BYTES or _space_of(icc) != {"L": "GRAY"}.get(mode, mode):
        return None
    try:
        transform = ImageCms.buildTransform(
            ImageCms.ImageCmsProfile(io.BytesIO(icc)),
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            flags=ImageCms.Flags.NOCACHE,
        )
        if mode == "CMYK":
            return transform
        colours = _sample_colours(mode)
        sample = Image.fromarray(colours)
        converted = ImageCms.applyTransform(sample, transform) or sample
    except Exception:  # a damaged profile is ignored, as browsers do
        return None
    if np.abs(np.asarray(converted).astype(int) - _as_rgb(colours)).max() <= SAME_COLOUR:
        return None
    return transform


def _sample_colours(mode: str) -> np.ndarray:
    """Colours that show whether a profile changes any: uint8 [1, n] or [1, n, 3]."""
    if mode == "L":
        return np.arange(256, dtype=np.uint8)[None]
    steps = np.arange(0, 256, 15, dtype=np.uint8)
    return np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(1, -1, 3)


def _as_rgb(colours: np.ndarray) -> np.ndarray:
    return colours if colours.ndim == 3 else np.repeat(colours[..., None], 3, axis=-1)
