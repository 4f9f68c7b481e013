"""The benchmark of the gallery's page, with few faces."""

import subprocess
import sys
from pathlib import Path

from tests.analysis.gallery.walkable import gallery_faces, ties, write_page

ROOT = Path(__file__).parents[2]


def test_the_benchmark_measures_opening_walking_and_scrolling(tmp_path):
    write_page(tmp_path / "gallery.html", gallery_faces(ties()))
    command = [sys.executable, "benchmarks/gallery_page.py", tmp_path / "gallery.html"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "24 faces" in done.stdout and "2 queries" in done.stdout
    rows = [line.strip("| ").split(" | ") for line in done.stdout.splitlines()[4:]]
    assert len(rows) == 4 and all(float(row[1]) > 0 for row in rows)
