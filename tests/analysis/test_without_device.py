"""Every command that computes says why JAX has no device, with exit code 2."""

import os
import subprocess
import sys

import pytest

COMMANDS = {
    "train": "train --config_file=smoke.gin --output_dir={tmp}/run --data_dir={data}",
    "train in bfloat16": "train --config_file=smoke.gin --config=training.precision='bfloat16' "
    "--output_dir={tmp}/run --data_dir={data}",
    "evaluate": "evaluate --run={run} --data_dir={data} --split=train",
    "embed": "embed --run={run} --out={tmp}/out.npz {faces}",
    "gallery": "gallery --run={run} --data_dir={data} --split=train --out={tmp}/gallery",
    "report": "report --runs {run} --data_dir={data} --split=train --out={tmp}/report",
}
# In one process: the import of TensorFlow would take most of the time.
RUN_ALL = """
import json, sys
from imagefec import cli
print(json.dumps([cli.main(arguments) for arguments in json.loads(sys.argv[1])]))
"""


def test_every_command_that_computes_names_the_platform(run, data_dir, faces_dir, tmp_path):
    import json

    places = {"run": run, "data": data_dir, "faces": faces_dir, "tmp": tmp_path}
    commands = [
        [part.format(**places) for part in command.split(" ") if part]
        for command in COMMANDS.values()
    ]
    done = subprocess.run(
        [sys.executable, "-c", RUN_ALL, json.dumps(commands)],
        env={**os.environ, "JAX_PLATFORMS": "tpu", "TPU_LIBRARY_PATH": str(tmp_path / "none")},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.stdout.splitlines()[-1] == str([2] * len(COMMANDS)), done.stderr
    said = [line for line in done.stderr.splitlines() if line.startswith("imagefec ")]
    for name, line in zip(COMMANDS, said, strict=True):
        verb = name.split()[0]
        assert line.startswith(f"imagefec {verb}: JAX_PLATFORMS=tpu: JAX found no such device (")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("platform", ["cuda", "nonsense"])
def test_doctor_explains_the_platform_and_does_not_advise_to_reinstall(platform):
    done = subprocess.run(
        [sys.executable, "-m", "imagefec", "doctor"],
        env={**os.environ, "JAX_PLATFORMS": platform, "CUDA_VISIBLE_DEVICES": "-1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    [problem] = [line for line in done.stdout.splitlines() if "JAX" in line and "problem" in line]
    assert f"JAX_PLATFORMS={platform}: JAX found no such device" in problem
    assert "JAX_PLATFORMS=cpu" in problem and "pip install -e" not in problem
    assert done.returncode == 0
