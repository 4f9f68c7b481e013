"""Runs and archives become cached exports, which give the run's own embeddings."""

import shutil

import numpy as np
import pytest

from imagefec import Embedder
from imagefec.errors import UserError
from imagefec.serving import models
from tests.model.network.small_runs import SETTINGS, write_run


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("runs") / "small", SETTINGS, 32)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path / ".cache" / "imagefec" / "exports"


def test_a_run_is_exported_once_and_gives_the_embedder_s_vectors(run_dir, cache):
    engine = models.open_engine(run_dir)
    faces = np.random.default_rng(1).integers(
        0, 256, (3, engine.image_size, engine.image_size, 3), np.uint8
    )
    np.testing.assert_allclose(engine.embed(faces), Embedder.load(run_dir).embed(faces), atol=1e-4)
    (cached,) = cache.iterdir()
    before = cached.stat().st_mtime_ns
    again = models.open_engine(run_dir)
    assert again.digest == engine.digest and again.name == run_dir.name
    assert cached.stat().st_mtime_ns == before


def test_a_damaged_cached_export_is_made_again(run_dir, cache):
    models.open_engine(run_dir)
    (cached,) = cache.iterdir()
    whole = cached.read_bytes()
    cached.write_bytes(whole[: len(whole) // 2])
    models.open_engine(run_dir)
    assert cached.read_bytes() == whole


def test_without_a_home_directory_nothing_is_cached(run_dir, tmp_path, monkeypatch):
    blocked = tmp_path / "home"
    blocked.write_text("a file")
    monkeypatch.setenv("HOME", str(blocked))
    assert models.open_engine(run_dir).d_embedding > 0


def test_a_run_of_another_format_is_refused(run_dir, cache, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(run_dir, copy)
    info = (copy / "run.json").read_text()
    (copy / "run.json").write_text(info.replace('"format": 1', '"format": 2'))
    with pytest.raises(UserError, match="format 2; this version reads format 1"):
        models.open_engine(copy)


def test_a_damaged_archive_is_refused(run_dir, cache, tmp_path):
    from imagefec.export.build import export_run

    archive = tmp_path / "model.npz"
    export_run(run_dir, archive, "archive")
    digest = models.open_engine(archive).digest
    assert digest == models.open_engine(run_dir).digest
    data = bytearray(archive.read_bytes())
    data[len(data) // 2] ^= 1
    archive.write_bytes(data)
    with pytest.raises(UserError, match=r"model\.npz"):
        models.open_engine(archive)
