"""A face file gives one vector by every door, whatever its format, mode and orientation."""

import io

import numpy as np
import pytest
from PIL import Image

from imagefec.analysis.embed import embed_paths
from imagefec.errors import UserError
from imagefec.model import Embedder
from tests.faces import pictures


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A face of 128 px in each format, in orientation 1 and, where the format has it, 6 and 7."""
    folder = tmp_path_factory.mktemp("pictures")
    found = {}
    for n, (name, case) in enumerate(pictures.CASES.items()):
        for orientation in (1, 6, 7) if case.turns else (1,):
            path = folder / f"{n}-{orientation}.{case.suffix}"
            path.write_bytes(pictures.file_of(case, pictures.astronaut(), orientation))
            found[path] = name
    return found


def test_each_file_gives_the_vector_of_the_upright_face_by_every_door(run, files, tmp_path):
    embedder = Embedder.load(run)
    with np.load(embed_paths(run, list(files), tmp_path / "v.npz", detector="none")) as saved:
        by_command = saved["vectors"]
    assert len(by_command) == len(files)
    np.testing.assert_allclose(embedder.embed(list(files)), by_command, atol=1e-5)
    opened = [Image.open(path) for path in files]
    np.testing.assert_allclose(embedder.embed(opened), by_command, atol=1e-5)
    as_bytes = [path.read_bytes() for path in files]
    np.testing.assert_allclose(embedder.embed(as_bytes), by_command, atol=1e-5)
    shown = [pictures.CASES[name].shown(pictures.astronaut()) for name in files.values()]
    upright = embedder.embed(np.stack([np.asarray(face) for face in shown]))
    distances = np.linalg.norm(by_command - upright, axis=1)
    lossless = np.array([pictures.CASES[name].tolerance == 0 for name in files.values()])
    assert distances[lossless].max() < 1e-5 and distances.max() < 0.05
    turned = pictures.astronaut().transpose(Image.Transpose.ROTATE_90)
    assert np.linalg.norm(embedder.embed(turned) - upright[0]) > 0.01  # would be noticed


def test_the_faces_of_a_turned_photo_are_found_in_an_image_of_pillow(run, tmp_path):
    embedder = Embedder.load(run)
    photo = Image.new("RGB", (260, 300), (90, 110, 130))
    photo.paste(pictures.astronaut(180), (40, 60))
    case = pictures.CASES["PNG"]
    (tmp_path / "photo.png").write_bytes(pictures.file_of(case, photo, 6))
    by_path = embedder.embed_photo(tmp_path / "photo.png", "haar")
    by_image = embedder.embed_photo(Image.open(tmp_path / "photo.png"), "haar")
    by_pixels = embedder.embed_photo(np.asarray(photo), "haar")
    assert len(by_path) == len(by_image) == len(by_pixels) == 1
    assert by_path[0][0] == by_image[0][0] == by_pixels[0][0]
    np.testing.assert_array_equal(by_path[0][2], by_image[0][2])


def test_a_truncated_image_of_pillow_is_refused_in_a_sentence(run):
    data = pictures.file_of(pictures.CASES["JPEG"], pictures.astronaut())
    with pytest.raises(UserError, match=r"JpegImageFile: truncated image\. Give"):
        Embedder.load(run).embed(Image.open(io.BytesIO(data[: len(data) // 2])))
