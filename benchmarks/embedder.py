"""Throughput of Embedder.embed_batches over an iterator, against the bare forward pass; memory.

    python benchmarks/embedder.py --run=quickstart/run            # throughput
    python benchmarks/embedder.py memory --faces 20000 200000     # of a tiny network at 16 px

The bare forward pass is the compiled network on the same faces, already in batches, one batch after
the other. The two take turns; the ratio is the median over the rounds of the pass's time divided by
the embedder's. Memory is the peak resident set of one process after each number of faces.
"""

import argparse
import json
import pathlib
import resource
import statistics
import tempfile
import time
from typing import Any

import numpy as np

from imagefec.model import Embedder, checkpoint_file
from imagefec.model.network.architecture import Architecture
from imagefec.model.network.graph import network_of
from imagefec.model.network.load import stored_arrays

TINY: dict[str, Any] = {"d_hidden": 2, "fc_widths": [8], "block": "basic", "stage_blocks": [1]}
TINY_PX = 16


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", nargs="?", choices=("speed", "memory"), default="speed")
    parser.add_argument("--run", type=pathlib.Path, help="run directory (default: a tiny network)")
    parser.add_argument("--faces", type=int, nargs="+", default=[1024])
    parser.add_argument("--batch", type=int, default=256, help="faces per batch")
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        embedder = Embedder.load(args.run or tiny_run(pathlib.Path(folder)))
        for n in args.faces:
            if args.what == "speed":
                speed(embedder, n, args.batch, args.rounds)
            else:
                memory(embedder, n, args.batch)


def speed(embedder: Embedder, n: int, batch: int, rounds: int) -> None:
    faces = some_faces(n, embedder.image_size)
    batches = [faces[start : start + batch] for start in range(0, n - batch + 1, batch)]
    faces = faces[: len(batches) * batch]

    def bare() -> None:
        for each in batches:
            np.asarray(embedder._apply(embedder._weights, embedder._state, each))

    def whole() -> None:
        for _ in embedder.embed_batches((face for face in faces), batch):
            pass

    bare(), whole()  # compiles
    times: list[tuple[float, float, float, float]] = []
    for number in range(rounds):
        found = {}
        for use in (bare, whole) if number % 2 else (whole, bare):
            start, start_cpu = time.perf_counter(), time.process_time()
            use()
            found[use] = time.perf_counter() - start, time.process_time() - start_cpu
        times.append((*found[bare], *found[whole]))
    print("| px | batch | bare, faces/s | embedder, faces/s | ratio | ratio of CPU time |")
    print("|---|---|---|---|---|---|")
    print(
        f"| {embedder.image_size} | {batch} "
        f"| {len(faces) / statistics.median(t[0] for t in times):,.0f} "
        f"| {len(faces) / statistics.median(t[2] for t in times):,.0f} "
        f"| {statistics.median(t[0] / t[2] for t in times):.3f} "
        f"| {statistics.median(t[1] / t[3] for t in times):.3f} |"
    )


def memory(embedder: Embedder, n: int, batch: int) -> None:
    block = some_faces(500, embedder.image_size)
    start, total = time.perf_counter(), 0
    for vectors in embedder.embed_batches((block[i % 500] for i in range(n)), batch):
        total += len(vectors)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"| {total:,} | {time.perf_counter() - start:.0f} s | {peak_mb:.0f} MB |", flush=True)


def some_faces(n: int, size: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, size, size, 3), dtype=np.uint8)


def tiny_run(folder: pathlib.Path) -> pathlib.Path:
    """A run of sampled weights."""
    random = np.random.default_rng(0)
    arrays = {
        name: np.abs(random.normal(1, 0.1, array.shape)).astype(np.float32)
        if len(array.shape) == 1
        else random.normal(0, 0.2, array.shape).astype(np.float32)
        for name, array in stored_arrays(network_of(Architecture(**TINY), TINY_PX)).items()
    }
    info = {"format": 1, "model": TINY, "image_size": TINY_PX}
    (folder / "run.json").write_text(json.dumps(info))
    checkpoint_file.save(folder / "best.npz", arrays, {"step": 0})
    return folder


if __name__ == "__main__":
    main()
