"""The benchmark of the augmentation's options, with few and small faces."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_table_has_every_option_and_the_defaults_have_factor_one():
    done = subprocess.run(
        [sys.executable, "benchmarks/augment.py", "--px=8", "--faces=2", "--rounds=1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    rows = [line.split(" | ") for line in done.stdout.splitlines() if line.startswith("| ")]
    assert [row[0] for row in rows[1:3]] == ["| defaults", "| rotation"] and len(rows) == 8
    assert rows[1][-1] == "1.00 |"
