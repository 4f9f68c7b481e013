"""The baselines of docs/comparisons.md: each kind gives a vector per face that evaluate takes."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

import imagefec

SCRIPT = Path(imagefec.__file__).parents[1] / "benchmarks/baseline_embeddings.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("baseline_embeddings", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("kind", "d"), [("pixels", 1024), ("hog", 1764), ("random_network", 16)])
def test_every_kind_gives_a_vector_per_face(script, kind, d):
    faces = np.random.default_rng(0).integers(0, 256, (3, 128, 128, 3), dtype=np.uint8)
    faces[2] = faces[0]
    vectors = script.KINDS[kind](0)(faces)
    assert vectors.shape == (3, d) and np.isfinite(vectors).all()
    np.testing.assert_allclose(vectors[2], vectors[0], atol=1e-6)
    assert np.abs(vectors[1] - vectors[0]).max() > 1e-4
