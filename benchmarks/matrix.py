"""Core tests on fresh installations: each Python with each JAX, Colab's image, no TensorFlow.

    pip install uv
    python benchmarks/matrix.py --pythons python3.11 python3.12 python3.13 --out=matrix \
      --page=docs/supported_versions.md

A cell is a fresh virtual environment with `pip install -e '.[test]' jax==X`, and the tests of CORE
in it. uv stands in for pip, because it links files from its cache: a minute a cell instead of ten.
The cell `colab` has the packages of Colab's image first, then ours over them by pip itself. The
cell `no TensorFlow` makes a small dataset and run with TensorFlow, uninstalls it, and runs
`commands_without_tensorflow` and the tests of LIGHT.

Each cell writes OUT/NAME.json when it ends, beside pytest's report NAME.xml, and is not run again
while that file exists; a failed installation is a result too. PAGE gets the table of all cells, and
the .json file beside it their results. A cell takes 4 GB of disk, which are freed. `--cells` runs
some cells only.
"""

import argparse
import itertools
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from typing import Any

from matrix_commands import commands_without_tensorflow, failures, say

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from imagefec import files  # noqa: E402

NEWEST = "newest"  # that the requirement and Python admit
JAX = ("0.7.2", "0.9.2", NEWEST)
COLAB = (  # on its image of 2026-08
    *("jax==0.7.2", "numpy==2.1.3", "tensorflow==2.20.0"),
    *("opencv-python==5.0.0.93", "protobuf==5.29.6"),
)
LIGHT = (  # require no dataset
    *("tests/compat", "tests/test_doctor.py", "tests/test_with_tensorflow.py"),
    *("tests/maths/test_losses.py", "tests/training/step/test_trainer.py"),
    *("tests/serving/test_engine.py", "tests/faces/detectors/test_blazeface.py"),
)
TRAINING = "tests/training/test_trainer.py::test_"
CORE = (  # of each room; the dataset is drawn, fetched, cropped, and built by tfds build
    *LIGHT,
    "tests/training/test_without_tensorflow.py",
    f"{TRAINING}a_run_writes_its_settings_checkpoints_and_history",
    f"{TRAINING}tensorboard_gets_the_measures_and_a_grid_of_views",
    f"{TRAINING}the_tpa_of_the_best_checkpoint_equals_that_of_evaluate",
    f"{TRAINING}a_resumed_run_ends_with_the_weights_of_an_uninterrupted_one",
)
PACKAGES = ("jax", "numpy", "tensorflow", "protobuf", "opencv-python-headless")
BEGIN, END = "<!-- begin: benchmarks/matrix.py -->\n", "<!-- end -->\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pythons", nargs="+", default=[sys.executable], help="interpreters")
    parser.add_argument("--jax", nargs="+", default=JAX, help=f"versions, or {NEWEST}")
    parser.add_argument("--cells", nargs="+", default=[], help="names of cells, in their order")
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--page", type=pathlib.Path, help="Markdown page whose table is replaced")
    parser.add_argument("--timeout_s", type=int, default=3600, help="of a cell's tests")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    pythons = {python_version(python).rpartition(".")[0]: python for python in args.pythons}
    names = [f"{version} jax {jax}" for version, jax in itertools.product(pythons, args.jax)]
    names += [f"{max(pythons, key=_numbers)} {special}" for special in ("colab", "no TensorFlow")]
    for name in args.cells or names:
        if name not in names:
            sys.exit(f"no cell {name!r}; there are {', '.join(names)}")
        path = args.out / f"{name.replace(' ', '-')}.json"
        if path.is_file():
            continue
        say(f"{name}: begins")
        version, _, kind = name.partition(" ")
        result = run_cell(pythons[version], kind, path.with_suffix(".xml"), args.timeout_s)
        files.write_text(path, json.dumps({"cell": name, **result}, indent=1) + "\n")
        say(f"{name}: {row(result)}")
    cells = [
        path for name in names if (path := args.out / f"{name.replace(' ', '-')}.json").exists()
    ]
    results = [json.loads(path.read_text()) for path in cells]
    if args.page:
        files.write_text(args.page.with_suffix(".json"), json.dumps(results, indent=1) + "\n")
        head, _, rest = args.page.read_text().partition(BEGIN)
        files.write_text(args.page, head + BEGIN + table(results) + END + rest.partition(END)[2])
    print(table(results))


def run_cell(python: str, kind: str, report: pathlib.Path, timeout_s: float) -> dict[str, Any]:
    """Installs and tests one cell in a temporary folder; see this file's head for the kinds."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="matrix-") as folder:
        place = pathlib.Path(folder)
        bin_dir = place / "venv" / "bin"
        result: dict[str, Any] = {"python": python_version(python), "commit": commit()}
        result |= install(python, place / "venv", kind)
        if result["install_error"] is None:
            result["failures"] = []
            tests: Sequence[str] = CORE
            if kind == "no TensorFlow":
                result["failures"], tests = commands_without_tensorflow(bin_dir, place), LIGHT
            result["versions"] = versions(bin_dir)
            doctor = subprocess.run(
                [bin_dir / "imagefec", "doctor", "--json"], capture_output=True, text=True
            )
            result["doctor"] = json.loads(doctor.stdout)["problems"] if doctor.stdout else None
            counts = run_tests(bin_dir, tests, report, timeout_s)
            result["failures"] += counts.pop("failures")
            result |= counts
        shutil.rmtree(place / "venv", ignore_errors=True)
    return {**result, "minutes": round((time.monotonic() - start) / 60, 1)}


def install(python: str, venv: pathlib.Path, kind: str) -> dict[str, Any]:
    """Makes the environment; returns install_error (None if it succeeded) and what pip said."""
    uv = ["uv", "pip", "install", "--quiet", "--python", venv / "bin/python"]
    ours = ["-e", f"{ROOT}[test]"]
    steps = [["uv", "venv", "--quiet", "--seed", "--python", python, venv]]
    if kind == "colab":
        pip = [venv / "bin/python", "-m", "pip", "install", "--no-input", "--progress-bar=off"]
        steps += [[*uv, *COLAB], [*pip, *ours]]
    else:
        version = kind.removeprefix("jax ")
        fixed = [] if version in (NEWEST, "no TensorFlow") else [f"jax=={version}"]
        steps += [[*uv, *ours, *fixed]]
    said = ""
    for step in steps:
        done = subprocess.run(step, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        said = done.stdout
        if done.returncode:
            return {"install_error": said.strip()[-1500:]}
    replaced = re.findall(r"Found existing installation: (.*)|(ERROR: .*|.* incompatible\.)", said)
    return {"install_error": None, "pip_replaced": [" ".join(each).strip() for each in replaced]}


def run_tests(
    bin_dir: pathlib.Path, tests: Sequence[str], report: pathlib.Path, timeout_s: float
) -> dict[str, Any]:
    """Runs pytest; returns passed, failed, skipped and the failures as texts."""
    report.unlink(missing_ok=True)
    command = [bin_dir / "python", "-m", "pytest", "-q", *tests, f"--junitxml={report}"]
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout_s,
        )
    except subprocess.TimeoutExpired:
        return {"failures": [f"the tests did not end within {timeout_s:g} s"]}
    if not report.is_file():
        return {"failures": [done.stdout.strip()[-1500:]]}
    suite = ET.parse(report).getroot()[0]
    n = {key: int(suite.attrib[key]) for key in ("tests", "failures", "errors", "skipped")}
    failed = n["failures"] + n["errors"]
    return {
        "passed": n["tests"] - failed - n["skipped"],
        "failed": failed,
        "skipped": n["skipped"],
        "failures": failures(suite),
    }


def versions(bin_dir: pathlib.Path) -> dict[str, str]:
    """Versions of PACKAGES that are installed, and of every other OpenCV."""
    code = "import importlib.metadata as m, json\nprint(json.dumps({d.name.lower(): d.version "
    code += "for d in m.distributions()}))"
    said = subprocess.run([bin_dir / "python", "-c", code], capture_output=True, text=True).stdout
    found = json.loads(said)
    return {name: found[name] for name in sorted(found) if name in PACKAGES or "opencv" in name}


def python_version(python: str) -> str:
    """The interpreter's own version."""
    code = "import platform; print(platform.python_version())"
    return subprocess.run(
        [python, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()


def commit() -> str:
    """The tested commit, with `-dirty` if files differ from it."""
    command = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.strip()


def table(results: Sequence[dict[str, Any]]) -> str:
    """The Markdown table of all cells."""
    head = ("Python", *PACKAGES[:-1], "OpenCV", "passed", "failed", "skipped", "first failure")
    lines = [head, ("---",) * len(head), *map(row_cells, results)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def row(result: dict[str, Any]) -> str:
    """A result in one line."""
    return " | ".join(row_cells(result))


def row_cells(result: dict[str, Any]) -> list[str]:
    """The columns of a result."""
    found = result.get("versions", {})
    opencv = [
        f"{name.removeprefix('opencv-python').strip('-') or 'desktop'} {version}"
        for name, version in found.items()
        if "opencv" in name
    ]
    problem = result["install_error"] or next(iter(result["failures"]), "")
    kind = result["cell"].partition(" ")[2] if "cell" in result else ""
    note = "" if kind.startswith("jax ") or not kind else f" ({kind})"
    return [
        result["python"] + note,
        *(found.get(name, "none") for name in PACKAGES[:-1]),
        ", ".join(opencv),
        *(str(result.get(key, "")) for key in ("passed", "failed", "skipped")),
        (problem.splitlines() or [""])[0][:100].replace("|", "\\|"),
    ]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


if __name__ == "__main__":
    main()
