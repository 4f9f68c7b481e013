"""Two processes train one model, as two hosts would, over JAX's distributed runtime."""

import json
import os
import pathlib
import socket
import subprocess
import sys

import numpy as np
import pytest

from imagefec.errors import UserError
from imagefec.model import checkpoint
from imagefec.training.config import HostsConfig

ROOT = pathlib.Path(__file__).parents[2]
STEPS = 4


def start(run_dir, data_dir, *bindings, devices=1):
    bindings = (
        "training.batch_triplets = 4",
        "training.steps_per_eval = 1",
        "uda_consistency.weight = 0.5",
        *bindings,
    )
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "imagefec",
            "train",
            "--config_file=smoke.gin",
            f"--output_dir={run_dir}",
            f"--data_dir={data_dir}",
            *(f"--config={binding}" for binding in bindings),
        ],
        cwd=ROOT,
        text=True,
        env={**os.environ, "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def finish(*processes):
    output = [process.communicate(timeout=300) for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes), output
    return output


def train_on_two_hosts(run_dir, data_dir, *bindings, devices=1):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return finish(
        *(
            start(
                run_dir,
                data_dir,
                f"hosts.coordinator = '127.0.0.1:{port}'",
                "hosts.processes = 2",
                f"hosts.process = {process}",
                *bindings,
                devices=devices,
            )
            for process in range(2)
        )
    )


def losses_of(run_dir):
    return np.array(
        [
            value
            for _, value in json.loads((run_dir / "history.json").read_text())["train"][
                "metrics/loss"
            ]
        ]
    )


@pytest.fixture(scope="module")
def on_one_host(world, tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("hosts") / "one"
    finish(start(run_dir, world.data_dir))
    return run_dir


@pytest.mark.parametrize("devices", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_two_hosts_train_the_same_model_as_one_and_only_the_first_reports(
    on_one_host, world, tmp_path, devices
):
    first, second = train_on_two_hosts(tmp_path / "two", world.data_dir, devices=devices)
    np.testing.assert_allclose(losses_of(tmp_path / "two"), losses_of(on_one_host), atol=1e-4)
    assert len(losses_of(tmp_path / "two")) == STEPS and not list((tmp_path / "two").rglob("*.tmp"))
    assert f"step {STEPS}/{STEPS}" in first[1] and "step" not in second[1]
    here, there = (
        checkpoint.load(run_dir / "model.npz")[0] for run_dir in (tmp_path / "two", on_one_host)
    )
    assert here.keys() == there.keys()


@pytest.mark.slow
def test_a_run_of_two_hosts_resumes_on_one(on_one_host, world, tmp_path):
    train_on_two_hosts(tmp_path / "run", world.data_dir, "training.steps = 2")
    ((_, stderr),) = finish(start(tmp_path / "run", world.data_dir))
    assert "resuming from step 2" in stderr
    np.testing.assert_allclose(losses_of(tmp_path / "run"), losses_of(on_one_host), atol=1e-4)


@pytest.mark.parametrize(("processes", "process"), [(None, 0), (2, None), (2, 2), (2, -1)])
def test_inconsistent_process_numbers_are_refused_before_any_connection(processes, process):
    with pytest.raises(
        UserError,
        match=r"each process requires the number of processes and its|hosts\.process is -1",
    ):
        HostsConfig("127.0.0.1:1", processes, process)
