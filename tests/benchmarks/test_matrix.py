"""The matrix of versions: its table, and that setup.py and the page say what it found."""

import importlib.metadata
import json
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

import imagefec

ROOT = Path(imagefec.__file__).parents[1]
PAGE = ROOT / "docs/supported_versions.md"
VERSION = ".".join(platform.python_version_tuple()[:2])
PASSED = {
    "cell": f"{VERSION} jax 0.7.2",
    "python": "3.x.7",
    "install_error": None,
    "failures": ["test_a::test_b: a | b\nand more"],
    "versions": {
        "jax": "0.7.2",
        "numpy": "2.4.6",
        "tensorflow": "2.21.0",
        "protobuf": "6.33.6",
        "opencv-python": "5.0.0.93",
        "opencv-python-headless": "4.14.0.94",
    },
    **{"passed": 90, "failed": 1, "skipped": 2},
}
REFUSED = {
    "cell": f"{VERSION} colab",
    "python": "3.x.7",
    "install_error": "No solution found\nbecause",
}


def run(*arguments, cwd=ROOT):
    return subprocess.run(
        [sys.executable, ROOT / "benchmarks/matrix.py", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=cwd,
        capture_output=True,
        text=True,
    )


def test_cells_that_ended_are_not_run_again_and_have_a_row_each(tmp_path):
    for result in (PASSED, REFUSED):
        name = result["cell"].replace(" ", "-")
        (tmp_path / f"{name}.json").write_text(json.dumps(result))
    page = tmp_path / "page.md"
    page.write_text("Before.\n<!-- begin: benchmarks/matrix.py -->\nold\n<!-- end -->\nAfter.\n")
    cells = [result["cell"] for result in (PASSED, REFUSED)]
    done = run(f"--out={tmp_path}", f"--page={page}", "--cells", *cells)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    rows = (
        "| 3.x.7 | 0.7.2 | 2.4.6 | 2.21.0 | 6.33.6 | desktop 5.0.0.93, headless 4.14.0.94 "
        "| 90 | 1 | 2 | test_a::test_b: a \\| b |\n"
        "| 3.x.7 (colab) | none | none | none | none |  |  |  |  | No solution found |\n"
    )
    text = page.read_text()
    assert rows in text and "old" not in text
    assert text.startswith("Before.\n") and text.endswith("-->\nAfter.\n")
    assert json.loads(page.with_suffix(".json").read_text()) == [PASSED, REFUSED]


def test_a_cell_that_does_not_exist_is_refused_with_those_that_do(tmp_path):
    done = run(f"--out={tmp_path}", "--cells", "2.7 jax 0.7.2")
    assert done.returncode == 1
    assert f"there are {VERSION} jax 0.7.2, " in done.stderr


def supported():
    """The results of the page, those of plain installations."""
    results = json.loads(PAGE.with_suffix(".json").read_text())
    return [result for result in results if " jax " in result["cell"]]


def test_every_supported_version_was_installed_and_tested():
    assert supported()
    for result in supported():
        assert result["install_error"] is None, result["cell"]
        assert result["failures"] == [] and result["passed"] > 100


def test_the_package_admits_the_tested_versions_and_no_python_without_a_classifier():
    found = importlib.metadata.metadata("imagefec")
    classifiers = re.findall(r"Python :: (3\.\d+)$", "\n".join(found.get_all("Classifier")), re.M)
    admitted = SpecifierSet(found["Requires-Python"])
    assert [f"3.{n}" for n in range(8, 20) if f"3.{n}.0" in admitted] == sorted(classifiers)
    [jax] = [
        requirement.specifier
        for requirement in map(Requirement, importlib.metadata.requires("imagefec") or [])
        if requirement.name == "jax" and not requirement.marker
    ]
    tested = {result["python"].rpartition(".")[0] for result in supported()}
    assert sorted(tested) == sorted(classifiers)
    for result in supported():
        assert result["versions"]["jax"] in jax
