"""The benchmarks of neighbours and of the Embedder, with few faces."""

import os
import subprocess
import sys
from pathlib import Path

import imagefec

ROOT = Path(imagefec.__file__).parents[1]


def run(*command):
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return [line.strip("| ").split(" | ") for line in done.stdout.splitlines()]


def test_every_search_has_a_row_and_the_trees_neighbours():
    few = ["--faces=5000", "--queries=20", "--tree_queries=5", "--rounds=2", "--kinds=random"]
    rows = run("benchmarks/neighbours.py", *few)[2:]
    assert [row[2] for row in rows][:2] == ["tree", "product"]
    assert all(row[-1] == "5 of 5" for row in rows)
    assert rows[0][-2] == "1.0" and all(float(row[4]) > 0 for row in rows)


def test_the_embedder_is_measured_with_a_tiny_network():
    [*_, row] = run("benchmarks/embedder.py", "--faces=32", "--batch=8", "--rounds=2")
    assert row[:2] == ["16", "8"] and all(float(cell.replace(",", "")) > 0 for cell in row[2:])
    rows = run("benchmarks/embedder.py", "memory", "--faces", "20", "40", "--batch=8")
    assert [row[0] for row in rows] == ["20", "40"]
