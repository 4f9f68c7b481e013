"""Latency, fairness and memory of `imagefec serve`, measured by clients of a real server.

    python benchmarks/serve.py latency clients memory

Without --run the model is a ResNet-50 at 128 px with random weights: time does not depend on them.
"""

import argparse
import asyncio
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import psutil
from websockets.asyncio.client import ClientConnection, connect

from imagefec.export import onnx
from imagefec.faces.synthetic import photo
from imagefec.faces.synthetic.heads import expressions, people
from imagefec.model.network.architecture import Architecture
from imagefec.model.network.graph import network_of
from imagefec.model.network.load import folded, stored_arrays, with_arrays

WIDTH, HEIGHT = 640, 480
WARM_UP = 20


def main() -> None:
    """Runs the measurements that are named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="+", choices=("latency", "clients", "memory"))
    parser.add_argument("--run", type=Path, help="run, archive or .onnx file")
    parser.add_argument("--frames", type=int, default=300, help="of latency")
    parser.add_argument("--repeats", type=int, default=3, help="of latency")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=20, help="of clients")
    parser.add_argument("--memory_frames", type=int, default=10_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = options.run or write_resnet50(Path(folder, "resnet50.onnx"))
        frames = [frame(word) for word in ("neutral", "contentment", "surprise", "anger")]
        with server(model) as (url, process):
            for what in options.what:
                measure = {"latency": latency, "clients": clients, "memory": memory}[what]
                asyncio.run(measure(url, process, frames, options))


def write_resnet50(path: Path) -> Path:
    """Writes ImageFEC's default network at 128 px with random weights."""
    network = network_of(Architecture(), 128)
    rng = np.random.default_rng(0)
    arrays = {
        name: rng.normal(0, (2 / max(np.prod(array.shape[:-1]), 1)) ** 0.5, array.shape)
        if len(array.shape) > 1
        else rng.uniform(0.5, 1, array.shape)
        for name, array in stored_arrays(network).items()
    }
    onnx.write_onnx(folded(with_arrays(network, arrays)), path, {})
    return path


def frame(word: str) -> bytes:
    """A JPEG of 640 x 480 pixels with one synthetic face, as the page sends it."""
    rng = np.random.default_rng(3)
    person = people.sample_person(np.random.default_rng(7))
    head, _ = photo.render_photo(rng, [(person, expressions.PROTOTYPES[word])])
    picture = np.full((HEIGHT, WIDTH, 3), 150, np.uint8)
    side = 400
    top, left = (HEIGHT - side) // 2, (WIDTH - side) // 2
    picture[top : top + side, left : left + side] = cv2.resize(head, (side, side))
    return cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes()


@contextlib.contextmanager
def server(model: Path) -> Iterator[tuple[str, psutil.Process]]:
    """Starts the server; prints how long it takes until it answers, and its memory."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "imagefec", "serve", f"--run={model}", "--port=0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip().replace("http", "ws") + "ws"
        ready_s = time.perf_counter() - began
        watched = psutil.Process(process.pid)
        cpu = watched.cpu_times()
        print(
            f"ready after {ready_s:.1f} s ({cpu.user + cpu.system:.1f} s of CPU), "
            f"{resident_mb(watched):.0f} MB"
        )
        yield url, watched
    finally:
        process.terminate()
        process.wait()


async def latency(
    url: str, process: psutil.Process, frames: list[bytes], options: argparse.Namespace
) -> None:
    """One client, one frame in flight: from sending a frame to having its tone."""
    print("| frame to tone: p50, ms | p95 | answers/s | CPU per frame, ms | face found |")
    print("|---|---|---|---|---|")
    for _ in range(options.repeats):
        async with connect(url, compression=None) as socket:
            for i in range(WARM_UP):
                await ask(socket, frames[i % len(frames)])
            cpu, began = cpu_s(process), time.perf_counter()
            took, found = [], 0
            for i in range(options.frames):
                start = time.perf_counter()
                answer = await ask(socket, frames[i % len(frames)])
                took.append(1000 * (time.perf_counter() - start))
                found += answer["box"] is not None
            wall_s = time.perf_counter() - began
            p50, p95 = np.percentile(took, [50, 95])
            per_frame = 1000 * (cpu_s(process) - cpu) / options.frames
            print(
                f"| {p50:.1f} | {p95:.1f} | {options.frames / wall_s:.1f} | {per_frame:.1f} "
                f"| {found / options.frames:.0%} |"
            )


async def clients(
    url: str, process: psutil.Process, frames: list[bytes], options: argparse.Namespace
) -> None:
    """Several clients that each send as fast as they get answers."""
    end = time.perf_counter() + options.seconds

    async def client() -> tuple[int, float]:
        took = []
        async with connect(url, compression=None) as socket:
            while (start := time.perf_counter()) < end:
                await ask(socket, frames[len(took) % len(frames)])
                took.append(1000 * (time.perf_counter() - start))
        return len(took), float(np.median(took))

    results = await asyncio.gather(*(client() for _ in range(options.clients)))
    counts = [count for count, _ in results]
    print(
        f"{options.clients} clients, {options.seconds:g} s: answers of each {sorted(counts)}, most "
        f"/ fewest {max(counts) / min(counts):.3f}, median ms of each "
        f"{[round(p50) for _, p50 in results]}; {resident_mb(process):.0f} MB"
    )


async def memory(
    url: str, process: psutil.Process, frames: list[bytes], options: argparse.Namespace
) -> None:
    """Resident memory of the server after a tenth of the frames, and after all."""
    print("| frames | resident, MB |")
    print("|---|---|")
    tenth = options.memory_frames // 10
    async with connect(url, compression=None) as socket:
        for i in range(1, options.memory_frames + 1):
            await ask(socket, frames[i % len(frames)])
            if i % tenth == 0:
                print(f"| {i:,} | {resident_mb(process):.1f} |", flush=True)


async def ask(socket: ClientConnection, data: bytes) -> dict:
    """Sends a frame and waits for its answer."""
    await socket.send(data)
    return json.loads(await socket.recv())


def cpu_s(process: psutil.Process) -> float:
    """CPU seconds of a process so far."""
    times = process.cpu_times()
    return times.user + times.system


def resident_mb(process: psutil.Process) -> float:
    """Resident memory, MB."""
    return process.memory_info().rss / 1e6


if __name__ == "__main__":
    main()
