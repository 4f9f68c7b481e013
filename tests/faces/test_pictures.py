"""A picture saved in any format, colour mode and orientation is read as the same pixels."""

import io
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from imagefec.faces import photo_files
from imagefec.faces.photos import read_photo
from tests.faces import pictures

DOCUMENT = Path(__file__).parents[2] / "docs" / "photos.md"


def check(name, picture, orientation, tmp_path):
    """Reads the picture as a path, bytes and an image of Pillow; all must show it upright."""
    case = pictures.CASES[name]
    data = pictures.file_of(case, picture, orientation)
    path = tmp_path / f"picture.{case.suffix}"
    path.write_bytes(data)
    expected = np.asarray(case.shown(picture)).astype(int)
    photo = read_photo(path, upright=True)
    assert photo.dtype == np.uint8 and photo.shape == expected.shape
    assert np.abs(photo - expected).mean() <= case.tolerance
    np.testing.assert_array_equal(read_photo(data, upright=True), photo)
    np.testing.assert_array_equal(read_photo(Image.open(path), upright=True), photo)
    assert read_photo(photo, upright=True) is photo
    # Not upright: the pixels as stored, which FEC's boxes refer to.
    how = pictures.STORED[orientation]
    stored = case.shown(picture) if how is None else case.shown(picture).transpose(how)
    for source in (data, Image.open(io.BytesIO(data))):
        found = read_photo(source)
        assert found.shape == np.asarray(stored).shape
        assert np.abs(found - np.asarray(stored).astype(int)).mean() <= case.tolerance
    assert photo_files.starts_like_photo(data[:16]) == case.fetched


@pytest.mark.parametrize("name", pictures.CASES)
def test_each_format_and_mode_is_read_in_each_orientation(tmp_path, name):
    picture = pictures.astronaut(96).crop((0, 8, 96, 88))
    for orientation in pictures.STORED if pictures.CASES[name].turns else (1,):
        check(name, picture, orientation, tmp_path)


@st.composite
def pictures_of_any_size(draw):
    """Smooth pictures: compression changes them little."""
    width, height = draw(st.integers(24, 90)), draw(st.integers(24, 90))
    left, top = draw(st.integers(0, 128 - width)), draw(st.integers(0, 128 - height))
    return pictures.astronaut().crop((left, top, left + width, top + height))


OF_ANY_KIND = given(
    st.sampled_from(sorted(pictures.CASES)), pictures_of_any_size(), st.sampled_from(range(1, 9))
)


def check_any(tmp_path_factory, name, picture, orientation):
    if not pictures.CASES[name].turns:
        orientation = 1
    check(name, picture, orientation, tmp_path_factory.getbasetemp())


@OF_ANY_KIND
@settings(max_examples=60, deadline=None)
def test_a_picture_of_any_size_is_read_the_same_way(tmp_path_factory, name, picture, orientation):
    check_any(tmp_path_factory, name, picture, orientation)


@pytest.mark.slow
@OF_ANY_KIND
@settings(max_examples=3000, deadline=None)
def test_many_pictures_are_read_the_same_way(tmp_path_factory, name, picture, orientation):
    check_any(tmp_path_factory, name, picture, orientation)


def test_the_document_lists_the_tested_kinds():
    rows = re.findall(r"^\| ([^|]+?) +\|", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(pictures.CASES) <= set(rows)
    listed = rows[rows.index("JPEG") : rows.index("PBM") + 1]
    assert listed == list(pictures.CASES)
