"""What each option of augmentation and regularisation does, on plain faces and under a shift.

    for seed in 0 1 2; do imagefec quickstart --output_dir=quickstart$seed --seed=$seed; done
    bash benchmarks/drawn_worlds.sh quickstart0/run sets pose box varied
    python benchmarks/augmentation_options.py quickstart? --sets=sets --out=options

Continues the run of each quickstart for --steps on its own plain faces, once with each option, and
prints the TPA on its validation split and on other drawn worlds (drawn_worlds.sh), less that of the
continuation without an option: mean over the seeds +- standard error of the mean. The differences
are paired: same start, same triplets, same random crops. Test splits are not used. Rerun the
command to resume.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

OPTIONS = {  # name in the table -> gin bindings
    "none": (),
    "rotation": ("Augment.rotation = 15",),
    "scale": ("Augment.scale = 0.15",),
    "translation": ("Augment.translation = 0.05",),
    "blur": ("Augment.blur = 0.3", "Augment.blur_sigma = 1.5"),
    "colour": ("Augment.saturation = 0.3", "Augment.hue = 10", "Augment.channel_gain = 0.1"),
    "grey": ("Augment.grey = 0.1",),
    "cutout": ("Augment.cutout = 1", "Augment.cutout_size = 0.3"),
    "dropout": ("ImageFEC.dropout = 0.2",),
    "label smoothing": ("OddOneOutCrossEntropy.label_smoothing = 0.1",),
    "weight decay": ("imagefec.Adam.weight_decay_rate = 1e-4",),
    "no moving average": ("training.ema_decay = 0",),
}


def main() -> None:
    """Trains what is missing, measures, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("quickstarts", nargs="+", type=pathlib.Path, help="one folder per seed")
    parser.add_argument("--sets", required=True, type=pathlib.Path, help="of drawn_worlds.sh")
    parser.add_argument("--worlds", nargs="+", default=["pose", "box", "varied"])
    parser.add_argument("--out", required=True, type=pathlib.Path, help="gets runs and figures")
    parser.add_argument("--options", nargs="+", default=list(OPTIONS), choices=list(OPTIONS))
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    args = parser.parse_args()

    with ThreadPoolExecutor(args.jobs) as pool:
        for _ in pool.map(lambda job: train(args, *job), jobs(args)):
            pass
    found = {job: measure(args, *job) for job in jobs(args)}
    splits = ["validation", *args.worlds]
    print(f"{'option':18}" + "".join(f"{split:>16}" for split in splits))
    for option in args.options:
        row = f"{option:18}"
        for split in splits:
            row += f"{shown(found, args.quickstarts, option, split):>16}"
        print(row)


def jobs(args: argparse.Namespace) -> Iterator[tuple[str, pathlib.Path]]:
    """Every option with every quickstart, "none" first."""
    for quickstart in args.quickstarts:
        for option in ("none", *(name for name in args.options if name != "none")):
            yield option, quickstart


def run_dir(args: argparse.Namespace, option: str, quickstart: pathlib.Path) -> pathlib.Path:
    """Folder of a continued run."""
    return args.out / f"{quickstart.name}-{option.replace(' ', '_')}"


def train(args: argparse.Namespace, option: str, quickstart: pathlib.Path) -> None:
    """Continues the run of a quickstart with an option."""
    run = run_dir(args, option, quickstart)
    if (run / "tpa.json").exists():
        return
    bindings = (
        f"steps = {args.steps}",
        f"training.steps_per_eval = {args.steps}",
        f"training.init_checkpoint = '{(quickstart / 'run').resolve()}'",
        "warmup_cosine.learning_rate = 2e-3",
        *OPTIONS[option],
    )
    subprocess.run(
        [sys.executable, "-m", "imagefec", "train", "--quiet", "--config_file=quickstart.gin"]
        + [f"--config={binding}" for binding in bindings]
        + [f"--data_dir={quickstart / 'data'}", f"--output_dir={run}"],
        check=True,
    )


def measure(
    args: argparse.Namespace, option: str, quickstart: pathlib.Path
) -> dict[str, dict[str, float]]:
    """Split or world -> what `imagefec evaluate --json` prints; kept in the run's folder."""
    from imagefec.analysis.evaluate import evaluate_run

    run = run_dir(args, option, quickstart)
    kept = run / "tpa.json"
    found = json.loads(kept.read_text()) if kept.exists() else {}
    places = {"validation": (quickstart / "data", "validation")}
    places |= {world: (args.sets / world / "data", "test") for world in args.worlds}
    for name, (data_dir, split) in places.items():
        if name not in found:
            found[name] = evaluate_run(run, data_dir, split=split)
    kept.write_text(json.dumps(found))
    return found


def shown(found: dict, quickstarts: list[pathlib.Path], option: str, split: str) -> str:
    """TPA % without an option; with one, the difference in points."""
    values = [100 * found[option, folder][split]["tpa"] for folder in quickstarts]
    if option != "none":
        base = [100 * found["none", folder][split]["tpa"] for folder in quickstarts]
        values = [value - without for value, without in zip(values, base, strict=True)]
    error = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else float("nan")
    return f"{statistics.mean(values):{'.1f' if option == 'none' else '+.1f'}} +- {error:.1f}"


if __name__ == "__main__":
    main()
