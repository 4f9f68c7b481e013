"""benchmarks/fetch.py: it runs, and its server limits the rate as documented."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "fetch.py"


@pytest.mark.parametrize(
    ("case", "options"),
    [
        ("speed", ["--photos=40", "--kilobytes=20"]),
        ("limit", ["--photos=60", "--kilobytes=5", "--rate=40", "--capacity=30"]),
        ("urls", ["--photos=60", "--kilobytes=5", "--refuse_one_in=1000"]),
        ("memory", ["--photos=40"]),
    ],
)
def test_a_small_run_prints_its_figures_and_loses_no_photo(case, options, tmp_path):
    environment = os.environ | {"PYTHONPATH": str(SCRIPT.parents[1])}
    done = subprocess.run(
        [sys.executable, SCRIPT, case, *options, f"--folder={tmp_path}"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    cells = done.stdout.splitlines()[-1].strip("| ").split(" | ")
    photos, kilobytes, seconds, per_second, n_throttled, lost, memory = map(float, cells)
    assert (photos, lost) == (float(options[0].removeprefix("--photos=")), 0)
    assert kilobytes == pytest.approx(
        {"speed": 20, "limit": 5, "urls": 5, "memory": 2}[case], rel=0.2, abs=1
    )
    assert (n_throttled > 0) == (case == "limit")
    assert 0 <= seconds < 60 and per_second > 0 and 10 < memory < 200
    assert not list(tmp_path.iterdir())
