"""Runs with training.ema_decay: what is evaluated and saved, resuming, a kill, several devices."""

import json
import os
import signal
import subprocess
import time

import numpy as np
import pytest

from imagefec.model import checkpoint
from tests.training.test_devices import ROOT, command, environment

EMA = "training.ema_decay = 0.5"


@pytest.fixture(scope="module")
def complete(train, tmp_path_factory):
    return train(tmp_path_factory.mktemp("runs") / "complete", EMA)


def arrays_of(run_dir, name="model.npz"):
    return checkpoint.load(run_dir / name)[0]


def assert_equal_arrays(run_dir, other):
    found, expected = arrays_of(run_dir), arrays_of(other)
    assert found.keys() == expected.keys()
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)


def test_the_averages_are_the_weights_of_best_npz_and_are_beside_them_in_model_npz(train, tmp_path):
    run_dir = train(tmp_path / "run", EMA, "training.steps = 1")  # best.npz is of step 1
    latest, best = arrays_of(run_dir), arrays_of(run_dir, "best.npz")
    averages = {n.removeprefix("average/"): a for n, a in latest.items() if n[:8] == "average/"}
    assert averages.keys() == best.keys()
    for name, array in best.items():
        np.testing.assert_array_equal(array, averages[name])
    assert any(not np.array_equal(best[name], latest[name]) for name in best)


def test_evaluate_measures_the_averages_as_the_training_did(complete, world):
    from imagefec.analysis.evaluate import evaluate_run

    result = evaluate_run(complete, world.data_dir)
    history = dict(json.loads((complete / "history.json").read_text())["eval"]["metrics/tpa"])
    assert result["tpa"] == pytest.approx(history[result["step"]], abs=1e-9)
    settings = json.loads((complete / "settings.json").read_text())
    assert settings["training.ema_decay"] == 0.5


def test_a_resumed_run_ends_with_the_averages_of_an_uninterrupted_one(train, complete, tmp_path):
    train(tmp_path / "parts", EMA, "training.steps = 2")
    train(tmp_path / "parts", EMA)
    assert_equal_arrays(tmp_path / "parts", complete)


@pytest.mark.slow
def test_a_run_may_begin_and_end_an_average_when_it_resumes(train, tmp_path, caplog):
    train(tmp_path / "run", "training.steps = 2")
    train(tmp_path / "run", "training.steps = 3", EMA)
    assert "the average starts from its weights" in caplog.text
    assert any(name.startswith("average/") for name in arrays_of(tmp_path / "run"))
    train(tmp_path / "run")  # without
    assert not any(name.startswith("average/") for name in arrays_of(tmp_path / "run"))


@pytest.mark.slow
def test_a_killed_run_resumes_with_its_average(world, complete, tmp_path):
    run_dir = tmp_path / "killed"
    arguments = [
        *command(run_dir, world.data_dir, 4)[:6],
        f"--data_dir={world.data_dir}",
        f"--config={EMA}",
    ]
    victim = subprocess.Popen(
        arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT
    )
    deadline = time.monotonic() + 180
    while not (run_dir / "model.npz").is_file() and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(victim.pid, signal.SIGKILL)
    assert victim.wait() == -signal.SIGKILL, "the run ended before it could be killed"
    done = subprocess.run(arguments, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0 and "resuming from step" in done.stderr, done.stderr
    assert_equal_arrays(run_dir, complete)


@pytest.mark.slow
def test_the_average_on_8_devices_equals_that_of_one(world, tmp_path):
    for devices in (1, 8):
        done = subprocess.run(
            command(tmp_path / str(devices), world.data_dir, 3, EMA),
            env=environment(devices),
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
    one, eight = arrays_of(tmp_path / "1"), arrays_of(tmp_path / "8")
    names = [name for name in one if name.startswith("average/")]
    assert len(names) > 10 and one.keys() == eight.keys()
    for name in names:
        np.testing.assert_allclose(one[name], eight[name], atol=1e-3, err_msg=name)
