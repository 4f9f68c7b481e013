"""Synthetic faces, once per session through the real pipeline: draw, fetch, crop, `tfds build`."""

import pathlib
import signal
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, settings

# A loaded machine is slow, and a clean checkout has to make Hypothesis's table of characters first.
settings.register_profile(
    "imagefec", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("imagefec")

# A background job or nohup ignores these, and so would the processes that tests start and stop.
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    if signal.getsignal(number) is signal.SIG_IGN:
        default = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
        signal.signal(number, default)


@pytest.fixture(scope="session", autouse=True)
def no_model_files(tmp_path_factory):
    """Model files of detectors on the machine must not influence the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMAGEFEC_MODELS", str(tmp_path_factory.mktemp("models")))
        yield


class World(NamedTuple):
    manual_dir: pathlib.Path
    cache_dir: pathlib.Path
    data_dir: pathlib.Path
    csv_paths: list[pathlib.Path]


@pytest.fixture(scope="session")
def world(tmp_path_factory, no_model_files) -> World:
    from imagefec import quickstart
    from imagefec.data.crop.stage import crop_faces
    from imagefec.data.fetch.stage import fetch_photos
    from imagefec.faces.synthetic import render_dataset
    from imagefec.fec import csv_file_name

    root = tmp_path_factory.mktemp("world")
    manual = render_dataset(
        root / "fec", faces=300, identities=40, triplets=400, test_fraction=0.4, seed=5, workers=1
    )
    csv_paths = [manual / csv_file_name(split) for split in ("train", "test")]
    assert fetch_photos(csv_paths, root / "cache").n_failed == 0
    crop_faces(csv_paths, root / "cache", manual / "faces", workers=1)
    quickstart.build(manual, root / "data")
    return World(manual, root / "cache", root / "data", csv_paths)
