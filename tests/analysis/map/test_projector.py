"""TensorBoard's files, read by the rules that its server and its shader follow."""

import io
import re

import numpy as np
import pytest
from PIL import Image

from imagefec.analysis.map import projector
from imagefec.analysis.map.pictures import make_thumbnails
from imagefec.analysis.map.projector import grid_of, write_projector

N = 21
NAMES = ["tab\there", "line\nend", "\r\n", "<b>&", "né 😀", "\udcff", "x" * 500, "", '"quoted"']


@pytest.fixture(scope="module")
def faces():
    """Faces of one colour each."""
    return [np.full((64, 64, 3), [10 * n, 250 - 10 * n, 128], np.uint8) for n in range(N)]


@pytest.fixture(scope="module")
def folder(faces, tmp_path_factory):
    folder = tmp_path_factory.mktemp("projector")
    ids = [*NAMES, *map(str, range(len(NAMES), N))]
    columns = {"id": ids, "url": [f"http://a/{n}" for n in range(N)]}
    thumbnails = make_thumbnails(faces, range(N), ids)
    write_projector(folder, vectors(), columns, thumbnails)
    return folder


def vectors():
    return np.random.default_rng(0).normal(size=(N, 3)).astype(np.float32)


def config(folder):
    return (folder / "projector_config.pbtxt").read_text()


def test_the_config_names_the_files_beside_it(folder):
    paths = dict(re.findall(r'(\w+_path): "(.*?)"', config(folder)))
    assert set(paths) == {"tensor_path", "metadata_path", "image_path"}
    assert {path.name for path in folder.iterdir()} == {
        "projector_config.pbtxt",
        *paths.values(),
    }


def test_the_tensors_come_back_as_float32(folder):
    lines = (folder / "tensors.tsv").read_text().splitlines()
    found = np.array([list(map(float, line.split("\t"))) for line in lines], np.float32)
    np.testing.assert_array_equal(found, vectors())


def test_metadata_have_a_header_and_a_line_of_two_cells_for_each_face(folder):
    # TensorBoard takes the first line for a header only if it has a tab.
    data = (folder / "metadata.tsv").read_bytes().decode()
    header, *lines = data.removesuffix("\n").split("\n")
    assert header == "id\turl" and len(lines) == N and "\r" not in data
    assert all(line.count("\t") == 1 for line in lines)
    cells = [line.split("\t")[0] for line in lines]
    assert cells[:6] == [r"tab\there", r"line\nend", r"\r\n", "<b>&", "né 😀", r"\xff"]
    assert len(cells[6]) < 300 and cells[7] == "-" and cells[8] == '"quoted"'


def test_the_shader_finds_the_picture_of_each_face(folder, faces):
    """As projector_binary.js of TensorBoard 2.21 does: it divides by the rows, not the columns."""
    side = int(re.findall(r"single_image_dim: (\d+)", config(folder))[0])
    picture = np.array(Image.open(folder / projector.SPRITE))
    assert max(picture.shape) <= 8192
    per_row, per_column = picture.shape[1] / side, picture.shape[0] / side
    for number in range(N):
        column, row = int(number % per_row), int(number // per_column)
        middle = picture[row * side + side // 2, column * side + side // 2]
        assert np.abs(middle.astype(int) - faces[number][0, 0]).max() < 12, number


@pytest.mark.parametrize(
    ("n", "grid"),
    [(1, 1), (2, 2), (4, 2), (5, 4), (16, 4), (17, 8), (4096, 64), (16_385, 256), (156_000, 512)],
)
def test_the_grid_is_the_smallest_power_of_two_that_holds_the_faces(n, grid):
    assert grid_of(n) == grid


def test_one_column_is_an_error(tmp_path, faces):
    thumbnails = make_thumbnails(faces, range(2), ["a", "b"])
    with pytest.raises(ValueError, match="two columns"):
        write_projector(tmp_path, vectors()[:2], {"id": ["a", "b"]}, thumbnails)


def test_thumbnails_are_jpeg_files_of_the_chosen_faces(faces):
    thumbnails = make_thumbnails(faces, [3, 1], [""] * N)
    with Image.open(io.BytesIO(thumbnails.jpegs[0])) as image:
        assert image.format == "JPEG" and image.size == (96, 96)
    first, second = thumbnails.pixels([0, 1])
    assert np.abs(first[0, 0].astype(int) - faces[3][0, 0]).max() < 6
    assert np.abs(second[0, 0].astype(int) - faces[1][0, 0]).max() < 6
