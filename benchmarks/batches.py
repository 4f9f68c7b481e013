"""Images per second from a face store to batches on the device, and bytes that a step copies.

    python benchmarks/batches.py

Prints a Markdown table. A store of random faces is opened as training opens it; batches of triplets
are sampled, gathered and placed by training's own FaceInput, prefetch thread included. Nothing
trains meanwhile. "index" reads faces through a permutation, as fec/index does. "cold" reads a file
that the system has dropped from its cache, "warm" a file that was read once before. For "device"
all faces are on the device, so that a step copies only indices and labels. Ratios are to the images
per second that a training step consumes on two cores: --step_images_per_s, measured by
benchmarks/train_step.py.
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
        "--step_images_per_s",
        "--eats",  # the former name
        type=float,
        nargs=2,
        default=[case[2] for case in CASES],
        help="images/s that a step consumes at 128 px and at 64 px (default: %(default)s)",
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=5.0,
        help="length of each measurement (default: %(default)s)",
    )
    parser.add_argument(
        "--folder",
        help="where stores are written and deleted (default: the system's temporary folder)",
    )
    arguments = parser.parse_args()
    print(
        "| px | batch | faces | faces from | images/s | ratio to a step's "
        "| copied per step, bytes |\n" + "|---" * 7 + "|"
    )
    for (px, batch, _, n), consumed in zip(CASES, arguments.step_images_per_s, strict=True):
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            write_store(pathlib.Path(folder), n, px)
            for source in ("store, cold", "store, warm", "index, warm", "device"):
                per_s, copied = measure(pathlib.Path(folder), px, batch, source, arguments.seconds)
                print(
                    f"| {px} | {batch} | {n:,} | {source} | {per_s:,.0f} "
                    f"| {per_s / consumed:,.0f}x | {copied:,} |",
                    flush=True,
                )


def write_store(folder: pathlib.Path, n: int, px: int) -> None:
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
    """(images per second, bytes that a batch copies to the device)."""
    from imagefec.data.samplers import TripletSampler
    from imagefec.training.config import UdaConfig
    from imagefec.training.input import FaceInput
    from imagefec.training.step.mesh import all_devices

    if source.endswith("cold"):
        drop_from_cache(folder / FACES)
    else:
        (folder / FACES).read_bytes()
    store = FaceStore.open(folder, px)
    random = np.random.default_rng(1)
    if source.startswith("index"):
        store = store.part(random.permutation(len(store)))
    data = Triplets(
        store.faces,
        store.face_ids,
        store.urls,
        triplets=random.integers(len(store), size=(N_TRIPLETS, 3), dtype=np.int32),
        types=np.zeros(N_TRIPLETS, np.int8),
        vote_counts=np.zeros((N_TRIPLETS, 3), np.int32),
        agreement=np.zeros(N_TRIPLETS, np.float32),
    )
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


def drop_from_cache(path: pathlib.Path) -> None:
    """Writes the file to disk and drops it from the system's cache."""
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)


if __name__ == "__main__":
    main()
