"""Training with gin, TFDS files and Trax's loop: what a run writes, resuming, and refusals."""

# Over 350 lines: its tests share a trained run, which takes long to make.

import dataclasses
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
from imagefec.model.run import Run


@pytest.fixture(scope="module")
def complete_run(train, tmp_path_factory):
    return train(tmp_path_factory.mktemp("runs") / "complete")


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


def test_a_run_writes_its_settings_checkpoints_and_history(world, complete_run):
    info = json.loads((complete_run / "run.json").read_text())
    assert info["model"]["stage_blocks"] == [1, 1] and info["image_size"] == 48
    assert info["channel_order"] == "rgb" and info["recipe"] == "smoke"
    cropped = json.loads((world.manual_dir / "faces" / "settings.json").read_text())
    recorded = {"detector", "detector_version", "align", "box_mapping"}
    assert set(info["faces"]) >= recorded - {"box_mapping"} and info["faces"]["align"] == "none"
    for name, value in info["faces"].items():
        if name == "box_mapping":  # the run does not repeat the sample that it was measured on
            value = value | {"sample": cropped[name]["sample"]}
        assert value == cropped[name] and name in recorded
    settings = Run.open(complete_run).settings
    assert settings["training.steps"] == settings["warmup_cosine.steps"] == 4
    assert settings["training.loss"] == "@TripletLoss" and settings["TripletLoss.margin"] == 0.1
    assert settings["ImageFEC.stage_blocks"] == [1, 1] and settings["Augment.crop"] == 0.15
    assert settings["hosts.coordinator"] is None and settings["imagefec.Adam.b1"] == 0.9
    assert "ImageFEC.d_hidden = 4" in (complete_run / "config.gin").read_text()
    assert (complete_run / "best.npz").is_file() and checkpoint.load_meta(
        complete_run / "model.npz"
    )["step"] == 4
    history = json.loads((complete_run / "history.json").read_text())
    steps = [step for step, _ in history["eval"]["metrics/tpa"]]
    assert steps == [1, 2, 4]
    for name in ("loss", "embedding_spread", "tpa_se", "tpa_one_class"):
        assert len(history["eval"][f"metrics/{name}"]) == 3


def test_tensorboard_gets_the_measures_and_a_grid_of_views(complete_run):
    import tensorflow as tf

    steps = {}
    for part in ("train", "eval"):
        for path in (complete_run / part).glob("events.*"):
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
    assert steps["train/augmented views"] == [1] and (complete_run / "views.png").is_file()


def test_the_best_checkpoint_has_the_highest_tpa(complete_run):
    meta = checkpoint.load_meta(complete_run / "best.npz")
    history = json.loads((complete_run / "history.json").read_text())["eval"]["metrics/tpa"]
    highest = max(value for _, value in history)
    assert dict(history)[meta["step"]] == highest


def test_the_tpa_of_the_best_checkpoint_equals_that_of_evaluate(complete_run, world):
    from imagefec.analysis.evaluate import evaluate_run

    result = evaluate_run(complete_run, world.data_dir)
    history = dict(json.loads((complete_run / "history.json").read_text())["eval"]["metrics/tpa"])
    assert result["tpa"] == pytest.approx(history[result["step"]], abs=1e-9)
    assert result["n_triplets"] > 50


def test_a_resumed_run_ends_with_the_weights_of_an_uninterrupted_one(train, complete_run, tmp_path):
    train(tmp_path / "parts", "training.steps = 2")
    assert checkpoint.load_meta(tmp_path / "parts" / "model.npz")["step"] == 2
    train(tmp_path / "parts")
    expected, found = arrays_of(complete_run), arrays_of(tmp_path / "parts")
    assert expected.keys() == found.keys()
    for name in expected:
        np.testing.assert_array_equal(expected[name], found[name], err_msg=name)


def test_a_run_whose_triplets_share_faces_resumes_with_the_same_batches(train, tmp_path):
    shared = ("training.batch_triplets = 6", "training.batch_faces = 12")
    whole = train(tmp_path / "whole", *shared)
    train(tmp_path / "parts", *shared, "training.steps = 2")
    expected, found = arrays_of(whole), arrays_of(train(tmp_path / "parts", *shared))
    for name in expected:
        np.testing.assert_array_equal(expected[name], found[name], err_msg=name)
    assert json.loads((whole / "run.json").read_text())["images_per_step"] == 12


def test_another_seed_gives_other_weights(train, complete_run, tmp_path):
    train(tmp_path / "seeded", "training.seed = 1", "training.steps = 1")
    name = next(name for name in arrays_of(complete_run) if name.startswith("weights/"))
    assert not np.array_equal(arrays_of(complete_run)[name], arrays_of(tmp_path / "seeded")[name])


def test_a_killed_run_resumes_and_ends_with_the_weights_of_an_uninterrupted_one(
    world, complete_run, tmp_path
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
    assert "resuming from step" in done.stderr and done.stdout.strip() == str(run_dir)
    expected, found = arrays_of(complete_run), arrays_of(run_dir)
    for name in expected:
        np.testing.assert_array_equal(expected[name], found[name], err_msg=name)


@pytest.mark.parametrize(
    ("binding", "message"),
    [
        ("training.batch_triplets = 100000", "batch takes 100000 triplets"),
        (
            "training.batch_triplets = 0",
            "training.batch_triplets is 0; it must be an integer, 1 or more",
        ),
        ("training.steps = 0", "training.steps is 0"),
        ("training.train_split = 'nowhere'", "no split 'nowhere'"),
        ("training.train_split = 'train[:0]'", "is empty"),
        ("training.eval_split = 'test[:0]'", "is empty"),
        ("training.dataset = 'nothing'", "holds no dataset 'nothing'"),
        ("training.precision = 'float8'", "must be one of float32, bfloat16"),
        ("training.accumulate = 3", "cannot split the batch evenly"),
        ("training.stop_at_tpa = 80", "training.stop_at_tpa is 80; it must be a number, 0 to 1"),
        (
            "ImageFEC.block = 'round'",
            "ImageFEC.block is 'round'; it must be one of bottleneck, basic",
        ),
        (
            "TripletLoss.distance = 'far'",
            "TripletLoss.distance is 'far'; it must be one of l2, squared_l2",
        ),
    ],
)
def test_settings_that_cannot_be_used_are_refused_in_one_sentence_with_exit_code_2(
    world, tmp_path, capsys, binding, message
):
    assert train_by_command(world, tmp_path / "run", binding) == 2
    printed = capsys.readouterr()
    assert not printed.out and message in printed.err and printed.err.count("imagefec train: ") == 1


def test_splits_and_checkpoints_that_do_not_exist_are_told_before_any_face_is_decoded(
    world, train, tmp_path
):
    for binding, message in (
        ("training.eval_split = 'validation'", r"has no split 'validation'; it has train .* test"),
        ("training.init_checkpoint = '~/nowhere'", "there is no such checkpoint"),
    ):
        with pytest.raises(UserError, match=message):
            train(tmp_path / "run", "training.image_size = 37", binding)
    assert not list(world.data_dir.glob("face_stores/**/*37px*"))


def test_a_run_of_another_network_is_refused_even_if_the_shapes_fit_and_stays_unchanged(
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
    (run_dir / "run.json").unlink()  # names and shapes are still compared
    assert train_by_command(world, run_dir, "ImageFEC.d_hidden = 8") == 2
    assert re.search(
        r"model\.npz: array weights/\S+ is of shape .*; the model requires shape",
        capsys.readouterr().err,
    )
    after = {path: path.read_bytes() for path in run_dir.iterdir() if path.is_file()}
    assert after == {path: content for path, content in before.items() if path.name != "run.json"}


def test_a_run_resumes_with_its_own_config_gin(world, train, complete_run, tmp_path, capsys):
    run_dir = train(tmp_path / "run", "training.steps = 2")
    arguments = [f"--output_dir={run_dir}", f"--data_dir={world.data_dir}"]
    own = ["train", f"--config_file={run_dir / 'config.gin'}", "--config=training.steps = 4"]
    assert cli.main([*own, *arguments]) == 0
    assert "resuming from step 2" in capsys.readouterr().err
    expected, found = arrays_of(complete_run), arrays_of(run_dir)
    assert all(np.array_equal(expected[name], found[name]) for name in expected)


def test_a_run_of_another_channel_order_is_neither_resumed_nor_a_source_of_weights(
    world, complete_run, tmp_path, capsys
):
    other = tmp_path / "bgr"
    shutil.copytree(complete_run, other)
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
    del info["channel_order"]  # as in runs from before the key existed
    (other / "run.json").write_text(json.dumps(info))
    assert (
        train_by_command(
            world, tmp_path / "new", "training.steps = 1", f"training.init_checkpoint = '{other}'"
        )
        == 0
    )


def test_a_run_that_cannot_write_a_checkpoint_stops_and_resumes_from_the_previous_one(
    world, train, complete_run, tmp_path, capsys, monkeypatch
):
    run_dir = train(tmp_path / "run", "training.steps = 2")
    monkeypatch.setattr("imagefec.files.secrets.token_hex", lambda n_bytes: "0")
    obstacle = run_dir / f".model.npz.{os.getpid()}-0.tmp"  # where checkpoint.save writes first
    obstacle.mkdir()
    assert train_by_command(world, run_dir) == 2
    assert "cannot be written at step 3" in capsys.readouterr().err
    assert checkpoint.load_meta(run_dir / "model.npz")["step"] == 2
    obstacle.rmdir()
    train(run_dir)
    expected, found = arrays_of(complete_run), arrays_of(run_dir)
    assert all(np.array_equal(expected[name], found[name]) for name in expected)


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


def test_training_that_diverges_stops_and_leaves_only_finite_checkpoints(world, tmp_path):
    from imagefec.training import configurables, trainer

    configurables.parse(["smoke.gin"])  # which refuses such a learning rate
    config = dataclasses.replace(configurables.train_config(), learning_rate=lambda step: 1e38)
    with pytest.raises(UserError, match=r"diverged|collapsed"):
        trainer.train(tmp_path / "run", world.data_dir, config)
    if (tmp_path / "run" / "model.npz").is_file():
        assert all(np.isfinite(array).all() for array in arrays_of(tmp_path / "run").values())


def test_a_run_stops_at_its_target_tpa(train, tmp_path):
    train(tmp_path / "run", "training.stop_at_tpa = 0.001")
    assert checkpoint.load_meta(tmp_path / "run" / "model.npz")["step"] == 1
    written = (tmp_path / "run" / "model.npz").stat().st_mtime_ns
    train(tmp_path / "run", "training.stop_at_tpa = 0.001")
    assert (tmp_path / "run" / "model.npz").stat().st_mtime_ns == written


@pytest.mark.parametrize("first", [0, 3, 4, 9])
def test_the_best_step_is_one_from_select_from_on(train, tmp_path, first):
    train(tmp_path / "run", "training.steps_per_eval = 1", f"training.select_from = {first}")
    history = json.loads((tmp_path / "run" / "history.json").read_text())["eval"]["metrics/tpa"]
    assert [step for step, _ in history] == [1, 2, 3, 4]
    candidates = [(tpa, step) for step, tpa in history if step >= first]
    _, expected = max(candidates, default=(None, 4))
    assert checkpoint.load_meta(tmp_path / "run" / "best.npz")["step"] == expected


def test_frozen_layers_keep_their_pretrained_weights(train, complete_run, tmp_path):
    train(
        tmp_path / "run",
        f"training.init_checkpoint = '{complete_run}'",
        "training.init_part = 'body'",
        "training.layer_rates = {'Stem': 0, 'Stage': 0.5}",
        "training.seed = 3",
    )
    before, after = arrays_of(complete_run, "best.npz"), arrays_of(tmp_path / "run")
    frozen = [name for name in before if name.startswith("weights/") and "Stem" in name]
    slowed = [name for name in before if name.startswith("weights/") and "Stage" in name]
    assert frozen and all(np.array_equal(before[name], after[name]) for name in frozen)
    assert slowed and not all(np.array_equal(before[name], after[name]) for name in slowed)


def test_training_with_all_options_of_a_step_leaves_float32_weights(train, tmp_path):
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
