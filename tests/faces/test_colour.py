"""Colour profiles become sRGB, 16 bits become 8, transparency shows white, floats are refused."""

import io
import struct

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

from imagefec.faces.photos import NotAPhoto, read_photo
from tests.faces import pictures

# XYZ of the primaries, adapted to D50 as profiles hold them (Adobe RGB (1998), 4.3.6.1).
ADOBE = np.array(
    [[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]]
)
SRGB = np.array(
    [[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]]
)
D50 = (0.9642, 1.0, 0.8249)


def s15(values):
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def profile(space, pcs, tags, kind=b"mntr"):
    """An ICC profile, version 2 (ICC.1:2001-04): header, table of tags, tags."""
    offset, table, body = 132 + 12 * len(tags), b"", b""
    for name, data in tags.items():
        data += bytes(-len(data) % 4)
        table += name + struct.pack(">II", offset + len(body), len(data))
        body += data
    header = struct.pack(">I4sI4s4s4s", offset + len(body), b"none", 0x02100000, kind, space, pcs)
    header += bytes(12) + b"acsp" + bytes(28) + s15(D50) + bytes(48)
    return header + struct.pack(">I", len(tags)) + table + body


def gamma(value):
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(value * 256))


def text(name):
    name += b"\0"
    return b"desc" + bytes(4) + struct.pack(">I", len(name)) + name + bytes(78)


def rgb_profile(matrix, value):
    tags = {b"desc": text(b"test"), b"wtpt": b"XYZ " + bytes(4) + s15(D50)}
    for channel, column in zip(b"rgb", matrix.T):
        tags[bytes([channel]) + b"XYZ"] = b"XYZ " + bytes(4) + s15(column)
        tags[bytes([channel]) + b"TRC"] = gamma(value)
    return profile(b"RGB ", b"XYZ ", tags)


def grey_profile(value):
    return profile(
        b"GRAY",
        b"XYZ ",
        {b"desc": text(b"t"), b"wtpt": b"XYZ " + bytes(4) + s15(D50), b"kTRC": gamma(value)},
    )


def ink_profile():
    """CMYK in which every ink is grey: L = 100 x (1 - mean ink of C, M, Y) x (1 - K)."""
    identity = bytes(range(256))
    nodes = b""
    for node in range(16):
        c, m, y, k = (node >> shift & 1 for shift in (3, 2, 1, 0))
        nodes += bytes([round(255 * (1 - (c + m + y) / 3) * (1 - k)), 128, 128])
    lut = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + s15(np.eye(3).ravel())
    lut += identity * 4 + nodes + identity * 3
    return profile(b"CMYK", b"Lab ", {b"desc": text(b"ink"), b"A2B0": lut}, b"prtr")


def to_srgb(values, matrix, exponent):
    """The same conversion by hand: 0..255 of a profile to 0..255 of sRGB."""
    linear = (np.asarray(values) / 255.0) ** exponent
    linear = np.clip(linear @ matrix.T @ np.linalg.inv(SRGB).T, 0, 1)
    curved = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return 255 * curved


COLOURS = [
    (200, 120, 90),
    (60, 140, 70),
    (40, 60, 150),
    (128, 128, 128),
    (250, 240, 230),
    (9, 5, 3),
]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_a_colour_profile_is_applied(kind):
    icc = rgb_profile(ADOBE, 563 / 256)
    picture = Image.fromarray(np.repeat(np.repeat(np.uint8([COLOURS]), 16, 0), 16, 1))
    lossless = {"WEBP": {"lossless": True}, "JPEG": {"quality": 98, "subsampling": 0}}
    data = pictures.encode(picture, kind, icc_profile=icc, **lossless.get(kind, {"quality": 98}))
    expected = to_srgb(COLOURS, ADOBE, 563 / 256)
    assert np.abs(expected - COLOURS).max() > 20  # the profile is far from sRGB
    # An opened image knows its profile, too.
    for source in (data, Image.open(io.BytesIO(data))):
        found = read_photo(source)[8, 8::16]
        assert np.abs(found - expected).max() <= (2 if kind in ("PNG", "TIFF") else 5)


def test_srgb_by_any_name_leaves_every_pixel_as_it_is():
    picture = pictures.astronaut()
    plain = read_photo(pictures.encode(picture, "JPEG", quality=90))
    for icc in (
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
        b"no profile at all",
        rgb_profile(ADOBE, 2.2)[:300],
        grey_profile(1.0),  # not of colour pixels
    ):
        data = pictures.encode(picture, "JPEG", quality=90, icc_profile=icc)
        np.testing.assert_array_equal(read_photo(data), plain)
        np.testing.assert_array_equal(read_photo(Image.open(io.BytesIO(data))), plain)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_a_grey_profile_is_applied(kind):
    # Of a linear profile, 55 is 0.2157 of the light: 128 in sRGB.
    data = pictures.encode(Image.new("L", (16, 16), 55), kind, icc_profile=grey_profile(1.0))
    assert np.abs(read_photo(data).astype(int) - 128).max() <= 1
    assert np.abs(read_photo(Image.open(io.BytesIO(data))).astype(int) - 128).max() <= 1


def test_a_colour_profile_of_grey_pixels_is_applied():
    data = pictures.encode(Image.new("L", (16, 16), 55), "JPEG", icc_profile=rgb_profile(SRGB, 1.0))
    assert np.abs(read_photo(data).astype(int) - 128).max() <= 1


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_inks_are_converted_by_their_profile(kind):
    cyan = Image.new("CMYK", (16, 16), (255, 0, 0, 0))
    without = read_photo(pictures.encode(cyan, kind))[0, 0]
    assert np.abs(without.astype(int) - (0, 255, 255)).max() <= 3
    data = pictures.encode(cyan, kind, icc_profile=ink_profile())
    grey = read_photo(data)[0, 0].astype(int)
    assert np.ptp(grey) <= 2 and 140 < grey[0] < 180  # L = 67: 163 in sRGB
    np.testing.assert_array_equal(read_photo(Image.open(io.BytesIO(data)))[0, 0], grey)


def test_a_profile_that_unpacks_without_end_is_cut(monkeypatch):
    from imagefec.faces import photo_layout

    monkeypatch.setattr(photo_layout, "MAX_PROFILE_BYTES", 1000)
    data = pictures.encode(pictures.astronaut(), "PNG", icc_profile=bytes(10_000_000))
    assert read_photo(data).shape == (128, 128, 3)
    assert len(photo_layout.read_png(data).icc) == 1000


def test_sixteen_bits_give_what_eight_bits_give():
    grey = np.asarray(pictures.astronaut().convert("L"))
    expected = np.repeat(grey[..., None], 3, axis=-1)
    deep = grey.astype(np.uint16) * 257
    for image in (
        Image.fromarray(deep),
        Image.frombytes("I;16B", (128, 128), deep.astype(">u2").tobytes()),
    ):
        np.testing.assert_array_equal(read_photo(image), expected)


@pytest.mark.parametrize("mode", ["I", "F", "LAB"])
def test_pixels_of_unknown_range_are_refused_by_name(mode):
    with pytest.raises(NotAPhoto, match=f"mode '{mode}'.*convert them to one of"):
        read_photo(Image.new(mode, (20, 20)))


def test_a_float_tiff_is_refused_by_name():
    with pytest.raises(NotAPhoto, match="mode 'F'") as raised:
        read_photo(pictures.encode(Image.new("F", (20, 20), 0.5), "TIFF"))
    assert raised.value.reason == "pixels of mode F"


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "RGBa", "La"])
def test_hidden_colours_do_not_appear(mode):
    image = Image.new("RGBA", (4, 1), (10, 10, 10, 255))
    image.putpixel((1, 0), (200, 0, 0, 0))
    image.putpixel((2, 0), (0, 0, 0, 128))
    if mode == "PA":
        image = image.convert("P").convert("PA")
        image.putalpha(Image.frombytes("L", (4, 1), bytes([255, 0, 128, 255])))
    else:
        image = image.convert("LA").convert("La") if mode == "La" else image.convert(mode)
    found = read_photo(image)[0].astype(int)
    assert np.abs(found[0] - 10).max() <= 2 and (found[1] == 255).all()
    assert np.abs(found[2] - 127).max() <= 3


def test_a_caller_keeps_its_image():
    image = pictures.astronaut()
    image.info["icc_profile"] = rgb_profile(ADOBE, 2.2)
    before = np.asarray(image).copy()
    assert (read_photo(image) != before).any()
    np.testing.assert_array_equal(np.asarray(image), before)


def test_ordinary_jpegs_give_the_bytes_of_opencv():
    picture = pictures.astronaut(150).crop((0, 0, 149, 131))
    for options in (
        *({"quality": quality, "subsampling": s} for quality in (30, 95) for s in (0, 1, 2)),
        {"quality": 80, "progressive": True},
        {"quality": 80, "restart_marker_rows": 2},
    ):
        for image in (picture, picture.convert("L")):
            data = pictures.encode(image, "JPEG", **options)
            flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
            bgr = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
            np.testing.assert_array_equal(read_photo(data), bgr[..., ::-1])
