"""How long a user waits at the start: imports, each verb's first line, the first embedding.

    python benchmarks/start.py --quickstart=quickstart

QUICKSTART is the output folder of `imagefec quickstart`. Each row is a process of its own, after a
first one that is not counted and fills the caches of files. Seconds are wall time from the start of
the process to its first byte on stdout or stderr, and for imports and embeddings to its end; the
median of the rounds. CPU seconds are those of the whole process; a verb is killed after its first
byte. The target: imports 0.2 s, first lines 1 s, the first embedding 5 s.
"""

import argparse
import os
import pathlib
import select
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

ROOT = pathlib.Path(__file__).resolve().parents[1]
IMPORTS = {
    "import imagefec": "import imagefec",
    "from imagefec import Embedder": "from imagefec import Embedder",
    "first embedding": "import sys; from imagefec import Embedder; "
    "Embedder.load(sys.argv[1]).embed([sys.argv[2]])",
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quickstart", type=pathlib.Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", default=[], help="rows to measure")
    args = parser.parse_args()
    face = next((args.quickstart / "fec" / "faces").rglob("*.png"))
    print("| what | seconds | CPU seconds |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as out:
        for name, code in IMPORTS.items():
            command = [sys.executable, "-c", code, str(args.quickstart / "run"), str(face)]
            row(name, command, args, to_end=True)
        for verb, given in verbs(args.quickstart, face, pathlib.Path(out)).items():
            command = [sys.executable, "-m", "imagefec", verb, *map(str, given)]
            row(f"{verb}: first line", command, args, to_end=False)
            if verb == "embed":
                row(f"{verb} of one face", command, args, to_end=True)


def verbs(done: pathlib.Path, face: pathlib.Path, out: pathlib.Path) -> dict[str, list[object]]:
    """Verb -> arguments that it works on."""
    csv_paths = sorted((done / "fec").glob("faceexp*.csv"))
    run, data, cache = f"--run={done / 'run'}", f"--data_dir={done / 'data'}", done / "cache"
    return {
        "quickstart": [f"--output_dir={out / 'quickstart'}"],
        "draw": [out / "drawn"],
        "fetch": [*csv_paths, f"--cache={out / 'cache'}"],
        "crop": [*csv_paths, f"--cache={cache}", f"--faces={out / 'faces'}"],
        "triplets": [done / "fec" / "faces", f"--out={out / 'own'}"],
        "split": [*csv_paths, f"--out={out / 'parted'}"],
        "train": ["--config_file=quickstart.gin", data, f"--output_dir={out / 'run'}"],
        "evaluate": [run, data],
        "embed": [run, face, f"--out={out / 'one.npz'}"],
        "gallery": [run, data, f"--out={out / 'gallery'}"],
        "map": [run, data, f"--out={out / 'map'}"],
        "export": [run, "--format=onnx", f"--out={out / 'run.onnx'}"],
        "serve": [run, "--port=0"],
        "judge": [done / "fec" / "faces", f"--out={out / 'judged'}", "--port=0"],
        "report": ["--runs", done / "run", data, f"--out={out / 'report'}"],
        "doctor": [],
    }


def row(name: str, command: Sequence[str], args: argparse.Namespace, to_end: bool) -> None:
    """Prints the medians of some rounds, after one that is not counted."""
    if args.only and name not in args.only:
        return
    times = [timed(command, to_end) for _ in range(args.rounds + 1)][1:]
    wall, cpu = (statistics.median(column) for column in zip(*times))
    print(f"| {name} | {wall:.2f} | {f'{cpu:.2f}' if to_end else ''} |", flush=True)


def timed(command: Sequence[str], to_end: bool) -> tuple[float, float]:
    """Wall and CPU seconds of a process, to its end or to its first byte."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    start = time.perf_counter()
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert process.stdout is not None
    if not to_end:
        select.select([process.stdout], [], [], 600)
        wall = time.perf_counter() - start
        process.kill()
    with process.stdout:
        said = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if to_end and process.returncode:
        sys.exit(f"{' '.join(command)}: {said.decode(errors='replace')}")
    wall = time.perf_counter() - start if to_end else wall
    return wall, round(used.ru_utime + used.ru_stime, 2)


if __name__ == "__main__":
    main()
