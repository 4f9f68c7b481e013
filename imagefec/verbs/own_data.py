"""Verbs that make triplets of one's own photos: `triplets` and `split`."""

import argparse
import math
import sys
from typing import Any

from imagefec.errors import UserError
from imagefec.plan import Plan
from imagefec.verbs import flags


def triplets(verbs: Any) -> None:
    """Adds `triplets`."""

    def run(arguments: argparse.Namespace) -> Any:
        from imagefec.data.labels.report_text import describe
        from imagefec.data.labels.stage import make_triplets
        from imagefec.progress import progress

        with progress("triplets", unit="photos") as bar:
            report = make_triplets(
                arguments.SOURCE,
                arguments.out,
                arguments.by,
                arguments.split,
                arguments.triplets,
                arguments.same_person_share,
                arguments.raters,
                arguments.boxes,
                arguments.photos,
                arguments.seed,
                arguments.min_score,
                arguments.model_dir,
                progress=bar,
                n_folds=arguments.folds,
                dry_run=arguments.dry_run,
            )
        return _reported(arguments, report, describe(report, arguments.out))

    example = "imagefec triplets portraits --by=folders:label/person --boxes=blazeface --out=own"
    what = "makes FEC's csv files of photos with labels, counts of raters, or ratings"
    verb = flags.add_verb(verbs, "triplets", run, what, example)
    flags.starts(verb, lambda given: f"reading {flags.shown(given.SOURCE)}")
    flags.path(
        verb,
        "SOURCE",
        "folder of photos by label, [SPLIT/]LABEL/*.jpg, or a csv or parquet table",
    )
    flags.path(verb, "--out", "folder to write to", required=True)
    flags.flag(
        verb,
        "--by",
        "what to read as what, repeatable: ROLE:COLUMN[,COLUMN…] with a role of path, url, label, "
        "counts (raters per label), ratings, person, split, box (left, right, top, bottom; "
        "fractions of the photo, or pixels if any exceeds 1); folders:split/label/person names "
        "the levels of folders (default: by names)",
        [],
        action="append",
        metavar="ROLE:NAMES",
    )
    flags.flag(
        verb,
        "--split",
        "given, or fractions of train, validation and test, parted by person where known, else by "
        "photo (default: given if splits are, with a tenth of train as validation if there is "
        "none, else 0.7,0.1,0.2; 0,0,1 makes all faces test)",
        metavar="given|FRACTIONS",
    )
    flags.flag(
        verb,
        "--folds",
        "instead of one division into splits, make this number of folds, OUT/fold0, …, with each "
        "person, or photo, in the test split of one fold",
        type=flags.within(2, 100, int),
    )
    flags.flag(
        verb,
        "--triplets",
        "number of rows in all csv files together, of each fold (default: 5 per face)",
        type=flags.within(1, 10_000_000, int),
    )
    flags.flag(
        verb,
        "--same_person_share",
        "share of triplets whose odd one is the same person as one of the others (default: 0.25 "
        "where persons are known)",
        type=flags.within(0, 1, float),
    )
    flags.flag(
        verb,
        "--raters",
        "number of simulated raters, for counts and for several ratings of a face",
        6,
        type=flags.within(1, 100, int),
    )
    flags.flag(
        verb,
        "--boxes",
        "whole: the photo is the face; given: the table's; or a detector, which must find one "
        "face in the photo; auto: given if the table has boxes, else whole",
        "auto",
        choices=("auto", "whole", "given", *flags.DETECTORS[1:-1]),
    )
    flags.flag(
        verb,
        "--min_score",
        "lowest score of --boxes' detector",
        type=flags.within(-math.inf, math.inf, float),
    )
    flags.model_dir(verb)
    flags.path(
        verb, "--photos", "folder that a table's paths are relative to (default: the table's own)"
    )
    flags.seed(verb, "seed of splits, triplets and raters")
    flags.dry_run(verb)
    flags.json_flag(verb)


def split(verbs: Any) -> None:
    """Adds `split`."""

    def run(arguments: argparse.Namespace) -> Any:
        if arguments.folds is not None:
            return _folds(arguments)
        from imagefec.data.parting.holdout import describe, split_csv

        report = split_csv(
            arguments.CSV,
            arguments.out,
            arguments.into,
            arguments.share or 0.1,
            arguments.persons,
            arguments.seed,
            arguments.skip_bad_rows,
            arguments.dry_run,
        )
        return _reported(arguments, report, describe(report))

    what = (
        "holds photos or persons out of FEC's training file as a split of their own, or makes "
        "folds of them"
    )
    example = "imagefec split FEC_dataset/faceexp-*.csv --out=FEC_parted --into=validation"
    verb = flags.add_verb(verbs, "split", run, what, example)
    flags.starts(verb, lambda given: f"reading {flags.shown(*given.CSV)}")
    flags.path(verb, "CSV", "FEC's csv files: train is parted, others are copied", nargs="+")
    flags.path(verb, "--out", "folder to write to", required=True)
    flags.flag(
        verb, "--into", "split that is held out", "validation", choices=("validation", "test")
    )
    flags.flag(
        verb,
        "--share",
        "share of train's photos, or persons, to hold out (default: 0.1; of folds 0.2)",
        type=flags.within(0.0001, 0.9, float),
    )
    flags.flag(
        verb,
        "--folds",
        "instead of one split, make this number of folds, OUT/fold0, …: a manual directory each, "
        "with each person, or photo, of all files in the test split of one fold, and --share of "
        "the others as validation",
        type=flags.within(2, 100, int),
    )
    flags.path(
        verb,
        "--persons",
        "csv file with the columns url and person: no person is in both parts (with --folds by "
        "default the persons.csv beside train)",
        metavar="FILE",
    )
    flags.switch(verb, "--skip_bad_rows", "count and skip rows that cannot be read")
    flags.seed(verb, "seed of the choice")
    flags.dry_run(verb)
    flags.json_flag(verb)


def _folds(arguments: argparse.Namespace) -> Any:
    from imagefec.data.parting.folds import describe, split_into_folds

    if arguments.into != "validation":
        raise UserError(
            "--into does not go with --folds: each fold has train, validation and test. Leave out "
            "one of the two."
        )
    report = split_into_folds(
        arguments.CSV,
        arguments.out,
        arguments.folds,
        arguments.share or 0.2,
        arguments.persons,
        arguments.seed,
        arguments.skip_bad_rows,
        arguments.dry_run,
    )
    return _reported(arguments, report, describe(report))


def _reported(arguments: argparse.Namespace, report: dict[str, Any], text: str) -> Any:
    """What the verb prints: the report is of what it made or, in a dry run, would make."""
    if arguments.dry_run:
        return flags.planned(arguments, Plan(arguments.out, text.splitlines(), report))
    print(text, file=sys.stderr)
    return report if arguments.json else arguments.out
