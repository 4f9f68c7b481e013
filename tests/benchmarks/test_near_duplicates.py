"""benchmarks/near_duplicates.py: the changes that make copies."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

import imagefec

SCRIPT = Path(imagefec.__file__).parents[1] / "benchmarks/near_duplicates.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("near_duplicates_benchmark", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_copies_are_faces_that_differ(script):
    face = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    for name, change in script.COPIES.items():
        copy = change(face)
        assert copy.shape == face.shape and copy.dtype == np.uint8, name
        assert (copy != face).any(), name


def test_a_shift_moves_pixels_right_and_down(script):
    face = np.zeros((128, 128, 3), np.uint8)
    face[10, 20] = 255
    assert np.argwhere(script.moved(face, 2, 3)[..., 0]).tolist() == [[13, 22]]
