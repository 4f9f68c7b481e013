"""Disk, time and memory of fec's two layouts on synthetic faces: triplets and index.

    python benchmarks/layouts.py --triplets 10000 100000 450000 --layouts triplets
    python benchmarks/layouts.py --triplets 10000 100000 450000 --layouts index

The first command requires 45 GB in --folder. Prints a Markdown row for each size and layout. 2,900
faces are rendered, fetched and cropped by `imagefec draw`, `fetch` and `crop`. The others are hard
links to the same PNG files under other URLs and ids, up to 0.29 per triplet as in FEC's training
set; triplets sample them at random. They are built with `tfds build` and loaded by
datasets.load_triplets at --px: first into a face store, then from it. Each step has its own
process; a load is timed after the imports. CPU seconds of all cores are in parentheses; other load
affects them less. Memory is the peak of RssAnon, read twenty times per second, so it excludes pages
of mapped files, which the system may reclaim. Disk is the size of the final files; TFDS shuffles
through temporary files.
"""

import argparse
import os
import pathlib
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time

import numpy as np

from imagefec.data import fec_csv
from imagefec.data.crop import face_folder
from imagefec.fec import TripletType, csv_file_name

ROOT = pathlib.Path(__file__).parents[1]
CSV_NAME = csv_file_name("train")
FACES_PER_TRIPLET = 130_516 / 449_142
N_RENDERED = 2900
LAYOUTS = {  # name: (configs built, dataset loaded)
    "triplets": (("triplets",), "fec/triplets"),
    "index": (("faces", "index"), "fec/index"),
}
LOAD = """
import sys, time
import tensorflow, tensorflow_datasets
from imagefec.data.store import datasets
wall, cpu = time.perf_counter(), time.process_time()
data = datasets.load_triplets(sys.argv[1], sys.argv[2], "train", int(sys.argv[3]))
print(f"seconds {time.perf_counter() - wall:.2f} ({time.process_time() - cpu:.2f})")
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--triplets", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--layouts", choices=LAYOUTS, nargs="+", default=list(LAYOUTS))
    parser.add_argument(
        "--px", type=int, default=128, help="side of the faces in the store (default: %(default)s)"
    )
    parser.add_argument(
        "--folder", help="where all files are written and deleted (default: the temporary folder)"
    )
    arguments = parser.parse_args()
    print(
        "| layout | triplets | faces | dataset, MB | bytes per triplet | store, MB | build, s (CPU)"
        " | first load, s (CPU) | second load, s (CPU) | memory: build, MB | first load "
        "| second load |\n" + "|---" * 12 + "|"
    )
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        rendered = render_faces(pathlib.Path(folder) / "rendered")
        for n in arguments.triplets:
            manual = write_manual_dir(pathlib.Path(folder) / "manual", rendered, n)
            for layout in arguments.layouts:
                data_dir = pathlib.Path(folder) / "data"
                cells = measure(layout, n, manual, data_dir, arguments.px)
                print(f"| {layout} | {n:,} | {n_faces(n):,} | {cells} |", flush=True)
                shutil.rmtree(data_dir)
            shutil.rmtree(manual)


def render_faces(folder: pathlib.Path) -> pathlib.Path:
    """Renders, fetches and crops over N_RENDERED faces, since some are in no usable triplet."""
    commands = (
        ["draw", folder, f"--faces={N_RENDERED * 3 // 2}", f"--triplets={N_RENDERED * 2}"],
        ["fetch", folder / CSV_NAME, "--cache", folder / "cache"],
        [
            "crop",
            folder / CSV_NAME,
            "--cache",
            folder / "cache",
            "--faces",
            folder / "faces",
            "--detector=none",
        ],
    )
    for command in commands:
        subprocess.run(
            [sys.executable, "-m", "imagefec", *command], check=True, capture_output=True, cwd=ROOT
        )
    return folder


def n_faces(n_triplets: int) -> int:
    return round(n_triplets * FACES_PER_TRIPLET)


def write_manual_dir(folder: pathlib.Path, rendered: pathlib.Path, n: int) -> pathlib.Path:
    """Writes n triplets and their faces as the builder's manual directory."""
    faces_dir = folder / "faces"
    faces_dir.mkdir(parents=True)
    shutil.copy(rendered / "faces" / "settings.json", faces_dir)
    records = face_folder.read_faces(rendered / "faces")
    refs = {
        face.face_id: face for row in fec_csv.read_rows(rendered / CSV_NAME) for face in row.faces
    }
    base = [refs[face_id] for face_id, record in sorted(records.items()) if record.kept][
        :N_RENDERED
    ]
    faces, lines = [], []
    for number in range(n_faces(n)):
        original = base[number % len(base)]
        face = fec_csv.FaceRef(f"{original.url}?{number // len(base)}", original.box)
        path = face_folder.face_path(faces_dir, face.face_id)
        path.parent.mkdir(exist_ok=True)
        os.link(records[original.face_id].path, path)
        lines.append(
            face_folder.manifest_line(face.face_id, face.url, face.box, "", "none", 1.0, False)
        )
        faces.append(face)
    (faces_dir / face_folder.MANIFEST).write_text(f"{face_folder.HEADER}\n" + "".join(lines))
    random = np.random.default_rng(0)
    raters = tuple(f"rater{number}" for number in range(6))
    fec_csv.write_rows(
        folder / CSV_NAME,
        (
            fec_csv.Row(
                line,
                tuple(faces[k] for k in _three_distinct(random, len(faces))),
                TripletType(line % 3),
                raters,
                (line % 3,) * 4 + (0, 1),
            )
            for line in range(1, n + 1)
        ),
    )
    return folder


def _three_distinct(random: np.random.Generator, n_faces: int) -> list[int]:
    while len(set(three := random.integers(n_faces, size=3).tolist())) < 3:
        pass
    return three


def measure(layout: str, n: int, manual: pathlib.Path, data_dir: pathlib.Path, px: int) -> str:
    """Builds and loads a layout; the other cells of its row, joined."""
    configs, dataset = LAYOUTS[layout]
    build_mb, wall, cpu = 0.0, time.perf_counter(), cpu_seconds()
    for config in configs:
        _, mb = run(
            "-m",
            "tensorflow_datasets.scripts.cli.main",
            "build",
            "tfds_builders/fec",
            f"--config={config}",
            f"--manual_dir={manual}",
            f"--data_dir={data_dir}",
        )
        build_mb = max(build_mb, mb)
    built = f"{time.perf_counter() - wall:.0f} ({cpu_seconds() - cpu:.0f})"
    dataset_bytes = disk(data_dir / "fec")
    loads = [run("-c", LOAD, str(data_dir), dataset, str(px)) for _ in range(2)]
    cells = [
        f"{dataset_bytes / 1e6:,.0f}",
        f"{dataset_bytes / n:,.0f}",
        f"{disk(data_dir / 'face_stores') / 1e6:,.0f}",
        built,
        *(seconds for seconds, _ in loads),
        f"{build_mb:.0f}",
        *(f"{mb:.0f}" for _, mb in loads),
    ]
    return " | ".join(cells)


def run(*command: str) -> tuple[str, float]:
    """Runs Python with these arguments.

    Returns:
      (the seconds that it printed, or "" if none; the peak of its anonymous memory, MB).
    """
    peak_kb = 0
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    with (
        tempfile.TemporaryFile("w+") as output,
        subprocess.Popen(
            [sys.executable, *command],
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env=environment,
        ) as process,
    ):
        while process.poll() is None:
            found = re.search(
                r"RssAnon:\s*(\d+) kB", pathlib.Path(f"/proc/{process.pid}/status").read_text()
            )
            peak_kb = max(peak_kb, int(found[1]) if found else 0)
            time.sleep(0.05)
        output.seek(0)
        text = output.read().strip()
    if process.returncode:
        sys.exit(f"{' '.join(command)} ended with {process.returncode}: {text[-2000:]}")
    seconds = re.search(r"^seconds (.+)$", text, re.MULTILINE)
    return seconds[1] if seconds else "", peak_kb / 1024


def cpu_seconds() -> float:
    """CPU seconds of all child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def disk(folder: pathlib.Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    main()
