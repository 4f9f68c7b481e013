"""Photos of all formats are read as RGB, faces are written as PNG, other files are refused."""

import cv2
import numpy as np
import pytest
from PIL import Image

from imagefec.faces import photo_files
from imagefec.faces.crop import letterbox
from imagefec.faces.photos import NotAPhoto, read_photo, write_png

RED = (255, 0, 0)


def test_a_red_face_is_red_in_the_file_and_when_read_back(tmp_path):
    face, _ = letterbox(np.full((200, 200, 3), RED, np.uint8))
    write_png(tmp_path / "red.png", face)
    assert Image.open(tmp_path / "red.png").getpixel((64, 64)) == RED  # read by another library
    np.testing.assert_array_equal(read_photo(tmp_path / "red.png"), face)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "bmp", "gif"])
def test_photos_of_the_webs_formats_are_read_as_rgb(tmp_path, suffix):
    path = tmp_path / f"photo.{suffix}"
    Image.new("RGB", (30, 20), RED).save(path)
    photo = read_photo(path)
    assert photo.shape == (20, 30, 3) and photo.dtype == np.uint8
    assert np.abs(photo.astype(int) - RED).max() < 10


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "LA", "1", "CMYK", "I;16"])
def test_photos_of_every_colour_mode_become_rgb(tmp_path, mode):
    path = tmp_path / ("photo.jpg" if mode == "CMYK" else "photo.png")
    Image.new(mode, (30, 20)).save(path)
    assert read_photo(path).shape == (20, 30, 3)


def test_stored_pixels_are_rotated_only_if_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # upright after a rotation by 90 degrees
    Image.new("RGB", (30, 20), RED).save(tmp_path / "turned.jpg", exif=exif)
    assert read_photo(tmp_path / "turned.jpg").shape == (20, 30, 3)
    assert read_photo(tmp_path / "turned.jpg", upright=True).shape == (30, 20, 3)


@pytest.mark.parametrize(
    "data", [b"", b"<html>gone</html>", b"\xff\xd8\xff\xe0 no", b"\x89PNG\r\n\x1a\n"]
)
def test_bytes_that_are_not_a_photo_are_an_error(data):
    with pytest.raises(NotAPhoto):
        read_photo(data)


def test_a_missing_photo_is_an_error(tmp_path):
    with pytest.raises(NotAPhoto, match="No such file"):
        read_photo(tmp_path / "none.jpg")


def test_a_photo_with_too_many_pixels_is_not_decoded(monkeypatch, tmp_path):
    Image.new("RGB", (30, 20)).save(tmp_path / "photo.png")
    monkeypatch.setattr(photo_files, "MAX_PIXELS", 599)
    monkeypatch.setattr(cv2, "imdecode", None)  # would fail if it were called
    with pytest.raises(NotAPhoto, match="30 x 20 pixels, over 599"):
        read_photo(tmp_path / "photo.png")


def test_a_failed_write_leaves_nothing_behind(tmp_path):
    (tmp_path / "face.png").mkdir()  # a folder in the file's place
    with pytest.raises(IsADirectoryError):
        write_png(tmp_path / "face.png", np.zeros((4, 4, 3), np.uint8))
    assert [path.name for path in tmp_path.iterdir()] == ["face.png"]


def test_only_rgb_images_are_written(tmp_path):
    with pytest.raises(ValueError, match="uint8"):
        write_png(tmp_path / "face.png", np.zeros((4, 4), np.uint8))
