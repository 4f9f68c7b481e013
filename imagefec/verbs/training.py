"""Verbs that train and measure runs."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from imagefec.errors import UserError
from imagefec.verbs import flags


def train(verbs: Any) -> None:
    """Adds `train`."""

    def run(arguments: argparse.Namespace) -> Any:
        from imagefec.training import configurables

        if arguments.print_config:
            return configurables.printed(arguments.config_file, arguments.config)
        for name in ("output_dir", "data_dir"):
            if getattr(arguments, name) is None:
                raise UserError(f"--{name} is required, except with --print_config.")
        asked = (
            arguments.config_file,
            arguments.config,
            arguments.output_dir,
            arguments.data_dir,
        )
        if arguments.dry_run:
            from imagefec.training.planned import plan_run

            return flags.planned(arguments, plan_run(*asked))
        return configurables.run(*asked)

    what = "trains a run from gin files; rerun the command to resume"
    example = (
        "imagefec train --config_file=resnet50_hinge.gin --config='training.seed = 1' "
        "--data_dir=data --output_dir=runs/fec"
    )
    verb = flags.add_verb(verbs, "train", run, what, example)
    flags.starts(
        verb, lambda given: f"loading TensorFlow, Trax and {flags.shown(*given.config_file)}"
    )
    flags.path(
        verb,
        "--config_file",
        "gin file, repeatable: a path, or a name in gin_configs",
        [],
        action="append",
    )
    flags.binding(verb)
    flags.path(verb, "--output_dir", "run directory; required to train")
    flags.data_dir(verb, required=False)
    flags.dry_run(verb)
    flags.switch(
        verb, "--print_config", "check the settings, print all of them as gin, and do not train"
    )


def evaluate(verbs: Any) -> None:
    """Adds `evaluate`."""

    def run(arguments: argparse.Namespace) -> Any:
        from imagefec.analysis import evaluate as evaluation
        from imagefec.analysis.accuracy import shown_error

        if arguments.invariance and arguments.run is None:
            raise UserError("--invariance requires a network: give --run instead of --embeddings.")
        given = arguments.run or arguments.embeddings
        if max(len(each) for each in (given, arguments.data_dir, arguments.against)) > 1:
            return _evaluate_folds(arguments, given)
        (own,), (data_dir,) = given, arguments.data_dir
        against = arguments.against[0] if arguments.against else None
        where = data_dir, arguments.dataset, arguments.split
        compared = against, arguments.disjoint_from
        more = arguments.normalise, arguments.annotations
        if arguments.run is not None:
            result = evaluation.evaluate_run(own, *where, *compared, arguments.invariance, *more)
        else:
            result = evaluation.evaluate_embeddings(own, *where, *compared, *more)
        if arguments.json:
            return result
        tpa = f"TPA {result['tpa']:.4f} ± {shown_error(result):.4f}"
        lost = result.get("coverage", {}).get("n_lost", 0)
        without = f" ({lost} without vectors of all faces not counted)" if lost else ""
        tpa += f" on {result['n_triplets']} triplets{without}\n"
        tpa += _disjoint_line(result) + _neighbour_lines(result)
        if "against" in result:
            difference = result["against"]["difference"], result["against"]["standard_error"] or 0
            tpa += (
                f"minus {against}: {difference[0]:+.4f} ± {difference[1]:.4f} on "
                f"{result['against']['n_triplets']} triplets\n"
            )
        return f"{tpa}{own}"

    what = "measures the triplet prediction accuracy of a run, or of any vectors, on a split"
    example = "imagefec evaluate --run=runs/fec --data_dir=data --split=test --json"
    verb = flags.add_verb(verbs, "evaluate", run, what, example)
    flags.starts(
        verb,
        lambda given: (
            "loading "
            + flags.shown(*(given.run or given.embeddings), *given.against, *given.data_dir)
        ),
    )
    flags.run_or_embeddings(verb, of_folds=True)
    flags.data_dir(verb, of_folds=True)
    flags.dataset_and_split(verb)
    flags.path(
        verb,
        "--against",
        "another run or file of vectors to compare with on the same triplets, by paired bootstrap; "
        "or, as --run, one for each fold",
        (),
        nargs="+",
        metavar="RUN_OR_FILE",
    )
    flags.flag(
        verb,
        "--disjoint_from",
        "also report TPA on the triplets of which these splits have neither a photo nor nearly the "
        "same picture: names, separated by commas",
        metavar="SPLITS",
    )
    flags.annotations(verb)
    flags.switch(verb, "--invariance", "also measure how far augmentation moves an embedding")
    flags.json_flag(verb)


def _evaluate_folds(arguments: argparse.Namespace, given: Sequence[Path]) -> Any:
    from imagefec.analysis.folds import describe, evaluate_folds
    from imagefec.progress import progress

    with progress("evaluate", unit="folds", total=len(arguments.data_dir)) as bar:
        result = evaluate_folds(
            given,
            arguments.data_dir,
            arguments.dataset,
            arguments.split,
            arguments.against,
            arguments.disjoint_from,
            arguments.invariance,
            arguments.normalise,
            arguments.annotations,
            bar.update,
        )
    if arguments.json:
        return result
    return f"{describe(result, flags.shown(*arguments.against))}\n{flags.shown(*given)}"


def _disjoint_line(result: dict[str, Any]) -> str:
    found = result.get("disjoint")
    if found is None:
        return ""
    reasons = ", ".join(f"{reason} {n}" for reason, n in found["reasons"].items())
    tpa = "undefined" if found["tpa"] is None else f"{found['tpa']:.4f}"
    return (
        f"disjoint from {found['from']}: TPA {tpa} on {found['n_triplets']} triplets, "
        f"{found['n_left_out']} left out ({reasons})\n"
    )


def _neighbour_lines(result: dict[str, Any]) -> str:
    names = {
        "same_label": "of the query's label",
        "same_label_other_persons": "of its label, among other persons",
        "same_person": "of its person",
    }
    return "".join(
        f"{k} nearest {what}: {found['share']:.4f} ± {found['se'] or 0:.4f}, chance "
        f"{found['chance']:.4f}\n"
        for name, what in names.items()
        for k, found in result.get("neighbours", {}).get(name, {}).items()
        if found["share"] is not None
    )


def report(verbs: Any) -> None:
    """Adds `report`."""

    def run(arguments: argparse.Namespace) -> Any:
        from imagefec.analysis.report.build import make_report
        from imagefec.progress import progress

        with progress("embed", unit="runs", total=len(arguments.runs)) as bar:
            return make_report(
                arguments.runs,
                arguments.data_dir,
                arguments.out,
                arguments.dataset,
                arguments.split,
                bar.update,
                arguments.annotations,
            )

    what = "compares runs on one page of answers, tables and plots, as HTML and Markdown"
    example = (
        "imagefec report --runs runs/paper-0 runs/paper-1 runs/uda-0 runs/uda-1 --data_dir=data "
        "--out=report"
    )
    verb = flags.add_verb(verbs, "report", run, what, example)
    flags.starts(verb, lambda given: f"loading {flags.shown(*given.runs)}")
    flags.path(
        verb,
        "--runs",
        "run directories; runs that differ only in their seed form one condition",
        nargs="+",
        required=True,
        metavar="RUN",
    )
    flags.data_dir(verb)
    flags.dataset_and_split(verb)
    flags.path(verb, "--out", "folder for report.md, report.html and plots", "report")
    flags.annotations(verb)
