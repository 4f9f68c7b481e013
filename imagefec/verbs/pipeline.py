"""Verbs that run the complete pipeline and examine this machine."""

import argparse
from typing import Any

from imagefec.verbs import flags


def quickstart(verbs: Any) -> None:
    """Adds `quickstart`."""

    def run(arguments: argparse.Namespace) -> Any:
        from imagefec import quickstart

        asked = (
            arguments.output_dir,
            arguments.seed,
            arguments.config_file,
            arguments.config,
        )
        if arguments.dry_run:
            return flags.planned(arguments, quickstart.plan_quickstart(*asked))
        summary = quickstart.quickstart(*asked)
        return summary if arguments.json else arguments.output_dir

    what = (
        "runs the complete pipeline on synthetic faces: draw, fetch, crop, build, train, evaluate, "
        "gallery"
    )
    verb = flags.add_verb(
        verbs, "quickstart", run, what, "imagefec quickstart --output_dir=quickstart --seed=0"
    )
    flags.starts(verb, lambda given: f"working in {flags.shown(given.output_dir)}")
    flags.path(verb, "--output_dir", "folder for all output", "quickstart")
    flags.seed(verb, "seed of the synthetic faces and of the training")
    flags.path(verb, "--config_file", "gin file of the training", "quickstart.gin")
    flags.binding(verb)
    flags.dry_run(verb)
    flags.json_flag(verb)


def doctor(verbs: Any) -> None:
    """Adds `doctor`."""

    def run(arguments: argparse.Namespace) -> Any:
        from imagefec import doctor

        report = doctor.examine(arguments.model_dir)
        return report if arguments.json else doctor.describe(report)

    what = "reports versions, devices and detectors, what is missing and how to get it"
    verb = flags.add_verb(verbs, "doctor", run, what, "imagefec doctor")
    flags.starts(verb, lambda _: "looking at packages, devices and detectors")
    flags.model_dir(verb)
    flags.json_flag(verb)
