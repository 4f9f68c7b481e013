"""Reading a run directory: settings, history, checkpoints, refusals."""

import json

import pytest

from imagefec.errors import UserError
from imagefec.model import legacy_settings
from imagefec.model.run import Run, prepare_directory

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
    (folder / "best.npz").write_bytes(b"only its name matters")
    if config is not None:
        (folder / "config.gin").write_text(config)
    if history is not None:
        (folder / "history.json").write_text(history)
    return folder


def test_settings_are_read_from_gin_text_with_wrapped_lines_joined():
    found = legacy_settings.parse(CONFIG)
    assert found["steps"] == 300 and found["training.loss"] == "@TripletLoss"
    assert found["training.init_checkpoint"] == "/a/long/path/to/another/run"
    assert found["training.layer_rates"] == {"stem": 0.1, "head": 1.0}
    assert len(found) == 10


def test_a_run_has_its_seed_ranges_split_and_uda_weight(tmp_path):
    run = Run.open(write_run(tmp_path / "a_seed3"))
    assert (run.name, run.seed, run.uda_weight, run.train_split) == (
        "a_seed3",
        3,
        0.5,
        "train[:50%]",
    )
    assert run.augment_ranges == {"crop": 0.25, "brightness": 0.2}


def test_run_json_overrides_config_gin(tmp_path):
    run = Run.open(write_run(tmp_path / "run", seed=7, uda={"weight": 2.0}))
    assert (run.seed, run.uda_weight) == (7, 2.0)


def test_a_run_without_config_or_history_can_be_read(tmp_path):
    run = Run.open(write_run(tmp_path / "run", config=None))
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
    run = Run.open(write_run(tmp_path / "run", history=history, images_per_step=96))
    assert run.measures("tpa") == [(1, 0.3), (50, 0.5)]
    assert run.images_per_second == 12.0 * 96
    older = Run.open(write_run(tmp_path / "older", history=history, batch_triplets=8))
    assert older.images_per_second == 12.0 * 24


def test_settings_json_takes_precedence_over_config_gin(tmp_path):
    folder = write_run(tmp_path / "run")
    (folder / "settings.json").write_text(json.dumps({"training.seed": 5, "Augment.flip": 0.25}))
    run = Run.open(folder)
    assert run.settings == {"training.seed": 5, "Augment.flip": 0.25}
    assert run.seed == 5 and run.augment_ranges == {"flip": 0.25}


def test_the_augmentation_of_a_run_includes_the_options_that_are_on(tmp_path):
    folder = write_run(tmp_path / "run")
    options = {"rotation": 0.0, "hue": 10.0, "blur": 0.0, "blur_sigma": 2.0}
    sized = {"cutout": 2, "cutout_size": 0.25, "crop": 0.1, "views": 1}
    settings = {f"Augment.{name}": value for name, value in {**options, **sized}.items()}
    (folder / "settings.json").write_text(json.dumps(settings))
    found = Run.open(folder).augment_ranges
    assert found == {"crop": 0.1, "hue": 10.0, "cutout": 2, "cutout_size": 0.25}
    assert isinstance(found["cutout"], int)


def test_a_directory_that_is_not_a_run_is_refused(tmp_path):
    with pytest.raises(UserError, match="no such run directory"):
        Run.open(tmp_path / "gone")
    with pytest.raises(UserError, match=r"run\.json: channel_order 'bgr'; faces are 'rgb'"):
        Run.open(write_run(tmp_path / "other", channel_order="bgr"))


def test_a_broken_file_or_a_missing_checkpoint_is_refused_on_access(tmp_path):
    run = Run.open(write_run(tmp_path / "run", history="{ truncated"))
    with pytest.raises(UserError, match=r"history\.json: cannot be read"):
        _ = run.history
    (run.path / "settings.json").write_text("[")
    with pytest.raises(UserError, match=r"settings\.json: cannot be read"):
        _ = run.settings
    assert run.checkpoint == run.path / "best.npz" and run.without_best == ""
    run.checkpoint.rename(run.path / "model.npz")
    assert "has no best.npz, so its model.npz is used" in run.without_best
    run.checkpoint.unlink()
    with pytest.raises(UserError, match=r"has no checkpoint \(best\.npz or model\.npz\)"):
        _ = run.checkpoint


def test_a_directory_for_a_run_is_created_and_left_empty(tmp_path):
    assert prepare_directory(tmp_path / "runs" / "new") == tmp_path / "runs" / "new"
    assert list((tmp_path / "runs" / "new").iterdir()) == []
    prepare_directory(tmp_path / "runs" / "new")  # an existing one is accepted


def test_a_directory_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("not a directory")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(UserError, match=f"--output_dir={path}: cannot be written"):
            prepare_directory(path)
