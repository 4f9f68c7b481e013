"""Without TensorFlow Trax trains, and what requires TensorFlow says so."""

import subprocess
import sys

import pytest

from imagefec.with_tensorflow import has_tensorflow, import_tensorflow
from tests import no_tensorflow
from tests.model.network.small_runs import SETTINGS, write_run

TRAIN = """
import importlib.util, sys
from imagefec.compat import optimizers, tl, training
import numpy as np

assert importlib.util.find_spec("tensorflow") is None
assert not {name for name in sys.modules if name.startswith("tensorflow.")}

def batches():
    rng = np.random.default_rng(0)
    while True:
        inputs = rng.normal(size=(16, 3)).astype(np.float32)
        yield inputs, inputs.sum(1, keepdims=True), np.ones((16, 1), np.float32)

task = training.TrainTask(batches(), tl.L2Loss(), optimizers.Adam(0.1), n_steps_per_checkpoint=20)
loop = training.Loop(tl.Serial(tl.Dense(1)), [task])
loop.run(200)
print(np.abs(np.array(loop.model.weights[0][0]) - 1).max())
"""


def run(folder, *command):
    return subprocess.run(
        [sys.executable, *map(str, command)],
        env=no_tensorflow.environment(folder / "hidden"),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_trax_trains_where_tensorflow_is_missing_and_its_stubs_are_gone(tmp_path):
    done = run(tmp_path, "-c", TRAIN)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.split()[-1]) < 0.1  # the sum's weights are 1


def test_tfds_works_after_trax_was_imported_without_tensorflow(tmp_path):
    done = run(
        tmp_path,
        "-c",
        "import imagefec.compat, tensorflow_datasets as tfds\n"
        "print(tfds.core.ReadInstruction.from_spec('train[5:9]'))",
    )
    assert done.returncode == 0, done.stderr
    assert "train[5:9]" in done.stdout


def test_an_export_that_requires_tensorflow_says_so_and_the_others_work(tmp_path):
    model = write_run(tmp_path / "run", SETTINGS, 17)
    for name, code in (("savedmodel", 2), ("tflite", 2), ("onnx", 0)):
        out = tmp_path / f"out.{name}"
        done = run(
            tmp_path,
            "-m",
            "imagefec",
            "export",
            f"--run={model}",
            f"--format={name}",
            f"--out={out}",
        )
        assert done.returncode == code, done.stderr
        assert out.exists() == (code == 0)
        if code:
            said = done.stderr.strip().splitlines()[-1]
            assert "requires TensorFlow, which is not installed. Run pip install" in said
            assert "--format=onnx" in said


@pytest.mark.skipif(not has_tensorflow(), reason="TensorFlow is not installed")
def test_tensorflow_is_imported_where_it_is_installed():
    assert import_tensorflow("this test").__name__ == "tensorflow"
