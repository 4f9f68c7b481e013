"""The benchmark of `serve` with few frames and a small model."""

import subprocess
import sys
from pathlib import Path

from tests.serving.models import write_model

ROOT = Path(__file__).parents[2]


def test_the_benchmark_measures_latency_fairness_and_memory(tmp_path):
    model = write_model(tmp_path / "small.onnx")
    command = [sys.executable, "benchmarks/serve.py", "latency", "clients", "memory"]
    few = ["--frames=5", "--repeats=1", "--clients=3", "--seconds=1", "--memory_frames=20"]
    done = subprocess.run(
        [*command, f"--run={model}", *few], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert "ready after" in done.stdout and "3 clients, 1 s" in done.stdout
    (row,) = [line for line in done.stdout.splitlines() if line.endswith("| 100% |")]
    assert all(float(value) > 0 for value in row.strip("| ").split(" | ")[:4])
    assert "| 20 | " in done.stdout
