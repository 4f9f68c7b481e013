"""benchmarks/detectors.py as a user runs it, on photos with known faces; its matching by hand."""

import importlib.util
import os
import pathlib
import subprocess
import sys

import pytest
import skimage.data
from PIL import Image

import imagefec
from imagefec.faces.detectors import Detection, haar_file
from imagefec.maths.geometry import Box

SCRIPT = pathlib.Path(imagefec.__file__).parents[1] / "benchmarks/detectors.py"
pytestmark = pytest.mark.skipif(haar_file() is None, reason="this OpenCV has no Haar cascade")


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("benchmark_detectors", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rows(folder, *flags):
    """The printed table: the first two cells of each row -> the others."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(SCRIPT.parents[1]),
        "IMAGEFEC_MODELS": str(folder / "none"),
    }
    done = subprocess.run(
        [sys.executable, SCRIPT, folder, *flags], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in done.stdout.splitlines()
        if "|" in line
    ]
    return {(row[0], row[1]): row[2:] for row in cells[2:]}, done.stderr


def test_scenes_are_counted_by_size_with_their_false_alarms(tmp_path):
    Image.fromarray(skimage.data.astronaut()).save(tmp_path / "a.png")
    # The face is 120 of 512 px. The second box, of 40 px, is on the wall and cannot be found.
    (tmp_path / "boxes.csv").write_text(
        "image,x1,y1,x2,y2\na.png,170,60,275,180\na.png,10,10,50,50\n"
    )
    found, stderr = rows(tmp_path)
    assert found["haar", "all"][:5] == ["0 of 1", "1 of 1", "0 of 0", "50%", "0.00"]
    assert found["haar", "57"][1] in ("0 of 1", "1 of 1") and ("lbp", "all") in found
    assert "detector yunet: no face_detection" in stderr and "detector faced" in stderr


def test_portraits_are_searched_complete_and_cropped(tmp_path):
    (tmp_path / "someone").mkdir()
    Image.fromarray(skimage.data.astronaut()[30:230, 140:305]).save(tmp_path / "someone/a.png")
    Image.new("RGB", (150, 180), "gray").save(tmp_path / "nobody.png")
    found, _ = rows(tmp_path)
    assert found["haar", "all"][:2] == ["50.0%", "0.0%"]


def test_each_face_is_found_once_by_the_highest_scoring_detection(benchmark):
    first, second = Box(0, 10, 0, 10), Box(100, 110, 0, 10)
    # Boxes of 10 x 10: shifted by 1 the IoU is 90 / 110, shifted by 5 it is 50 / 150.
    found = [
        Detection(Box(1, 11, 0, 10), 0.9),
        Detection(Box(0, 10, 0, 10), 0.8),
        Detection(Box(105, 115, 0, 10), 0.7),
    ]
    assert benchmark.match(found, [first, second], 0.4) == ([first], 2)
    assert benchmark.match(found, [first, second], 0.3) == ([first, second], 1)


def test_a_mirrored_box_covers_the_mirrored_pixels(benchmark):
    photo = skimage.data.astronaut()[:100, :200].copy()
    photo[20:40, 30:60] = (255, 0, 0)
    mirrored, [box] = benchmark.jitter(photo, [Box(30, 60, 20, 40)], 1, True)
    assert (
        mirrored[int(box.top) : int(box.bottom), int(box.left) : int(box.right)] == (255, 0, 0)
    ).all()
    assert (box.left, box.right) == (140, 170)
    half, [box] = benchmark.jitter(photo, [Box(30, 60, 20, 40)], 0.5, False)
    assert half.shape == (50, 100, 3) and box == Box(15, 30, 10, 20)
