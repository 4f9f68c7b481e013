"""Training on one device and on several: equal losses, interchangeable checkpoints, ctrl-C."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from imagefec.model import checkpoint

ROOT = pathlib.Path(__file__).parents[2]
# 8 triplets are 24 images, which can be split evenly among 1, 2 and 8 devices. The learning-rate
# schedule does not depend on the length of a run's parts.
BINDINGS = (
    "training.batch_triplets = 8",
    "training.steps_per_eval = 1",
    "uda_consistency.weight = 0.5",
    "warmup_cosine.steps = 20",
)


def command(run_dir, data_dir, steps, *bindings):
    return [
        sys.executable,
        "-m",
        "imagefec",
        "train",
        "--config_file=smoke.gin",
        f"--output_dir={run_dir}",
        f"--data_dir={data_dir}",
        *(f"--config={binding}" for binding in (*BINDINGS, f"steps = {steps}", *bindings)),
    ]


def environment(devices):
    return {**os.environ, "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"}


def train(devices, *arguments):
    done = subprocess.run(
        command(*arguments), env=environment(devices), cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done


def losses_of(run_dir):
    history = json.loads((run_dir / "history.json").read_text())["train"]
    assert [step for step, _ in history["metrics/loss"]] == list(
        range(1, len(history["metrics/loss"]) + 1)
    )
    return [
        np.array([value for _, value in history[name]]) for name in ("metrics/loss", "training/uda")
    ]


@pytest.fixture(scope="module")
def on_one_device(world, tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("devices") / "one"
    train(1, run_dir, world.data_dir, 20)
    return run_dir


@pytest.mark.parametrize("devices", [pytest.param(2, marks=pytest.mark.slow), 8])
def test_the_losses_of_20_steps_equal_those_of_one_device(on_one_device, world, tmp_path, devices):
    train(devices, tmp_path / "run", world.data_dir, 20)
    for here, there in zip(losses_of(tmp_path / "run"), losses_of(on_one_device)):
        assert len(here) == 20 and not np.allclose(there, there[0])
        np.testing.assert_allclose(here, there, atol=1e-4)


@pytest.mark.parametrize(("first", "second"), [(8, 1), pytest.param(1, 8, marks=pytest.mark.slow)])
def test_a_run_resumes_on_another_number_of_devices(on_one_device, world, tmp_path, first, second):
    train(first, tmp_path / "run", world.data_dir, 10)
    done = train(second, tmp_path / "run", world.data_dir, 20)
    assert "resuming from step 10" in done.stderr
    for here, there in zip(losses_of(tmp_path / "run"), losses_of(on_one_device)):
        np.testing.assert_allclose(here, there, atol=1e-4)


def test_a_batch_that_cannot_be_split_evenly_among_the_devices_is_refused(world, tmp_path):
    done = subprocess.run(
        command(tmp_path / "run", world.data_dir, 2, "training.batch_triplets = 3"),
        cwd=ROOT,
        env=environment(8),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2 and "evenly among 8 devices" in done.stderr
    assert "Traceback" not in done.stderr


def test_ctrl_c_saves_and_says_how_to_resume(world, tmp_path):
    run_dir = tmp_path / "run"
    arguments = command(
        run_dir,
        world.data_dir,
        100000,
        "training.steps_per_eval = 100000",
        "training.steps_per_checkpoint = 100000",
    )
    training = subprocess.Popen(
        arguments, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 180
    while (
        not (run_dir / "model.npz").is_file()
        and training.poll() is None
        and time.monotonic() < deadline
    ):
        time.sleep(0.05)  # until step 1 is evaluated and saved
    time.sleep(0.5)
    training.send_signal(signal.SIGINT)
    _, stderr = training.communicate(timeout=120)
    assert (
        training.returncode == 130
        and "stopping after this step" in stderr
        and "same command" in stderr
        and "to resume" in stderr
    )
    assert checkpoint.load_meta(run_dir / "model.npz")["step"] > 1
