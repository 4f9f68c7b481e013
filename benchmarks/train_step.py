"""Images a second of one training step: Image FEC beside the same network in PyTorch, in turns on one machine.

    python benchmarks/train_step.py --case=resnet50         # 128 px, 24 images, d_hidden 64
    python benchmarks/train_step.py --case=narrow           # 64 px, 96 images, d_hidden 8
    python benchmarks/train_step.py --case=loop             # training.Loop's step against the bare jitted step
    python benchmarks/train_step.py --case=gpu              # bfloat16, 128 px, two views; wants an accelerator

A step is augmentation, forward, backward and Adam's update on uint8 faces. Every contender lives in a process of its own
(TensorFlow, which Trax imports, and PyTorch do not live in one) and waits while another has its turn; a round gives each
a few steps, and the table shows the median of the rounds and the ratio to the peer, round by round. PyTorch is no
dependency of Image FEC: without it (`pip install torch`) its rows are left out.
"""

import argparse
import importlib.util
import os
import pathlib
import statistics
import subprocess
import sys
import time

CASES = {  # case: (image side in pixels, images a batch, d_hidden, contenders; the first is the one that ratios are taken of)
    "resnet50": (128, 24, 64, ("jax", "jax-small-pages", "jax-lax", "torch", "torch-channels-last")),
    "narrow": (64, 96, 8, ("jax", "jax-lax", "torch", "torch-channels-last")),
    "loop": (64, 96, 8, ("jax-loop", "jax")),
    "gpu": (128, 768, 64, ("jax-bfloat16", "jax", "torch-bfloat16")),
}
HUGE_PAGES = "glibc.malloc.hugetlb=1"  # what `imagefec train` sets for itself


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", choices=CASES, default="resnet50")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=3, help="steps a turn")
    parser.add_argument("--batch", type=int, help="images a batch, over the case's own")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    px, n, d_hidden, contenders = CASES[arguments.case]
    n = arguments.batch or n
    if arguments.worker:
        return _work(_step_of(arguments.worker, px, n, d_hidden))
    if importlib.util.find_spec("torch") is None:
        contenders = [name for name in contenders if not name.startswith("torch")]
        print("PyTorch is not installed: no peer.")
    seconds = _in_turns([(name, _start(name, arguments.case, n)) for name in contenders], arguments.rounds, arguments.steps)
    _print(arguments.case, px, n, d_hidden, seconds)


def _start(name: str, case: str, n: int) -> subprocess.Popen:
    environment = dict(os.environ)
    if name != "jax-small-pages":
        environment["GLIBC_TUNABLES"] = HUGE_PAGES
    root = str(pathlib.Path(__file__).parents[1])
    environment["PYTHONPATH"] = os.pathsep.join([root, *filter(None, [environment.get("PYTHONPATH")])])
    worker = subprocess.Popen(
        [sys.executable, __file__, f"--case={case}", f"--batch={n}", f"--worker={name}"], env=environment, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    while (line := worker.stdout.readline()).strip() != "ready":
        if not line:
            raise SystemExit(f"{name}: the worker ended before it was ready (exit {worker.wait()}).")
    return worker


def _in_turns(workers: list[tuple[str, subprocess.Popen]], rounds: int, steps: int) -> dict[str, list[float]]:
    """Seconds a step of each worker, one figure a round; the first round warms up and is left out."""
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


def _print(case: str, px: int, n: int, d_hidden: int, seconds: dict[str, list[float]]) -> None:
    print(f"\n{case}: {px} px, {n} images a step, d_hidden {d_hidden}\n")
    first = next(iter(seconds))
    print(f"| contender | images/s (median) | lowest .. highest | {first} against it |\n|---|---|---|---|")
    for name, took in seconds.items():
        ratio = statistics.median(other / own for other, own in zip(took, seconds[first]))
        print(f"| {name} | {n / statistics.median(took):.1f} | {n / max(took):.1f} .. {n / min(took):.1f} | {ratio:.2f} |")


def _work(step) -> None:
    """Takes turns: a number of steps on stdin, their seconds on stdout."""
    step(2)
    print("ready", flush=True)
    for line in sys.stdin:
        start = time.perf_counter()
        step(int(line))
        print(time.perf_counter() - start, flush=True)


def _step_of(name: str, px: int, n: int, d_hidden: int):
    if name.startswith("torch"):
        return _torch_step(px, n, d_hidden, name)
    if name == "jax-loop":
        return _loop_step(px, n, d_hidden)
    return _jax_step(px, n, d_hidden, name)


def _faces(px: int, n: int):
    import numpy as np
    return np.random.default_rng(0).integers(0, 256, (n, px, px, 3), np.uint8)


def _jax_step(px: int, n: int, d_hidden: int, name: str):
    import jax
    import numpy as np

    from imagefec import compat  # noqa: F401
    from imagefec.model import ImageFEC, layers
    from imagefec.training.objectives import TripletLoss

    from trax import layers as tl  # isort: skip
    from trax import optimizers, shapes  # isort: skip

    if name == "jax-lax":  # every convolution as XLA's own
        layers.Conv._by_matmul = lambda self: False
    faces, types = _faces(px, n), np.zeros(n // 3, np.int8)
    model = tl.Serial(layers.Augment(), ImageFEC(d_hidden=d_hidden), TripletLoss())
    model.init(shapes.signature((faces, types)))
    optimizer = optimizers.Adam(1e-4)
    _, parameters = optimizer.tree_init(model.weights)

    def step(weights, state, slots, number, key, faces):
        def loss(weights):
            return model.pure_fn((faces, types), weights, state, key)
        (value, state), gradients = jax.value_and_grad(loss, has_aux=True)(weights)
        weights, slots, _ = optimizer.tree_update(number, gradients, weights, slots, parameters, store_slots=False)
        return value, weights, state, slots

    jitted = jax.jit(step, donate_argnums=(0, 1, 2))
    held = [model.weights, model.state, optimizer.slots]
    keys = iter(range(1 << 30))

    def run(steps: int) -> None:
        for _ in range(steps):
            number = next(keys)
            value, *held[:] = jitted(*held, number, jax.random.PRNGKey(number), faces)
        value.block_until_ready()
    return run


def _loop_step(px: int, n: int, d_hidden: int):
    raise SystemExit("the loop case is not written yet")


def _torch_step(px: int, n: int, d_hidden: int, name: str):
    import torch
    from torch import nn
    from torch.nn import functional

    class Bottleneck(nn.Module):
        def __init__(self, channels, filters, stride):
            super().__init__()
            def conv(c_in, c_out, size, stride=1):
                return [nn.Conv2d(c_in, c_out, size, stride, size // 2, bias=False), nn.BatchNorm2d(c_out)]
            self.main = nn.Sequential(*conv(channels, filters, 1), nn.ReLU(True), *conv(filters, filters, 3, stride),
                                      nn.ReLU(True), *conv(filters, 4 * filters, 1))
            same = stride == 1 and channels == 4 * filters
            self.shortcut = nn.Identity() if same else nn.Sequential(*conv(channels, 4 * filters, 1, stride))

        def forward(self, x):
            return torch.relu_(self.main(x) + self.shortcut(x))

    def network():
        layers = [nn.Conv2d(3, d_hidden, 7, 2, 3, bias=False), nn.BatchNorm2d(d_hidden), nn.ReLU(True), nn.MaxPool2d(3, 2, 1)]
        channels = d_hidden
        for stage, blocks in enumerate((3, 4, 6, 3)):
            for index in range(blocks):
                filters = d_hidden * 2 ** stage
                layers.append(Bottleneck(channels, filters, 2 if stage and not index else 1))
                channels = 4 * filters
        head = [nn.Linear(channels, 512), nn.ReLU(True), nn.Linear(512, 16)]
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), *head)

    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    model, faces = network().to(device), torch.from_numpy(_faces(px, n)).permute(0, 3, 1, 2).to(device)
    half = name == "torch-bfloat16"
    if half or name == "torch-channels-last":
        model, faces = model.to(memory_format=torch.channels_last), faces.contiguous(memory_format=torch.channels_last)
    forward = torch.compile(model) if half else model
    optimizer = torch.optim.Adam(model.parameters(), 1e-4)

    def augment(faces):
        share = 0.3 * torch.rand(n, device=device)
        side = (1 - share).sqrt()
        theta = torch.zeros(n, 2, 3, device=device)
        theta[:, 0, 0] = side * torch.where(torch.rand(n, device=device) < 0.5, -1.0, 1.0)
        theta[:, 1, 1] = side
        theta[:, :, 2] = (1 - side)[:, None] * (2 * torch.rand(n, 2, device=device) - 1)
        grid = functional.affine_grid(theta, list(faces.shape), align_corners=False)
        x = functional.grid_sample(faces.float(), grid, align_corners=False)
        factor = 0.9 + 0.2 * torch.rand(n, 2, 1, 1, 1, device=device)
        mean = x.mean((1, 2, 3), keepdim=True)
        return ((x - mean) * factor[:, 0] + mean * factor[:, 1]).clamp(0, 255) / 127.5 - 1

    def run(steps: int) -> None:
        for _ in range(steps):
            optimizer.zero_grad()
            with torch.autocast(device, torch.bfloat16, enabled=half):
                embeddings = forward(augment(faces))
            a, b, c = functional.normalize(embeddings.float()).view(-1, 3, 16).unbind(1)
            alike = (a - b).norm(dim=1)
            loss = sum(functional.relu(alike - (x - c).norm(dim=1) + 0.1).sum() for x in (a, b)) / (n // 3)
            loss.backward()
            optimizer.step()
        if device == "cuda":
            torch.cuda.synchronize()
    return run


if __name__ == "__main__":
    main()
