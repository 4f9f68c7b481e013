"""Sprites: their tiles, their order and their size."""

import io

import numpy as np
import pytest
from PIL import Image

from imagefec.analysis import thumbnails


def tile(sprite, number):
    """The pixels of one tile, cut as a page cuts it."""
    left = number % sprite.columns * sprite.tile_px
    top = number // sprite.columns * sprite.tile_px
    picture = np.array(Image.open(io.BytesIO(sprite.data)))
    return picture[top : top + sprite.tile_px, left : left + sprite.tile_px]


@pytest.mark.parametrize("n_faces", [1, 2, 4, 5, 10])
def test_every_tile_shows_its_face(n_faces):
    faces = [np.full((64, 64, 3), 20 * number, np.uint8) for number in range(n_faces)]
    sprite = thumbnails.make_sprite(iter(faces), n_faces, 16, "PNG")
    for number in range(n_faces):
        assert (tile(sprite, number) == 20 * number).all()
    assert sprite.url.startswith("data:image/png;base64,")


def test_a_jpeg_keeps_colours_near_the_faces():
    red = np.zeros((32, 32, 3), np.uint8)
    red[..., 0] = 200
    sprite = thumbnails.make_sprite([red], 1, 32)
    assert np.abs(tile(sprite, 0).astype(int) - red).max() < 12
    assert sprite.media_type == "image/jpeg"


def test_tiles_shrink_so_that_the_sprite_stays_displayable(monkeypatch):
    monkeypatch.setattr(thumbnails, "MAX_SIDE_PX", 64)
    face = np.full((64, 64, 3), 9, np.uint8)
    sprite = thumbnails.make_sprite([face] * 17, 17, 32, "PNG")
    assert (sprite.columns, sprite.tile_px) == (5, 12)
    assert max(Image.open(io.BytesIO(sprite.data)).size) <= 64


def test_a_face_that_is_not_square_is_letterboxed():
    face = np.full((20, 40, 3), 200, np.uint8)
    small = thumbnails.thumbnail(face, 40)
    assert small.shape == (40, 40, 3)
    assert (small[11:29] == 200).all() and not (small[:9] == 200).all()


@pytest.mark.parametrize("n_given", [0, 2, 4])
def test_a_wrong_number_of_faces_is_an_error(n_given):
    faces = [np.zeros((8, 8, 3), np.uint8)] * n_given
    with pytest.raises(ValueError, match="sprite of 3 faces"):
        thumbnails.make_sprite(faces, 3, 8)


def test_a_grid_has_as_many_rows_as_columns():
    faces = [np.full((8, 8, 3), 50 * number, np.uint8) for number in range(5)]
    sprite = thumbnails.make_sprite(faces, 5, 8, "PNG", grid=4)
    assert Image.open(io.BytesIO(sprite.data)).size == (32, 32)
    for number in range(5):
        assert (tile(sprite, number) == 50 * number).all()
    with pytest.raises(ValueError, match="do not fit into 2 x 2"):
        thumbnails.make_sprite(faces, 5, 8, grid=2)
