"""Each option of augmentation and regularisation alone, over seeds, at equal steps.

    python benchmarks/augmentation_options.py easy/data options --init=quickstart/run \
      --shifted=varied/data

Trains gin_configs/quickstart.gin from the run INIT on the train split of DATA once per option and
seed, and evaluates each on the validation splits of DATA and of SHIFTED, whose photos differ more
than those of DATA. Test splits are left for the recipe that is chosen. Results are in
OUT/OPTION-SEED.json; one that exists is not made again. Several processes may share OUT if each has
seeds of its own. gin_configs/photos.md has the data's commands and the figures.
"""

import argparse
import json
import pathlib
import shutil
import subprocess
import sys

from imagefec import files
from imagefec.analysis.evaluate import evaluate_run
from imagefec.analysis.report.estimates import mean_with_error

BASE = (
    "warmup_cosine.learning_rate = 2e-3",
    "training.steps_per_eval = 200",
    "training.steps_per_checkpoint = 800",
)
NONE = "none"
OPTIONS = {
    NONE: (),
    "rotation 15": ("Augment.rotation = 15",),
    "scale 0.15": ("Augment.scale = 0.15",),
    "translation 0.05": ("Augment.translation = 0.05",),
    "rotation, scale, translation": (
        "Augment.rotation = 15",
        "Augment.scale = 0.15",
        "Augment.translation = 0.05",
    ),
    "blur 0.3": ("Augment.blur = 0.3", "Augment.blur_sigma = 1.5"),
    "colour": ("Augment.saturation = 0.3", "Augment.hue = 10", "Augment.channel_gain = 0.1"),
    "grey 0.2": ("Augment.grey = 0.2",),
    "brightness, contrast 0.3": ("Augment.brightness = 0.3", "Augment.contrast = 0.3"),
    "cutout 0.3": ("Augment.cutout = 1", "Augment.cutout_size = 0.3"),
    "dropout 0.2": ("ImageFEC.dropout = 0.2",),
    "label smoothing 0.1": ("OddOneOutCrossEntropy.label_smoothing = 0.1",),
    "weight decay 1e-4": ("imagefec.Adam.weight_decay_rate = 1e-4",),
    "no moving average": ("training.ema_decay = 0",),
}


def main() -> None:
    """Trains and evaluates what OUT lacks, then prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=pathlib.Path, help="DATA, where `tfds build` built fec")
    parser.add_argument("out", type=pathlib.Path, help="OUT")
    parser.add_argument("--init", type=pathlib.Path, required=True, help="run to start from")
    parser.add_argument("--shifted", type=pathlib.Path, required=True)
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--options", nargs="+", choices=OPTIONS, default=list(OPTIONS))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    split_of = {"own": args.data, "shifted": args.shifted}
    for seed in args.seeds:
        for option in args.options:
            path = result_path(args.out, option, seed)
            if path.is_file():
                continue
            run = path.with_suffix("")
            train(run, args.data, args.init, args.steps, seed, OPTIONS[option])
            tpa = {
                name: evaluate_run(run, data, split="validation")["tpa"]
                for name, data in split_of.items()
            }
            files.write_text(path, json.dumps(tpa) + "\n")
            shutil.rmtree(run)
            print(f"{option}, seed {seed}: {tpa}", file=sys.stderr, flush=True)
    print(table(args.out, args.options, args.seeds))


def train(
    run: pathlib.Path,
    data: pathlib.Path,
    init: pathlib.Path,
    steps: int,
    seed: int,
    bindings: tuple[str, ...],
) -> None:
    """A run of its own process, since gin's bindings are those of a process."""
    start = (f"training.init_checkpoint = '{init.absolute()}'", f"steps = {steps}")
    every = [*BASE, *start, f"training.seed = {seed}", *bindings]
    subprocess.run(
        [sys.executable, "-m", "imagefec", "train", "--config_file=quickstart.gin"]
        + [f"--config={binding}" for binding in every]
        + [f"--data_dir={data}", f"--output_dir={run}"],
        check=True,
    )


def table(out: pathlib.Path, options: list[str], seeds: list[int]) -> str:
    """A row per option: mean TPA in %, and the difference to no option ± its error over seeds."""
    lines = ["| option | own | difference | shifted | difference |", "|---|---|---|---|---|"]
    of = {
        (option, seed): json.loads(result_path(out, option, seed).read_text())
        for option in {NONE, *options}
        for seed in seeds
    }
    for option in options:
        cells = [option]
        for name in ("own", "shifted"):
            tpa = [100 * of[option, seed][name] for seed in seeds]
            gains = [100 * (of[option, seed][name] - of[NONE, seed][name]) for seed in seeds]
            gain = mean_with_error(gains)
            shown = "" if option == NONE else f"{gain.value:+.1f} ± {gain.error:.1f}"
            cells += [f"{mean_with_error(tpa).value:.1f}", shown]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def result_path(out: pathlib.Path, option: str, seed: int) -> pathlib.Path:
    """The result of one run, its name without blanks and commas."""
    return out / f"{option.replace(',', '').replace(' ', '_')}-{seed}.json"


if __name__ == "__main__":
    main()
