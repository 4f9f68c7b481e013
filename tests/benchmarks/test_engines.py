"""The benchmark of the engines, on a small run and few calls."""

import os
import re
import subprocess
import sys
from pathlib import Path

import imagefec
from tests.model.network.small_runs import write_run

SCRIPT = Path(imagefec.__file__).parents[1] / "benchmarks/engines.py"


def test_every_engine_has_a_row(tmp_path):
    settings = {"d_hidden": 2, "block": "basic", "stage_blocks": [1]}
    run = write_run(tmp_path / "run", settings, 17)
    done = subprocess.run(
        [sys.executable, SCRIPT, f"--run={run}", "--rounds=2", "--formats", "onnx", "stablehlo"],
        env={**os.environ, "PYTHONPATH": str(SCRIPT.parents[1])},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    rows = [line.strip("| ").split(" | ") for line in done.stdout.splitlines()[2:]]
    assert [row[0] for row in rows] == ["Embedder (jax.jit)", "onnxruntime", "stablehlo"]
    assert rows[0][2] == "1.00"
    assert all(re.fullmatch(r"\d+\.\d\d", number) for row in rows for number in row[1:])
