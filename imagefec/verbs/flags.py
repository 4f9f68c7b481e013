"""Flags that several verbs share, and how any flag is declared."""

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from imagefec.errors import UserError
from imagefec.paths import readable, user_path
from imagefec.plan import Plan

DETECTORS = ("auto", "yunet", "blazeface", "faced", "haar", "lbp", "none")


def add_verb(
    verbs: Any, name: str, function: Callable[[argparse.Namespace], Any], what: str, example: str
) -> Any:
    """Adds a verb; `what` is its line in the verb list and, capitalised, its description."""
    verb = verbs.add_parser(
        name,
        help=what,
        description=what[0].upper() + what[1:] + ".",
        epilog=f"Example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.set_defaults(verb_function=function)
    switch(verb, "--quiet", "report no progress on stderr; warnings and errors remain")
    switch(verb, "--verbose", "also log what the libraries report, with times")
    return verb


def starts(verb: Any, what: Callable[[argparse.Namespace], str]) -> None:
    """Sets the line that the verb says at once, before it loads anything; see `progress.say`."""
    verb.set_defaults(starts=what)


def flag(verb: Any, name: str, what: str, default: Any = None, **options: Any) -> None:
    """Adds a flag; its type is the default's type unless given, and its help states the default."""
    if isinstance(default, int | float) and "type" not in options:
        options["type"] = within(-math.inf, math.inf, type(default))
    shown = " (default: %(default)s)" if default not in (None, "", [], ()) else ""
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


def dry_run(verb: Any) -> None:
    """Adds --dry_run, of verbs that write data or take long; see `planned`."""
    switch(
        verb,
        "--dry_run",
        "check the arguments and the input, say what would be done, write nothing",
    )


def planned(given: argparse.Namespace, plan: Plan) -> Any:
    """The result of a verb's dry run: lines, or with --json an object."""
    return plan.as_json() if getattr(given, "json", False) else plan.as_text()


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


def run_or_embeddings(verb: Any, of_folds: bool = False) -> None:
    """Adds --run and --embeddings, of which one is required, and --normalise.

    Args:
      verb: to add them to.
      of_folds: whether each takes several paths, one for each fold.
    """
    several = {"nargs": "+"} if of_folds else {}
    each = "; or one for each fold, as --data_dir" if of_folds else ""
    either = verb.add_mutually_exclusive_group(required=True)
    path(either, "--run", f"run directory{each}", **several)
    path(
        either,
        "--embeddings",
        "file of any vectors, .npz, .parquet or .csv: vectors [n, d], and the ids, urls or paths "
        f"of the faces{'; or one for each fold' if of_folds else ''}",
        metavar="FILE",
        **several,
    )
    switch(verb, "--normalise", "scale the vectors of files to length 1; those of runs have it")


def shown(*paths: Any) -> str:
    """Paths in a line for people; None is left out, and of more than three the first is shown."""
    found = [readable(str(each)) for each in paths if each is not None]
    return ", ".join(found) if len(found) <= 3 else f"{found[0]} and {len(found) - 1} more"


def faces_to_show(verb: Any) -> None:
    """Adds the flags that say which faces a gallery or a map shows, and where vectors are from."""
    run_or_embeddings(verb)
    data_dir(verb, required=False)
    dataset_and_split(verb)
    path(
        verb,
        "--photos",
        "image files or folders of them, instead of a dataset; their faces are found and embedded",
        nargs="+",
    )


def check_faces_to_show(given: argparse.Namespace) -> None:
    """Raises UserError if the flags of `faces_to_show` exclude each other, or one is missing."""
    if given.embeddings is not None:
        if given.photos is not None:
            raise UserError("--photos is embedded by a run: give --run instead of --embeddings.")
    elif (given.photos is None) == (given.data_dir is None):
        raise UserError(
            "give --data_dir (faces of a built dataset) or --photos (image files and folders), "
            "one of them."
        )


def data_dir(verb: Any, required: bool = True, of_folds: bool = False) -> None:
    """Adds --data_dir; it takes several folders, one for each fold, if `of_folds`."""
    several = {"nargs": "+"} if of_folds else {}
    each = "; or one for each fold" if of_folds else ""
    what = f"folder of the built TFDS datasets{each}"
    path(verb, "--data_dir", what, required=required, **several)


def dataset_and_split(verb: Any) -> None:
    """Adds --dataset and --split."""
    flag(verb, "--dataset", "TFDS name", "fec")
    flag(verb, "--split", "split", "test")


def annotations(verb: Any) -> None:
    """Adds --annotations."""
    path(
        verb,
        "--annotations",
        "tables (csv, parquet) of the faces' persons or expression labels, such as persons.csv and "
        "expressions.csv of draw and triplets, or the folder that holds these two",
        (),
        nargs="+",
        metavar="FILE",
    )


def on_no_face(verb: Any, default: str) -> None:
    """Adds --on_no_face."""
    flag(
        verb,
        "--on_no_face",
        "if no face is found in a photo: stop, skip the photo, or embed the complete photo",
        default,
        choices=("raise", "skip", "whole"),
    )


def detector(verb: Any) -> None:
    """Adds --detector, of the faces of photos."""
    flag(
        verb,
        "--detector",
        "detector that finds the faces of photos; that of the run's faces crops most like them",
        "auto",
        choices=DETECTORS,
    )


def number_or(word: str) -> Callable[[str], float | str]:
    """Makes a parser of a number or one word."""

    def parse(text: str) -> float | str:
        try:
            return word if text == word else float(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text} is neither a number nor {word}") from None

    return parse


def count(text: str) -> int:
    """Parses an int of 1 or more."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return value


def within(least: float, most: float, kind: type) -> Callable[[str], float]:
    """Makes a parser of numbers of one type, int or float, from `least` to `most`; not of NaN."""

    def parse(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not least <= value <= most:
            what = "a whole number" if kind is int else "a number"
            limits = f" from {least} to {most}" if math.isfinite(most) else ""
            raise argparse.ArgumentTypeError(f"{text} is not {what}{limits}")
        return value

    return parse
