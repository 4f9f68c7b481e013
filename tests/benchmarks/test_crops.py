"""benchmarks/crops.py: on boxes that differ from the detector's by one shift and scale."""

import importlib.util
import pathlib
import sys

import numpy as np
import pytest
import skimage.data

import imagefec
from imagefec.faces.detectors import haar_file, make_detector
from imagefec.maths.geometry import Box

SCRIPT = pathlib.Path(imagefec.__file__).parents[1] / "benchmarks/crops.py"
pytestmark = pytest.mark.skipif(haar_file() is None, reason="this OpenCV has no Haar cascade")


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("benchmark_crops", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # which dataclasses look up
    spec.loader.exec_module(module)
    return module


def embed(faces):
    """Unit vectors of shrunken faces."""
    small = np.stack(faces)[:, 4::8, 4::8].reshape(len(faces), -1).astype(float) - 128
    return small / np.linalg.norm(small, axis=1, keepdims=True)


def test_the_fitted_mapping_brings_crops_together_that_differ_by_one_shift_and_scale(
    benchmark, capsys
):
    detector = make_detector("haar")
    faces = []
    for k in range(20):
        photo = skimage.data.astronaut()[k : 250 + k, 100 - k : 350 - k]
        (found,) = detector.detect(photo)
        x, y = found.box.centre
        side = found.box.width
        # 1.3 times as large, its centre a tenth of the detector's box higher.
        x, y, half = x, y - side / 10, 0.65 * side
        faces.append((photo, Box(x - half, x + half, y - half, y + half)))
    benchmark._measure(detector, faces, faces, embed, 2.0)
    rows = {
        cells[3]: [float(cell) for cell in cells[4:7]]
        for line in capsys.readouterr().out.splitlines()
        if (cells := [cell.strip() for cell in line.split("|")])[1:2] == ["haar"]
    }
    assert list(rows) == ["unmapped", "patch", "two-stage", "photo"]
    assert rows["unmapped"][0] < 0.65  # (1 / 1.3)^2 = 0.59 if concentric
    assert rows["photo"][0] > 0.97 and rows["photo"][1] < 0.2 * rows["unmapped"][1]
    for _, distance, relative in rows.values():
        assert relative == pytest.approx(distance / 2.0, abs=0.006)
