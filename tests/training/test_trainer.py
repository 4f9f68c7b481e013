"""Real gin, real TFDS files, Trax's loop: what a run leaves, how it resumes, what it refuses."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from imagefec import cli
from imagefec.errors import UserError
from imagefec.model import checkpoint


@pytest.fixture(scope="module")
def train(world):
    from imagefec.training import configurables

    def run(output_dir, *bindings):
        return configurables.run(["smoke.gin"], list(bindings), output_dir, world.data_dir)

    yield run
    configurables.gin.clear_config()


@pytest.fixture(scope="module")
def whole_run(train, tmp_path_factory):
    return train(tmp_path_factory.mktemp("runs") / "whole")


def train_by_command(world, run_dir, *bindings):
    return cli.main(
        [
            "train",
            "--config_file=smoke.gin",
            f"--output_dir={run_dir}",
            f"--data_dir={world.data_dir}",
            *(f"--config={binding}" for binding in bindings),
        ]
    )


def arrays_of(run_dir, name="model.npz"):
    return checkpoint.load(run_dir / name)[0]


def test_a_run_leaves_settings_checkpoints_history_and_tensorboard_files(whole_run):
    settings = json.loads((whole_run / "run.json").read_text())
    assert settings["model"]["stage_blocks"] == [1, 1] and settings["image_size"] == 48
    assert settings["channel_order"] == "rgb"
    assert "ImageFEC.d_hidden = 4" in (whole_run / "config.gin").read_text()
    assert (whole_run / "best.npz").is_file() and checkpoint.load_meta(whole_run / "model.npz")[
        "step"
    ] == 4
    history = json.loads((whole_run / "history.json").read_text())
    steps = [step for step, _ in history["eval"]["metrics/tpa"]]
    assert steps == [1, 2, 4]
    for name in ("loss", "embedding_spread", "tpa_se", "tpa_one_class"):
        assert len(history["eval"][f"metrics/{name}"]) == 3


def test_tensorboard_gets_tpa_by_type_spread_rate_speed_and_a_grid_of_views(whole_run):
    import tensorflow as tf

    steps = {}
    for part in ("train", "eval"):
        for path in (whole_run / part).glob("events.*"):
            for event in tf.compat.v1.train.summary_iterator(str(path)):
                for value in event.summary.value:
                    steps.setdefault(f"{part}/{value.tag}", []).append(event.step)
    for name in (
        "eval/metrics/tpa",
        "eval/metrics/tpa_one_class",
        "eval/metrics/embedding_spread",
        "eval/metrics/loss",
        "train/metrics/loss",
        "train/training/learning_rate",
        "train/training/images_per_second",
        "train/training/triplet",
        "train/training/spread",
    ):
        assert steps[name] == [1, 2, 4], name
    assert steps["train/augmented views"] == [1] and (whole_run / "views.png").is_file()


def test_the_best_checkpoint_is_that_of_the_highest_tpa(whole_run):
    meta = checkpoint.load_meta(whole_run / "best.npz")
    history = json.loads((whole_run / "history.json").read_text())["eval"]["metrics/tpa"]
    highest = max(value for _, value in history)
    assert dict((step, value) for step, value in history)[meta["step"]] == highest


def test_the_run_evaluates_in_eval_mode_as_the_embedder_does_afterwards(whole_run, world):
    from imagefec.analysis.evaluate import evaluate_run

    result = evaluate_run(whole_run, world.data_dir)
    history = dict(json.loads((whole_run / "history.json").read_text())["eval"]["metrics/tpa"])
    assert result["tpa"] == pytest.approx(history[result["step"]], abs=1e-9)
    assert result["n_triplets"] > 50


def test_a_run_in_two_parts_ends_with_the_weights_of_one_in_one_part(train, whole_run, tmp_path):
    train(tmp_path / "parts", "training.steps = 2")
    assert checkpoint.load_meta(tmp_path / "parts" / "model.npz")["step"] == 2
    train(tmp_path / "parts")
    whole, parts = arrays_of(whole_run), arrays_of(tmp_path / "parts")
    assert whole.keys() == parts.keys()
    for name in whole:
        np.testing.assert_array_equal(whole[name], parts[name], err_msg=name)


def test_another_seed_gives_other_weights(train, whole_run, tmp_path):
    train(tmp_path / "seeded", "training.seed = 1", "training.steps = 1")
    name = next(name for name in arrays_of(whole_run) if name.startswith("weights/"))
    assert not np.array_equal(arrays_of(whole_run)[name], arrays_of(tmp_path / "seeded")[name])


def test_a_killed_run_goes_on_and_ends_with_the_weights_of_one_never_killed(
    world, whole_run, tmp_path
):
    run_dir = tmp_path / "killed"
    command = [
        sys.executable,
        "-m",
        "imagefec",
        "train",
        "--config_file=smoke.gin",
        f"--output_dir={run_dir}",
        f"--data_dir={world.data_dir}",
    ]
    victim = subprocess.Popen(
        command,
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        cwd=pathlib.Path(__file__).parents[2],
    )
    deadline = time.monotonic() + 180
    while (
        not (run_dir / "model.npz").is_file()
        and victim.poll() is None
        and time.monotonic() < deadline
    ):
        time.sleep(0.01)
    os.kill(victim.pid, signal.SIGKILL)
    victim.wait()
    assert victim.returncode == -signal.SIGKILL, "the run ended before it could be killed"
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=pathlib.Path(__file__).parents[2]
    )
    assert done.returncode == 0, done.stderr
    assert "going on from step" in done.stderr and done.stdout.strip() == str(run_dir)
    whole, killed = arrays_of(whole_run), arrays_of(run_dir)
    for name in whole:
        np.testing.assert_array_equal(whole[name], killed[name], err_msg=name)


@pytest.mark.parametrize(
    "binding, said",
    [
        ("training.batch_triplets = 100000", "batch takes 100000 triplets"),
        ("training.batch_triplets = 0", "must be 1 or more"),
        ("training.steps = 0", "training.steps is 0"),
        ("training.train_split = 'nowhere'", "no split 'nowhere'"),
        ("training.train_split = 'train[:0]'", "is empty"),
        ("training.eval_split = 'test[:0]'", "is empty"),
        ("training.dataset = 'nothing'", "holds no dataset 'nothing'"),
        ("training.precision = 'float8'", "must be one of float32, bfloat16"),
        ("training.accumulate = 3", "cannot share evenly"),
        ("ImageFEC.block = 'round'", "block must be one of"),
        ("TripletLoss.distance = 'far'", "distance must be one of"),
    ],
)
def test_settings_that_cannot_be_run_are_refused_in_a_sentence_with_exit_2(
    world, tmp_path, capsys, binding, said
):
    assert train_by_command(world, tmp_path / "run", binding) == 2
    printed = capsys.readouterr()
    assert not printed.out and said in printed.err and printed.err.count("imagefec train: ") == 1


def test_a_run_of_another_network_is_refused_even_where_the_shapes_fit_and_nothing_is_lost(
    world, train, tmp_path, capsys
):
    run_dir = train(tmp_path / "run", "training.steps = 1")
    before = {path: path.read_bytes() for path in run_dir.iterdir() if path.is_file()}
    for binding in (
        "ImageFEC.d_hidden = 8",
        "ImageFEC.scaling = 'imagenet'",
        "training.image_size = 32",
    ):
        assert train_by_command(world, run_dir, binding) == 2
        assert "holds a run of" in capsys.readouterr().err
    (run_dir / "run.json").unlink()  # names and shapes are compared all the same
    assert train_by_command(world, run_dir, "ImageFEC.d_hidden = 8") == 2
    assert re.search(
        r"model\.npz: array weights/\S+ is of shape .*; the model wants shape",
        capsys.readouterr().err,
    )
    after = {path: path.read_bytes() for path in run_dir.iterdir() if path.is_file()}
    assert after == {path: content for path, content in before.items() if path.name != "run.json"}


def test_a_run_of_another_channel_order_is_neither_gone_on_from_nor_begun_from(
    world, whole_run, tmp_path, capsys
):
    other = tmp_path / "bgr"
    shutil.copytree(whole_run, other)
    info = json.loads((other / "run.json").read_text())
    (other / "run.json").write_text(json.dumps({**info, "channel_order": "bgr"}))
    before = {path: path.read_bytes() for path in other.iterdir() if path.is_file()}
    for run_dir, bindings in (
        (other, []),
        (tmp_path / "new", [f"training.init_checkpoint = '{other}'"]),
        (tmp_path / "new", [f"training.init_checkpoint = '{other / 'model.npz'}'"]),
    ):
        assert train_by_command(world, run_dir, *bindings) == 2
        assert (
            f"{other / 'run.json'}: channel_order 'bgr'; faces are 'rgb' here"
            in capsys.readouterr().err
        )
    assert {path: path.read_bytes() for path in other.iterdir() if path.is_file()} == before
    del info["channel_order"]  # as runs were written before it was said
    (other / "run.json").write_text(json.dumps(info))
    assert (
        train_by_command(
            world, tmp_path / "new", "training.steps = 1", f"training.init_checkpoint = '{other}'"
        )
        == 0
    )


def test_a_checkpoint_that_cannot_be_written_ends_the_run_and_the_one_before_is_gone_on_from(
    world, train, whole_run, tmp_path, capsys
):
    run_dir = train(tmp_path / "run", "training.steps = 2")
    obstacle = run_dir / f".model.npz.{os.getpid()}.tmp"  # where checkpoint.save writes first
    obstacle.mkdir()
    assert train_by_command(world, run_dir) == 2
    assert "cannot be written at step 3" in capsys.readouterr().err
    assert checkpoint.load_meta(run_dir / "model.npz")["step"] == 2
    obstacle.rmdir()
    train(run_dir)
    whole, mended = arrays_of(whole_run), arrays_of(run_dir)
    assert all(np.array_equal(whole[name], mended[name]) for name in whole)


def test_a_broken_checkpoint_is_refused(train, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "model.npz").write_bytes(b"PK\x03\x04 and then the disk was full")
    with pytest.raises(UserError, match=r"model\.npz"):
        train(tmp_path / "run")


def test_an_output_directory_that_cannot_be_written_is_refused(world, tmp_path, capsys):
    (tmp_path / "run").write_text("in the way")
    for output_dir in (tmp_path / "run", tmp_path / "run" / "below", "/proc/run"):
        assert train_by_command(world, output_dir) == 2
        assert f"--output_dir={output_dir}: cannot be written" in capsys.readouterr().err


def test_training_that_diverges_stops_and_keeps_the_checkpoint_before(train, tmp_path):
    with pytest.raises(UserError, match=r"diverged|collapsed"):
        train(tmp_path / "run", "warmup_cosine.learning_rate = 1e38")
    if (tmp_path / "run" / "model.npz").is_file():
        assert all(np.isfinite(array).all() for array in arrays_of(tmp_path / "run").values())


def test_a_run_stops_where_it_has_the_tpa_that_it_was_to_reach(train, tmp_path):
    train(tmp_path / "run", "training.stop_at_tpa = 0.001")
    assert checkpoint.load_meta(tmp_path / "run" / "model.npz")["step"] == 1
    written = (tmp_path / "run" / "model.npz").stat().st_mtime_ns
    train(tmp_path / "run", "training.stop_at_tpa = 0.001")
    assert (tmp_path / "run" / "model.npz").stat().st_mtime_ns == written


def test_frozen_layers_keep_the_weights_of_the_run_that_they_come_from(train, whole_run, tmp_path):
    train(
        tmp_path / "run",
        f"training.init_checkpoint = '{whole_run}'",
        "training.init_part = 'body'",
        "training.layer_rates = {'Stem': 0, 'Stage': 0.5}",
        "training.seed = 3",
    )
    before, after = arrays_of(whole_run, "best.npz"), arrays_of(tmp_path / "run")
    kept = [name for name in before if name.startswith("weights/") and "Stem" in name]
    moved = [name for name in before if name.startswith("weights/") and "Stage" in name]
    assert kept and all(np.array_equal(before[name], after[name]) for name in kept)
    assert moved and not all(np.array_equal(before[name], after[name]) for name in moved)


def test_bfloat16_accumulation_unlabelled_faces_and_faces_on_the_device_train_and_keep_float32_weights(
    train, tmp_path
):
    train(
        tmp_path / "run",
        "training.precision = 'bfloat16'",
        "training.accumulate = 2",
        "training.faces_on_device = True",
        "training.rematerialise = True",
        "uda_consistency.weight = 1.0",
        "uda_consistency.dataset = 'fec'",
        "uda_consistency.split = 'test'",
        "uda_consistency.batch_faces = 6",
    )
    arrays = arrays_of(tmp_path / "run")
    assert {str(array.dtype) for name, array in arrays.items() if name.startswith("weights/")} == {
        "float32"
    }
    assert all(np.isfinite(array).all() for array in arrays.values())
    history = json.loads((tmp_path / "run" / "history.json").read_text())["train"]
    assert (
        len(history["training/uda"]) == len(history["training/triplet"])
        and (tmp_path / "run" / "views.png").is_file()
    )
