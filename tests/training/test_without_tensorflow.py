"""Training and evaluation from face stores that were built where TensorFlow is installed."""

import json
import shutil
import subprocess
import sys

import pytest

from imagefec.data.store import datasets
from tests import no_tensorflow

# In one process: the imports take most of the time.
RUN_ALL = """
import json, sys
from imagefec import cli
print(json.dumps([cli.main(arguments) for arguments in json.loads(sys.argv[1])]))
"""


@pytest.fixture
def run_all(tmp_path):
    """Runs commands in a process without TensorFlow; returns their exit codes and stderr."""

    def run_all(*commands):
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                RUN_ALL,
                json.dumps([list(map(str, each)) for each in commands]),
            ],
            env=no_tensorflow.environment(tmp_path / "hidden"),
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1]), done.stderr

    return run_all


def test_a_run_is_trained_measured_and_used_from_a_copied_face_store(world, run_all, tmp_path):
    data = shutil.copytree(world.data_dir, tmp_path / "data")
    for split in ("train", "test"):
        datasets.load_triplets(data, split=split, image_size=48)  # that of smoke.gin
    moved = shutil.copytree(data, tmp_path / "elsewhere")
    run, face = tmp_path / "run", next((world.manual_dir / "faces").rglob("*.png"))
    codes, said = run_all(
        ["train", "--config_file=smoke.gin", f"--output_dir={run}", f"--data_dir={moved}"],
        ["evaluate", f"--run={run}", f"--data_dir={moved}"],
        ["embed", f"--run={run}", face, f"--out={tmp_path / 'face.npz'}"],
    )
    assert codes == [0, 0, 0], said
    assert "TensorFlow is not installed: no files for TensorBoard are written" in said
    assert (run / "best.npz").is_file() and not (run / "train").exists()


def test_a_dataset_without_a_face_store_is_refused_with_what_to_do(world, run_all, tmp_path):
    data = shutil.copytree(
        world.data_dir, tmp_path / "data", ignore=shutil.ignore_patterns("face_stores")
    )
    [code], said = run_all(
        ["train", "--config_file=smoke.gin", f"--output_dir={tmp_path}/run", f"--data_dir={data}"]
    )
    assert code == 2
    last = said.strip().splitlines()[-1]
    assert f"{data}: reading the files of fec/triplets/" in last
    assert "requires TensorFlow, which is not installed. Run pip install 'tensorflow>=2.18'" in last
    assert f"copy {data} here, face_stores included" in last
