"""CPU time of one face in each engine that runs a network: the Embedder and the exported files.

    python benchmarks/engines.py                       # ResNet-50 at 128 px, sampled weights
    python benchmarks/engines.py --run=quickstart/run  # the network of a run
    python benchmarks/engines.py --faces=8             # per face, in batches of 8

Every engine has one thread. The engines take turns within one process, and the time is the CPU time
of the process, so that other load on the machine affects all of them alike. "ratio" is the median
over the rounds of the Embedder's time divided by the engine's in the same round.
"""

import argparse
import json
import os
import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable

# Before JAX and TensorFlow start.
os.environ["XLA_FLAGS"] = (
    f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_multi_thread_eigen=false"
    " intra_op_parallelism_threads=1"
)
os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["TF_NUM_INTEROP_THREADS"] = "1"

import numpy as np

from imagefec.export.build import export_run
from imagefec.export.onnx import embed, open_session
from imagefec.export.stablehlo import open_stablehlo
from imagefec.export.tensorflow import open_savedmodel, open_tflite
from imagefec.model import Embedder, checkpoint_file
from imagefec.model.network.architecture import Architecture
from imagefec.model.network.graph import network_of
from imagefec.model.network.load import stored_arrays

Engine = Callable[[np.ndarray], np.ndarray]
FORMATS = ("onnx", "tflite", "savedmodel", "stablehlo")
EMBEDDER = "Embedder (jax.jit)"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=pathlib.Path, help="run directory (default: a ResNet-50)")
    parser.add_argument("--faces", type=int, default=1, help="faces per call")
    parser.add_argument("--rounds", type=int, default=30, help="calls of each engine")
    parser.add_argument("--formats", nargs="*", choices=FORMATS, default=FORMATS)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = arguments.run or resnet50(pathlib.Path(folder, "resnet50"))
        engines, size = opened(run, pathlib.Path(folder), arguments.formats)
        faces = np.random.default_rng(0).integers(
            0, 256, (arguments.faces, size, size, 3), dtype=np.uint8
        )
        times = measured(engines, faces, arguments.rounds)
    print("| engine | CPU ms per face | ratio |")
    print("|---|---|---|")
    for name, found in times.items():
        ratio = statistics.median(a / b for a, b in zip(times[EMBEDDER], found))
        print(f"| {name} | {1000 * statistics.median(found) / arguments.faces:.2f} | {ratio:.2f} |")


def resnet50(folder: pathlib.Path) -> pathlib.Path:
    """A run of ImageFEC's defaults at 128 px with sampled weights, as fast as trained ones."""
    folder.mkdir()
    rng, size = np.random.default_rng(0), 128
    arrays = {
        name: np.abs(rng.normal(0, (2 / max(np.prod(array.shape[:-1]), 2)) ** 0.5, array.shape))
        if len(array.shape) == 1
        else rng.normal(0, (2 / np.prod(array.shape[:-1])) ** 0.5, array.shape)
        for name, array in stored_arrays(network_of(Architecture(), size)).items()
    }
    arrays = {name: array.astype(np.float32) for name, array in arrays.items()}
    (folder / "run.json").write_text(json.dumps({"format": 1, "model": {}, "image_size": size}))
    checkpoint_file.save(folder / "best.npz", arrays, {"step": 0})
    return folder


def opened(
    run: pathlib.Path, folder: pathlib.Path, formats: tuple[str, ...]
) -> tuple[dict[str, Engine], int]:
    """The engines by name, the Embedder first, and the side of their faces."""
    embedder = Embedder.load(run)
    engines: dict[str, Engine] = {EMBEDDER: embedder.embed}
    for form in formats:
        path = folder / form
        export_run(run, path, form)
        if form == "onnx":
            session = open_session(path)
            engines["onnxruntime"] = lambda faces, session=session: embed(session, faces)
        else:
            engines[form] = {
                "tflite": open_tflite,
                "savedmodel": open_savedmodel,
                "stablehlo": open_stablehlo,
            }[form](path)
    return engines, embedder.image_size


def measured(engines: dict[str, Engine], faces: np.ndarray, rounds: int) -> dict[str, list[float]]:
    """CPU seconds of each call of each engine, which take turns."""
    for engine in engines.values():
        for _ in range(2):
            engine(faces)  # compiles
    times: dict[str, list[float]] = {name: [] for name in engines}
    for _ in range(rounds):
        for name, engine in engines.items():
            start = time.process_time()
            engine(faces)
            times[name].append(time.process_time() - start)
    return times


if __name__ == "__main__":
    main()
