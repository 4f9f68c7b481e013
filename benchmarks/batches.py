"""Images per second from a face store to batches on the device, and bytes that a step copies.

    python benchmarks/batches.py

Prints a Markdown table. A store of random faces is opened as training opens it; batches of triplets
are sampled, gathered and placed by training's own FaceInput, prefetch thread included. Nothing
trains meanwhile. "index" reads faces through a permutation, as fec/index does. "cold" is after the
system was told to drop the file from its cache, "warm" after one read. In the last rows all faces
are on the device, so that a step copies only indices and labels. Ratios are to the images per
second that a training step consumes on two cores: --eats, measured by benchmarks/train_step.py.
"""

import argparse
import os
import pathlib
import tempfile
import time

import numpy as np

from imagefec.data.store.face_store import FACES, NAMES, FaceStore, write_names
from imagefec.data.store.triplets import Triplets

# Side in pixels, faces per batch, images/s that a step consumes, faces in the store.
CASES = ((128, 24, 31.0, 20_000), (64, 96, 1250.0, 60_000))
N_TRIPLETS = 100_000


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--eats",
        type=float,
        nargs=2,
        default=[case[2] for case in CASES],
        help="images/s of a step at 128 px and at 64 px (default: %(default)s)",
    )
    parser.add_argument(
        "--seconds", type=float, default=5.0, help="of each measurement (default: %(default)s)"
    )
    parser.add_argument(
        "--folder",
        help="where the banks are made and deleted (default: the system's temporary folder)",
    )
    arguments = parser.parse_args()
    print(
        "| px | batch | faces | faces from | images/s | against a step | bytes per step |\n"
        + "|---" * 7
        + "|"
    )
    for (px, batch, _, n), eats in zip(CASES, arguments.eats, strict=True):
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            write_bank(pathlib.Path(folder), n, px)
            for source in ("bank, cold", "bank, warm", "index, warm", "device"):
                per_s, copied = measure(pathlib.Path(folder), px, batch, source, arguments.seconds)
                print(
                    f"| {px} | {batch} | {n:,} | {source} | {per_s:,.0f} | {per_s / eats:,.0f}x | "
                    f"{copied:,} |",
                    flush=True,
                )


def write_bank(folder: pathlib.Path, n: int, px: int) -> None:
    random = np.random.default_rng(0)
    faces = np.lib.format.open_memmap(folder / FACES, "w+", np.uint8, (n, px, px, 3))
    for start in range(0, n, 1000):
        faces[start : start + 1000] = random.integers(
            0, 256, faces[start : start + 1000].shape, np.uint8
        )
    faces.flush()
    with (folder / NAMES).open("w") as file:
        write_names(
            file, [(f"{row:020x}", f"https://photos.example/{row}.jpg") for row in range(n)]
        )


def measure(
    folder: pathlib.Path, px: int, batch: int, source: str, seconds: float
) -> tuple[float, int]:
    """(images a second, bytes that a batch copies to the device)."""
    from imagefec.data.samplers import TripletSampler
    from imagefec.training.config import UdaConfig
    from imagefec.training.input import FaceInput
    from imagefec.training.step.mesh import all_devices

    if source.endswith("cold"):
        forget(folder / FACES)
    else:
        (folder / FACES).read_bytes()
    bank = FaceStore.open(folder, px)
    random = np.random.default_rng(1)
    if source.startswith("index"):
        bank = bank.part(random.permutation(len(bank)))
    rows, votes = (
        random.integers(len(bank), size=(N_TRIPLETS, 3), dtype=np.int32),
        np.zeros((N_TRIPLETS, 3), np.int32),
    )
    types, agreement = votes[:, 0].astype(np.int8), votes[:, 0].astype(np.float32)
    data = Triplets(bank.faces, bank.face_ids, bank.urls, rows, types, votes, agreement)
    faces = FaceInput(
        TripletSampler(data, batch // 3, seed=0),
        0,
        all_devices(),
        UdaConfig(),
        device_resident=source == "device",
    )
    batches = faces.batches(0)
    try:
        n, start, copied = 0, time.perf_counter(), 0
        for placed in batches:
            placed[0].block_until_ready()
            copied = sum(array.nbytes for array in placed)
            n += batch
            if time.perf_counter() - start > seconds:
                break
        return n / (time.perf_counter() - start), copied
    finally:
        batches.close()


def forget(path: pathlib.Path) -> None:
    """Has the system write the file to disk and drop it from its cache."""
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)


if __name__ == "__main__":
    main()
