"""Flags that several verbs share, and how any flag is declared."""

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from imagefec.errors import UserError
from imagefec.paths import user_path

DETECTORS = ("auto", "yunet", "blazeface", "faced", "haar", "lbp", "none")


def add_verb(
    verbs: Any, name: str, function: Callable[[argparse.Namespace], Any], what: str, example: str
) -> Any:
    """Adds a verb; `what` is its line in the verb list and, capitalised, its description."""
    verb = verbs.add_parser(
        name,
        help=what,
        description=what[0].upper() + what[1:] + ".",
        inherited_absl_flags=None,
        epilog=f"Example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.set_defaults(verb_function=function)
    return verb


def flag(verb: Any, name: str, what: str, default: Any = None, **options: Any) -> None:
    """Adds a flag; its type is the default's type unless given, and its help states the default."""
    if isinstance(default, int | float) and "type" not in options:
        options["type"] = type(default)
    shown = " (default: %(default)s)" if default not in (None, []) else ""
    verb.add_argument(name, default=default, help=what + shown, **options)


def path(verb: Any, name: str, what: str, default: Any = None, **options: Any) -> None:
    """Adds a flag, or an argument if the name has no dashes, whose values are paths."""

    def parsed(text: str) -> Path:
        try:
            return user_path(text, name)
        except UserError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    if name.startswith("-"):
        flag(verb, name, what, default, type=parsed, **options)
    else:
        verb.add_argument(name, help=what, type=parsed, **options)


def switch(verb: Any, name: str, what: str) -> None:
    """Adds a flag that is on or off."""
    verb.add_argument(name, action="store_true", help=what)


def seed(verb: Any, what: str) -> None:
    """Adds --seed."""
    flag(verb, "--seed", what, 0, type=within(0, 2**32 - 1, int))


def json_flag(verb: Any) -> None:
    """Adds --json."""
    switch(verb, "--json", "print one JSON object instead of the path")


def binding(verb: Any) -> None:
    """Adds --config."""
    flag(
        verb,
        "--config",
        "gin binding, repeatable; overrides the files",
        [],
        action="append",
        metavar="BINDING",
    )


def model_dir(verb: Any) -> None:
    """Adds --model_dir."""
    path(
        verb,
        "--model_dir",
        "folder of the model files of yunet or faced (default: $IMAGEFEC_MODELS, else "
        "~/.cache/imagefec/models)",
    )


def csv_and_cache(verb: Any) -> None:
    """Adds the arguments that fetch and crop share."""
    path(verb, "CSV", "FEC's csv files", nargs="+")
    path(verb, "--cache", "folder of downloaded photos", required=True)
    switch(verb, "--skip_bad_rows", "count and skip rows that cannot be read instead of stopping")


def run_and_data(verb: Any) -> None:
    """Adds the flags that evaluate and gallery share."""
    path(verb, "--run", "run directory", required=True)
    data_dir(verb)
    dataset_and_split(verb)


def data_dir(verb: Any) -> None:
    """Adds --data_dir."""
    path(verb, "--data_dir", "folder of the built TFDS datasets", required=True)


def dataset_and_split(verb: Any) -> None:
    """Adds --dataset and --split."""
    flag(verb, "--dataset", "TFDS name", "fec")
    flag(verb, "--split", "split", "test")


def count(text: str) -> int:
    """Parses an int of 1 or more."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return value


def within(least: float, most: float, kind: type) -> Callable[[str], float]:
    """Makes a parser of numbers of one type, int or float, from `least` to `most`."""

    def parse(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not least <= value <= most:
            what = "a whole number" if kind is int else "a number"
            raise argparse.ArgumentTypeError(f"{text} is not {what} from {least} to {most}")
        return value

    return parse
