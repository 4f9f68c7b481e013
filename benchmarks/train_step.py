"""Images per second of one training step: Image FEC and the same network in PyTorch, in turns.

    python benchmarks/train_step.py --case=resnet50         # 128 px, 24 images, d_hidden 64
    python benchmarks/train_step.py --case=resnet50-64px    # 64 px, 90 images; last maps 2x2
    python benchmarks/train_step.py --case=narrow           # 64 px, 96 images, d_hidden 8
    python benchmarks/train_step.py --case=loop             # training.Loop against the jitted step
    python benchmarks/train_step.py --case=quickstart       # quickstart.gin's network; bfloat16
    python benchmarks/train_step.py --case=gpu              # bfloat16, 128 px, two views; on a GPU

A step is augmentation, forward, backward and Adam's update on uint8 faces. Every contender runs in
a process of its own (TensorFlow, which Trax imports, and PyTorch do not work in one) and waits
during the turns of the others. A round gives each a few steps; the table shows the median of the
rounds, and the median of the first contender's speed-ups over each.

A turn's first step is not timed. A step returns its memory to the system, and a virtual machine's
host takes back pages that are free for seconds. A contender that has waited must get them again; a
step of a training run need not. An image is one view through the network: with two views, a face
counts twice. PyTorch is not a dependency of Image FEC; without it at --torch_python, its rows are
left out.
"""

import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import time

from train_step_network import D_EMBEDDING, FC_WIDTH, STAGE_BLOCKS

# case: (image side in pixels, faces per step, d_hidden, views, contenders); speed-ups are those of
# the first contender.
CASES = {
    "resnet50": (
        128,
        24,
        64,
        1,
        (
            "jax",
            "jax-ynnpack",
            "jax-plain-norm",
            "jax-small-pages",
            "jax-lax",
            "torch",
            "torch-channels-last",
        ),
    ),
    "resnet50-64px": (64, 90, 64, 1, ("jax", "jax-ynnpack", "torch", "torch-channels-last")),
    "narrow": (64, 96, 8, 1, ("jax", "jax-lax", "torch", "torch-channels-last")),
    "loop": (64, 96, 8, 1, ("jax-loop", "jax")),
    "quickstart": (48, 96, 24, 1, ("jax-quickstart-bfloat16", "jax-quickstart")),
    "gpu": (128, 768, 64, 2, ("jax-bfloat16", "torch-bfloat16")),
}
HUGE_PAGES = "glibc.malloc.hugetlb=1"  # what `imagefec train` sets for itself
# Dense matrix rate by the makers' data sheets. The first key contained in the device's name counts,
# so "H100 PCIe" precedes "H100".
BFLOAT16_TFLOPS = {
    "H200": 989.4,
    "H100 PCIe": 756,
    "H100": 989.4,
    "A100": 312,
    "L40S": 362,
    "L4": 121,
    "RTX 4090": 165.2,
    "TPU v6": 918,
    "TPU v5p": 459,
    "TPU v5": 197,
    "TPU v4": 275,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--case", choices=CASES, default="resnet50")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=3, help="steps per turn")
    parser.add_argument("--batch", type=int, help="faces per step instead of the case's")
    parser.add_argument("--only", nargs="+", help="contenders instead of the case's")
    parser.add_argument(
        "--torch_python",
        default=sys.executable,
        help="interpreter with PyTorch (default: this one)",
    )
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    px, n, d_hidden, views, contenders = CASES[arguments.case]
    n, contenders = arguments.batch or n, arguments.only or contenders
    if arguments.worker:
        _work(arguments.worker, px, n, d_hidden, views)
        return
    if subprocess.run(
        [arguments.torch_python, "-c", "import torch"], stderr=subprocess.DEVNULL
    ).returncode:
        contenders = [name for name in contenders if not name.startswith("torch")]
        print("PyTorch is not installed; its rows are left out.")
    workers, device = [], ""
    for name in contenders:
        worker, worker_device = _start(name, arguments.case, n, arguments.torch_python)
        workers.append((name, worker))
        device = device or worker_device
    seconds = _in_turns(workers, arguments.rounds, arguments.steps)
    print(
        f"\n{arguments.case}: {px} px, {n} faces per step, {views} view{'s' * (views > 1)} each, "
        f"d_hidden {d_hidden}, on {device}\n"
    )
    print(table(seconds, views * n, training_flops(px, d_hidden), _peak_tflops(device)))


def training_flops(px: int, d_hidden: int) -> float:
    """Floating-point operations of the network's products per image and training step.

    Three times those of the forward pass: the backward pass computes the gradients of the inputs
    and of the weights.
    """
    maps = -(-px // 2)
    products, channels = 49 * 3 * d_hidden * maps**2, d_hidden
    maps = -(-maps // 2)
    for stage, blocks in enumerate(STAGE_BLOCKS):
        filters = d_hidden * 2**stage
        for index in range(blocks):
            out = -(-maps // 2) if stage and not index else maps
            products += (
                channels * filters * maps**2 + (9 * filters + 4 * filters) * filters * out**2
            )
            products += 0 if index else channels * 4 * filters * out**2
            maps, channels = out, 4 * filters
    return 3 * 2 * (products + channels * FC_WIDTH + FC_WIDTH * D_EMBEDDING)


def table(
    seconds: dict[str, list[float]], images: int, flops: float, peak_tflops: float | None
) -> str:
    """Renders the results as Markdown.

    Args:
      seconds: contender -> seconds per step in each round.
      images: images per step.
      flops: floating-point operations per image.
      peak_tflops: the device's matrix rate in 10^12 operations per second; None if unknown.
    """
    first = next(iter(seconds))
    share = " | share of the bfloat16 matrix rate" if peak_tflops else ""
    lines = [
        f"| contender | images/s (median) | lowest .. highest{share} | speed-up of {first} |",
        "|---|---|---|---|" + "---|" * bool(share),
    ]
    for name, took in seconds.items():
        rate = images / statistics.median(took)
        ratio = statistics.median(other / own for other, own in zip(took, seconds[first]))
        of_peak = f" {100 * rate * flops / (peak_tflops * 1e12):.1f} % |" if peak_tflops else ""
        lines.append(
            f"| {name} | {rate:.1f} | {images / max(took):.1f} .. {images / min(took):.1f} |"
            f"{of_peak} {ratio:.2f} |"
        )
    return "\n".join(lines)


def _peak_tflops(device: str) -> float | None:
    return next((rate for name, rate in BFLOAT16_TFLOPS.items() if name in device), None)


def _start(name: str, case: str, n: int, torch_python: str) -> tuple[subprocess.Popen, str]:
    environment = dict(os.environ)
    if name != "jax-small-pages":
        environment["GLIBC_TUNABLES"] = HUGE_PAGES
    # The contenders of a GPU share its memory.
    environment.setdefault("XLA_PYTHON_CLIENT_MEM_FRACTION", "0.5")
    root = str(pathlib.Path(__file__).parents[1])
    environment["PYTHONPATH"] = os.pathsep.join(
        [root, *filter(None, [environment.get("PYTHONPATH")])]
    )
    worker = subprocess.Popen(
        [
            torch_python if name.startswith("torch") else sys.executable,
            __file__,
            f"--case={case}",
            f"--batch={n}",
            f"--worker={name}",
        ],
        env=environment,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    while not (line := worker.stdout.readline()).startswith("ready on "):
        if not line:
            raise SystemExit(
                f"{name}: the worker ended before it was ready (exit {worker.wait()})."
            )
    return worker, line.removeprefix("ready on ").strip()


def _in_turns(
    workers: list[tuple[str, subprocess.Popen]], rounds: int, steps: int
) -> dict[str, list[float]]:
    """Seconds per step of each worker, one per round; the first round is a warm-up and left out."""
    seconds: dict[str, list[float]] = {name: [] for name, _ in workers}
    for number in range(rounds + 1):
        for name, worker in workers:
            worker.stdin.write(f"{steps}\n")
            worker.stdin.flush()
            took = float(worker.stdout.readline())
            if number:
                seconds[name].append(took / steps)
    for _, worker in workers:
        worker.stdin.close()
        worker.wait()
    return seconds


def _work(name: str, px: int, n: int, d_hidden: int, views: int) -> None:
    """Runs a contender: reads numbers of steps from stdin and prints the seconds that they took."""
    if name.startswith("torch"):
        import train_step_torch as contender
    else:
        import train_step_jax as contender
    step, device = contender.step_of(name, px, n, d_hidden, views)
    step(2)
    print(f"ready on {device}", flush=True)
    for line in sys.stdin:
        step(1)
        start = time.perf_counter()
        step(int(line))
        print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    main()
