"""An untrained run and the built dummy data: enough for evaluation and galleries."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

MANUAL = Path(__file__).parents[2] / "tfds_builders" / "fec" / "dummy_data"
SETTINGS = {
    "d_hidden": 4,
    "d_embedding": 6,
    "fc_widths": [8],
    "block": "basic",
    "stage_blocks": [1, 1],
    "stem": "conv3",
    "pool": "flatten",
}
SIZE = 32


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory):
    import tensorflow_datasets as tfds

    root = tmp_path_factory.mktemp("built")
    shutil.copytree(MANUAL, root / "manual")
    with tfds.core.utils.add_sys_path(MANUAL.parents[2]):
        builder_cls = tfds.core.community.builder_cls_from_module(
            "tfds_builders.fec.fec_dataset_builder"
        )
    config = tfds.download.DownloadConfig(manual_dir=root / "manual")
    builder_cls(data_dir=root / "data").download_and_prepare(download_config=config)
    return root / "data"


@pytest.fixture(scope="session")
def data(data_dir):
    """The split "train" at the size of the run: 9 faces of 5 photos."""
    from imagefec.data.store import datasets

    return datasets.load_triplets(data_dir, image_size=SIZE)


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """A run of random weights, sampled in NumPy because Trax's initialisation is slow."""
    from imagefec.compat import ShapeDtype, nested_map
    from imagefec.model import ImageFEC, checkpoint

    network = ImageFEC(**SETTINGS)
    signature = network.weights_and_state_signature(ShapeDtype((1, SIZE, SIZE, 3), np.uint8))
    network.weights, network.state = nested_map(lambda s: np.zeros(s.shape, s.dtype), signature)
    random = np.random.default_rng(0)
    arrays = {
        name: random.normal(size=array.shape).astype(np.float32) / max(array[..., 0].size, 1) ** 0.5
        for name, array in checkpoint.named_weights(network).items()
    }
    arrays |= {
        name: np.abs(array) + 0.5 for name, array in arrays.items() if name.startswith("state/")
    }
    run_dir = tmp_path_factory.mktemp("runs") / "small"
    run_dir.mkdir()
    info = {"format": 1, "model": SETTINGS, "image_size": SIZE, "dataset": "fec", "step": 12}
    (run_dir / "run.json").write_text(json.dumps(info))
    checkpoint.save(run_dir / "best.npz", arrays, {"step": 12})
    return run_dir


@pytest.fixture(scope="session")
def embedder(run):
    from imagefec.model import Embedder

    return Embedder.load(run)


@pytest.fixture(scope="session")
def faces_dir():
    """Faces as written by crop, with their faces.csv."""
    return MANUAL / "faces"
