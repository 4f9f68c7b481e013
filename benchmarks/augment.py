"""Time of the augmentation's options: each added to the defaults, in turns with the others.

    python benchmarks/augment.py --px=128 --faces=96

The factor is the median over the rounds of the time divided by that of the defaults in the same
round. It is of the augmentation alone, jitted, on uint8 faces that are on the device;
benchmarks/train_step.py measures complete steps.
"""

import argparse
import statistics
import time

import jax
import numpy as np

from imagefec.maths.augment import augment_faces

OPTIONS = {
    "defaults": {},
    "rotation": {"rotation": 15.0},
    "rotation, scale, translation": {"rotation": 15.0, "scale": 0.15, "translation": 0.05},
    "blur": {"blur": 0.3},
    "saturation, hue, channel_gain, grey": {
        "saturation": 0.3,
        "hue": 10.0,
        "channel_gain": 0.1,
        "grey": 0.1,
    },
    "cutout": {"cutout": 1},
}
OPTIONS["all"] = {name: value for each in OPTIONS.values() for name, value in each.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--px", type=int, default=128)
    parser.add_argument("--faces", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    shape = (arguments.faces, arguments.px, arguments.px, 3)
    faces = jax.device_put(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))
    seconds = in_turns(faces, arguments.rounds)
    print(
        f"\n{arguments.faces} faces of {arguments.px} px on {jax.devices()[0].device_kind}, "
        f"{arguments.rounds} rounds\n"
    )
    print(table(seconds))


def in_turns(faces: jax.Array, rounds: int) -> dict[str, list[float]]:
    """Seconds of each option's program in each round; a round before them compiles."""
    programs = {
        name: jax.jit(lambda key, faces, options=options: augment_faces(key, faces, **options))
        for name, options in OPTIONS.items()
    }
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    for number in range(rounds + 1):
        for name, program in programs.items():
            start = time.perf_counter()
            jax.block_until_ready(program(jax.random.PRNGKey(number), faces))
            if number:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def table(seconds: dict[str, list[float]]) -> str:
    """The results as Markdown."""
    lines = ["| options | ms (median) | factor |", "|---|---|---|"]
    for name, took in seconds.items():
        factor = statistics.median(own / base for own, base in zip(took, seconds["defaults"]))
        lines.append(f"| {name} | {1000 * statistics.median(took):.1f} | {factor:.2f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
