"""What is read from a run's directory, and what is refused."""

import json

import pytest

from imagefec.analysis.run_files import parse_settings, read_run_files
from imagefec.errors import UserError

CONFIG = """
# Macros:
# ==============================================================================
steps = 300

# Parameters for Augment:
# ==============================================================================
Augment.brightness = 0.2
Augment.crop = 0.25
Augment.views = 1

# Parameters for training:
# ==============================================================================
training.init_checkpoint = \\
    '/a/long/path/to/another/run'
training.layer_rates = \\
    {'stem': 0.1,
     'head': 1.0}
training.loss = @TripletLoss
training.seed = 3
training.train_split = 'train[:50%]'
uda_consistency.weight = 0.5
"""


def write_run(folder, config=CONFIG, history=None, **info):
    folder.mkdir(exist_ok=True)
    (folder / "run.json").write_text(
        json.dumps({"format": 1, "model": {}, "image_size": 48, "dataset": "fec", **info})
    )
    (folder / "best.npz").write_bytes(b"only looked for")
    if config is not None:
        (folder / "config.gin").write_text(config)
    if history is not None:
        (folder / "history.json").write_text(history)
    return folder


def test_settings_are_read_as_written_with_broken_lines_joined():
    found = parse_settings(CONFIG)
    assert found["steps"] == "300" and found["training.loss"] == "@TripletLoss"
    assert found["training.init_checkpoint"] == "'/a/long/path/to/another/run'"
    assert found["training.layer_rates"] == "{'stem': 0.1, 'head': 1.0}"
    assert len(found) == 10


def test_a_run_tells_its_seed_ranges_split_and_uda_weight(tmp_path):
    run = read_run_files(write_run(tmp_path / "a_seed3"))
    assert (run.name, run.seed, run.uda_weight, run.train_split) == (
        "a_seed3",
        3,
        0.5,
        "train[:50%]",
    )
    assert run.augment_ranges == {"crop": 0.25, "brightness": 0.2}
    assert run.setting("training.loss", "none") == "none"  # no plain value


def test_run_json_goes_over_config_gin(tmp_path):
    run = read_run_files(write_run(tmp_path / "run", seed=7, uda={"weight": 2.0}))
    assert (run.seed, run.uda_weight) == (7, 2.0)


def test_a_run_without_config_or_history_is_read_as_well(tmp_path):
    run = read_run_files(write_run(tmp_path / "run", config=None))
    assert (run.settings, run.history, run.seed, run.uda_weight, run.measures("tpa")) == (
        {},
        {},
        0,
        0.0,
        [],
    )
    assert run.augment_ranges == {} and run.images_per_second is None


def test_curves_and_speed_come_from_the_history(tmp_path):
    history = json.dumps(
        {
            "eval": {
                "metrics/tpa": [[1, 0.3], [50, 0.5]],
                "metrics/steps_per_second": [[1, 0.1], [50, 10.0], [100, 12.0], [150, 14.0]],
            }
        }
    )
    run = read_run_files(write_run(tmp_path / "run", history=history, images_per_step=96))
    assert run.measures("tpa") == [(1, 0.3), (50, 0.5)]
    assert run.images_per_second == 12.0 * 96
    older = read_run_files(write_run(tmp_path / "older", history=history, batch_triplets=8))
    assert older.images_per_second == 12.0 * 24


def test_what_is_no_run_with_a_checkpoint_is_refused(tmp_path):
    with pytest.raises(UserError, match="no such run directory"):
        read_run_files(tmp_path / "gone")
    run = write_run(tmp_path / "run", history="{ torn")
    with pytest.raises(UserError, match=r"history\.json cannot be read"):
        read_run_files(run)
    with pytest.raises(UserError, match=r"run\.json: channel_order 'bgr'; faces are 'rgb'"):
        read_run_files(write_run(tmp_path / "other", channel_order="bgr"))
    (run / "best.npz").unlink()
    with pytest.raises(UserError, match=r"no checkpoint there \(best\.npz or model\.npz\)"):
        read_run_files(run)
