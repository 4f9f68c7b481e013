"""Verbs that run a local web page: the live demo and the judging of triplets."""

import argparse
from typing import Any

from imagefec.errors import UserError
from imagefec.plan import Plan
from imagefec.verbs import flags


def serve(verbs: Any) -> None:
    """Adds `serve`."""

    def run(arguments: argparse.Namespace) -> Any:
        from imagefec.serving import packages

        packages.check_packages("serve", (*packages.PAGE, *packages.ENGINE))
        from imagefec.serving.server import serve

        return serve(
            arguments.run,
            arguments.port,
            arguments.host,
            arguments.allow_origin,
            arguments.tls_cert,
            arguments.tls_key,
        )

    what = "serves the webcam page and the embeddings of a run on 127.0.0.1"
    verb = flags.add_verb(verbs, "serve", run, what, "imagefec serve --run=runs/fec --port=8765")
    flags.starts(verb, lambda given: f"loading {flags.shown(given.run)}")
    flags.path(
        verb, "--run", "run directory, archive of `imagefec export`, or .onnx file", required=True
    )
    _listening(verb, 8765)


def judge(verbs: Any) -> None:
    """Adds `judge`."""

    def run(arguments: argparse.Namespace) -> Any:
        from imagefec.serving import packages

        engine = packages.ENGINE if arguments.run else ()
        packages.check_packages("judge", (*packages.PAGE, *engine))
        from imagefec.serving.judging.project import Settings
        from imagefec.serving.judging.server import (
            Sharing,
            export_answers,
            judge,
            triplet_counts,
        )

        settings = Settings(
            arguments.seed,
            arguments.validation_fraction,
            arguments.test_fraction,
            arguments.boxes,
            arguments.labels,
        )
        if arguments.export:
            record = export_answers(
                arguments.PHOTOS,
                arguments.out,
                settings,
                arguments.without,
                arguments.json or arguments.dry_run,
                arguments.dry_run,
            )
            if arguments.dry_run:
                lines = [f"triplets  {triplet_counts(record)} would be written"]
                return flags.planned(arguments, Plan(arguments.out, lines, record))
            return record if arguments.json else record["path"]
        if arguments.json or arguments.without or arguments.dry_run:
            raise UserError(
                "--json, --without and --dry_run belong to --export. Stop judging with ctrl-C and "
                "run the same command with --export."
            )
        return judge(
            arguments.PHOTOS,
            arguments.out,
            settings,
            Sharing(arguments.common_share, arguments.active_share, arguments.session),
            arguments.run,
            arguments.port,
            arguments.host,
            arguments.allow_origin,
            arguments.tls_cert,
            arguments.tls_key,
        )

    what = "lets raters choose the odd one out of three faces on a local page: FEC csv files"
    example = "imagefec judge portraits/ --out=judged --port=8766"
    verb = flags.add_verb(verbs, "judge", run, what, example)
    flags.starts(verb, lambda given: f"reading {flags.shown(given.PHOTOS, given.run)}")
    flags.path(
        verb,
        "PHOTOS",
        "folder of photos, whose sub-folders may be labels, or a csv or parquet table with a "
        "column path and, optionally, label, person, split, and left, right, top, bottom",
    )
    flags.path(verb, "--out", "folder of answers, pictures and csv files", required=True)
    flags.path(
        verb,
        "--run",
        "run directory, archive, or .onnx file: part of the train triplets are those of which it "
        "is least sure",
    )
    share = flags.within(0, 1, float)
    flags.flag(
        verb,
        "--active_share",
        "share of a rater's own triplets that --run chooses",
        0.5,
        type=share,
    )
    flags.flag(
        verb, "--common_share", "share of the train triplets that all raters judge", 0.2, type=share
    )
    fraction = flags.within(0, 0.4, float)
    for split, default in (("validation", 0.1), ("test", 0.2)):
        what = f"share of the photos and triplets of the {split} split"
        flags.flag(verb, f"--{split}_fraction", what, default, type=fraction)
    flags.flag(
        verb,
        "--boxes",
        "crop the table's box, or the largest face detected in each photo; or take the whole photo "
        "for a face",
        "detected",
        choices=("detected", "whole"),
    )
    flags.flag(
        verb,
        "--labels",
        "labels of the photos: the names of the sub-folders, if all photos lie in some, or those "
        "of the table, if all have one; or none",
        "folders",
        choices=("folders", "none"),
    )
    session = flags.within(1, 10_000, int)
    flags.flag(verb, "--session", "triplets after which the page pauses", 60, type=session)
    flags.seed(verb, "seed of splits and triplets")
    flags.switch(verb, "--export", "write the csv files and the report of an --out, and end")
    flags.flag(
        verb,
        "--without",
        "rater whose answers --export leaves out of the csv files; repeatable",
        [],
        action="append",
        metavar="RATER",
    )
    flags.dry_run(verb)
    flags.json_flag(verb)
    _listening(verb, 8766)


def _listening(verb: Any, port: int) -> None:
    number = flags.within(0, 65535, int)
    flags.flag(verb, "--port", "port to listen on; 0 for any that is free", port, type=number)
    flags.flag(verb, "--host", "address to listen on; others than 127.0.0.1 need TLS", "127.0.0.1")
    flags.flag(
        verb,
        "--allow_origin",
        "origin of a proxy in front of the service, such as https://example.org; repeatable",
        [],
        action="append",
        metavar="ORIGIN",
    )
    flags.path(verb, "--tls_cert", "certificate file, PEM")
    flags.path(verb, "--tls_key", "key file of the certificate, PEM")
