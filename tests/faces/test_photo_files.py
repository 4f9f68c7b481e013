"""The structure of photo files: ends, markers, scans, sizes, and files that are not regular."""

import io
import os
import pathlib
import struct
import subprocess
import sys
import threading
import warnings

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from imagefec.faces import jpeg_layout, photo_files
from imagefec.faces.photos import NotAPhoto, read_photo
from tests.faces import pictures

FETCHED = [name for name, case in pictures.CASES.items() if case.fetched]


def many_scans(width, height, n_scans):
    """A grey progressive JPEG whose scans are two bytes each; T.81, annexes B and G."""
    table = bytes([1] + [0] * 15)  # a Huffman table of one code of one bit
    parts = [
        b"\xff\xd8\xff\xdb\x00\x43\x00" + bytes([1] * 64),
        b"\xff\xc2" + struct.pack(">HBHHB", 11, 8, height, width, 1) + bytes([1, 0x11, 0]),
        b"\xff\xc4\x00\x14\x00" + table + b"\x00",
        b"\xff\xc4\x00\x14\x10" + table + b"\xe0",  # a run of 16,384 blocks that end here
        b"\xff\xda\x00\x08\x01\x01\x00\x00\x00\x00" + bytes(4),
    ]
    bands = (bytes([1 + n % 63, 1 + n % 63, 0]) for n in range(n_scans - 1))
    parts += [b"\xff\xda\x00\x08\x01\x01\x00" + band + bytes(2) for band in bands]
    return b"".join(parts) + b"\xff\xd9"


def defect_of(data, tmp_path, **limits):
    (tmp_path / "photo").write_bytes(data)
    return photo_files.find_defect(tmp_path / "photo", **limits)


@pytest.mark.parametrize("name", FETCHED)
def test_a_file_without_its_last_tenth_is_truncated(tmp_path, name):
    data = pictures.file_of(pictures.CASES[name], pictures.astronaut())
    assert defect_of(data, tmp_path) is None
    assert defect_of(data[: len(data) * 9 // 10], tmp_path) == "truncated image"


@given(st.sampled_from(FETCHED), st.floats(0, 1))
@settings(max_examples=300, deadline=None)
def test_what_fetch_accepts_is_read_wherever_the_file_is_cut(tmp_path_factory, name, share):
    data = pictures.file_of(pictures.CASES[name], pictures.astronaut(64))
    data = data[: round(len(data) * share)]
    accepted = photo_files.starts_like_photo(data[:16]) and not defect_of(
        data, tmp_path_factory.getbasetemp()
    )
    try:
        photo = read_photo(data)
    except NotAPhoto:
        assert not accepted
    else:
        # What is read without being accepted has a complete first picture.
        np.testing.assert_array_equal(
            photo, read_photo(pictures.file_of(pictures.CASES[name], pictures.astronaut(64)))
        )


@pytest.mark.parametrize("name", FETCHED)
def test_bytes_after_a_photo_are_allowed(tmp_path, name):
    # Phones append videos to photos.
    data = pictures.file_of(pictures.CASES[name], pictures.astronaut())
    assert defect_of(data + bytes(20_000), tmp_path) is None
    np.testing.assert_array_equal(read_photo(data + bytes(20_000)), read_photo(data))


def test_a_truncated_multi_picture_file_is_asked_for_again_but_can_be_read(tmp_path):
    case = pictures.CASES["JPEG, several pictures (MPO)"]
    data = pictures.file_of(case, pictures.astronaut())
    cut = data[: len(data) * 9 // 10]
    assert defect_of(cut, tmp_path) == "truncated image"
    np.testing.assert_array_equal(read_photo(cut), read_photo(data))  # the first is complete


def test_a_photo_whose_further_pictures_were_dropped_is_complete(tmp_path):
    # Programs that rewrite photos keep the index of pictures that are gone.
    data = pictures.file_of(pictures.CASES["JPEG, several pictures (MPO)"], pictures.astronaut())
    first = data[: data.index(b"\xff\xd8\xff", 1000)]
    assert b"MPF\0" in first and first.endswith(b"\xff\xd9")
    assert defect_of(first, tmp_path) is None
    # Others shift the pictures: they drop metadata and leave the offsets.
    start, length = data.index(b"\xff\xe1"), int.from_bytes(data[data.index(b"\xff\xe1") + 2 :][:2])
    assert defect_of(data[:start] + data[start + 2 + length :], tmp_path) is None


def test_a_thumbnails_end_is_not_the_photos_end(tmp_path):
    thumbnail = pictures.encode(pictures.astronaut(32), "JPEG")
    photo = pictures.encode(pictures.astronaut(), "JPEG", exif=b"Exif\0\0" + bytes(40) + thumbnail)
    assert photo.count(b"\xff\xd9") == 2
    assert defect_of(photo, tmp_path) is None
    assert defect_of(photo[:-30], tmp_path) == "truncated image"


@pytest.mark.parametrize(("size", "n_scans"), [((64, 64), 501), ((12_000, 8_000), 32)])
def test_a_jpeg_of_many_scans_is_refused_before_it_is_decoded(tmp_path, monkeypatch, size, n_scans):
    data = many_scans(*size, n_scans)
    monkeypatch.setattr(cv2, "imdecode", None)  # decoding such a file takes minutes or hours
    assert defect_of(data, tmp_path) == "too many scans"
    with pytest.raises(NotAPhoto, match="too many scans") as raised:
        read_photo(data)
    assert raised.value.reason == "too many scans"


def test_a_jpeg_of_as_many_scans_as_allowed_is_read(tmp_path):
    data = many_scans(64, 64, jpeg_layout.MAX_SCANS)
    assert defect_of(data, tmp_path) is None
    assert read_photo(data).shape == (64, 64, 3)


def test_a_damaged_png_is_found_by_its_checksums(tmp_path):
    data = bytearray(pictures.encode(pictures.astronaut(), "PNG"))
    data[len(data) // 2] ^= 1
    assert defect_of(bytes(data), tmp_path) == "damaged image"
    with pytest.raises(NotAPhoto, match="damaged image"):
        read_photo(bytes(data))


def test_the_limit_that_is_in_force_is_named(tmp_path, monkeypatch):
    data = pictures.encode(Image.new("RGB", (30, 20)), "PNG")
    assert defect_of(data, tmp_path, max_pixels=599) == "more than 599 pixels"
    assert defect_of(data, tmp_path, max_pixels=600) is None
    monkeypatch.setattr(photo_files, "MAX_PIXELS", 599)
    for source in (data, Image.open(io.BytesIO(data))):
        with pytest.raises(NotAPhoto, match="30 x 20 pixels, over 599"):
            read_photo(source)
    monkeypatch.setattr(photo_files, "MAX_BYTES", 50)
    with pytest.raises(NotAPhoto, match=f"{len(data)} bytes, over 50"):
        read_photo(tmp_path / "photo")


@pytest.mark.parametrize("name", pictures.CASES)
def test_pillows_own_limit_of_pixels_does_not_apply_in_silence(monkeypatch, name):
    data = pictures.file_of(pictures.CASES[name], pictures.astronaut())
    expected = read_photo(data)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if name.startswith("TIFF"):  # checked by Pillow while it decodes
            with pytest.raises(NotAPhoto, match=r"MAX_IMAGE_PIXELS .*200 pixels"):
                read_photo(data)
        else:
            np.testing.assert_array_equal(read_photo(data), expected)


def test_a_large_photo_is_read_without_a_warning(tmp_path):
    # Pillow warns above 89 megapixels.
    data = pictures.encode(Image.new("1", (10_000, 9_000)), "PNG")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_photo(data).shape == (9_000, 10_000, 3)


def test_what_is_not_a_regular_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    for path in (tmp_path / "pipe.jpg", "/dev/zero", "/dev/stdin"):
        code = (
            "import sys\nfrom imagefec.faces.photos import NotAPhoto, read_photo\n"
            "try: read_photo(sys.argv[1])\nexcept NotAPhoto as error: print(error)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, path],
            stdin=subprocess.PIPE,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert done.stdout.startswith("not a regular file") and done.stderr == ""
    with pytest.raises(NotAPhoto, match="Is a directory"):
        read_photo(tmp_path)
    with pytest.raises(NotAPhoto, match="not a file name"):
        read_photo("a\0b.jpg")


def test_an_empty_file_and_a_file_of_another_kind_are_refused(tmp_path):
    with pytest.raises(NotAPhoto, match="an empty file"):
        read_photo(b"")
    for data in (b"%!PS-Adobe-3.0 EPSF-3.0", b"<svg/>", b"8BPS" + bytes(40), bytes(64), b"P6"):
        with pytest.raises(NotAPhoto, match="not an image of a format that is read"):
            read_photo(data)


@pytest.mark.parametrize("brand", [b"heic", b"heix", b"mif1", b"msf1"])
def test_heic_is_refused_with_what_to_do(brand):
    with pytest.raises(NotAPhoto, match=r"HEIC.*convert it to JPEG"):
        read_photo(b"\0\0\0\x18ftyp" + brand + b"\0\0\0\0mif1heic" + bytes(200))


def test_a_truncated_image_of_pillow_is_refused():
    for kind in ("JPEG", "PNG", "GIF", "BMP", "PPM"):
        data = pictures.encode(pictures.astronaut(), kind)
        image = Image.open(io.BytesIO(data[: len(data) * 2 // 3]))
        with pytest.raises(NotAPhoto, match=r"truncated|damaged"):
            read_photo(image)


def test_an_avif_is_turned_by_its_own_rotation_only():
    stored = np.asarray(pictures.astronaut().transpose(Image.Transpose.ROTATE_90))
    exif = np.frombuffer(pictures.exif(6).removeprefix(b"Exif\0\0"), np.uint8)
    data = cv2.imencodeWithMetadata(
        ".avif", np.ascontiguousarray(stored[..., ::-1]), [cv2.IMAGE_METADATA_EXIF], [exif]
    )[1].tobytes()
    upright = np.asarray(pictures.astronaut()).astype(int)
    assert b"irot" in data  # the encoder translated the orientation, and kept it in EXIF
    assert np.abs(read_photo(data, upright=True) - upright).mean() < pictures.LOSSY
    assert np.abs(read_photo(data) - stored.astype(int)).mean() < pictures.LOSSY


def test_orientation_in_xmp_alone_is_not_heeded():
    xmp = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    data = pictures.encode(pictures.astronaut(64).crop((0, 0, 64, 40)), "JPEG", xmp=xmp)
    assert read_photo(data, upright=True).shape == (40, 64, 3)
    assert read_photo(Image.open(io.BytesIO(data)), upright=True).shape == (40, 64, 3)


def test_an_orientation_set_by_hand_is_heeded():
    image = pictures.astronaut(64).crop((0, 0, 64, 40))
    image.getexif()[pictures.ORIENTATION] = 6
    assert read_photo(image, upright=True).shape == (64, 40, 3)
    image.getexif()[pictures.ORIENTATION] = 77
    assert read_photo(image, upright=True).shape == (40, 64, 3)


def test_many_threads_read_the_same_pixels_and_leave_the_warnings_filters_alone(tmp_path):
    files = [pictures.file_of(case, pictures.astronaut(64)) for case in pictures.CASES.values()]
    expected = [read_photo(data) for data in files]
    filters, wrong = list(warnings.filters), []

    def read_all():
        for data, photo in zip(files, expected):
            if not np.array_equal(read_photo(data), photo):
                wrong.append(data[:16])

    threads = [threading.Thread(target=read_all) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and warnings.filters == filters


def test_too_little_memory_is_not_the_photos_fault(tmp_path):
    Image.new("L", (9_000, 9_000)).save(tmp_path / "large.png")
    code = (
        "import resource, sys\n"
        "from PIL import PngImagePlugin\n"
        "from imagefec.faces.photos import read_photo\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 50_000_000, resource.RLIM_INFINITY))\n"
        "try: read_photo(sys.argv[1])\n"
        "except MemoryError: print('too little memory')\n"
    )
    command = [sys.executable, "-c", code, tmp_path / "large.png"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.stdout == "too little memory\n", done.stderr


def test_the_suffixes_are_those_of_the_formats():
    written = {f".{case.suffix}" for case in pictures.CASES.values()}
    assert written <= set(photo_files.SUFFIXES)
    assert all(pathlib.Path(f"a{suffix}").suffix == suffix for suffix in photo_files.SUFFIXES)
