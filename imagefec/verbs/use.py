"""Verbs that use a run: embeddings and galleries."""

import argparse
from typing import Any

from imagefec.verbs import flags


def embed(verbs: Any) -> None:
    """Adds `embed`."""

    def run(arguments: argparse.Namespace) -> Any:
        from imagefec.analysis.embed import embed_and_count

        counts = embed_and_count(
            arguments.run,
            arguments.PATHS,
            arguments.out,
            arguments.on_no_face,
            arguments.detector,
        )
        return counts if arguments.json else counts["path"]

    what = "embeds faces or photos and writes the vectors to an .npz or .parquet file"
    verb = flags.add_verb(
        verbs, "embed", run, what, "imagefec embed --run=runs/fec portraits/ --out=portraits.npz"
    )
    flags.path(verb, "PATHS", "image files, or folders of them", nargs="+")
    flags.path(verb, "--run", "run directory", required=True)
    flags.path(verb, "--out", "file to write, .npz or .parquet", required=True)
    flags.flag(
        verb,
        "--on_no_face",
        "if no face is found in a photo: stop, skip the photo, or embed the complete photo",
        "whole",
        choices=("raise", "skip", "whole"),
    )
    flags.flag(
        verb,
        "--detector",
        "detector that finds the faces of photos; that of the run's faces crops most like them",
        "auto",
        choices=flags.DETECTORS,
    )
    flags.json_flag(verb)


def gallery(verbs: Any) -> None:
    """Adds `gallery`."""

    def run(arguments: argparse.Namespace) -> Any:
        from imagefec.analysis.gallery.build import make_gallery

        return make_gallery(
            arguments.run,
            arguments.data_dir,
            arguments.out,
            arguments.dataset,
            arguments.split,
            arguments.queries,
            arguments.k,
            arguments.max_distance,
            arguments.exclude,
            arguments.seed,
        )[1]

    what = "shows query faces with their nearest neighbours, as a PNG and an HTML page"
    example = "imagefec gallery --run=runs/fec --data_dir=data --queries=12 --k=4 --out=gallery"
    verb = flags.add_verb(verbs, "gallery", run, what, example)
    flags.run_and_data(verb)
    flags.path(
        verb,
        "--out",
        "folder for gallery.png and gallery.html, or the path of either file",
        "gallery",
    )
    flags.flag(verb, "--queries", "number of query faces", 12)
    flags.flag(verb, "--k", "number of neighbours per query", 4)
    flags.flag(verb, "--max_distance", "neighbours farther away are not shown", 1.77)
    flags.path(verb, "--exclude", "file of URLs or face ids to leave out, one per line")
    flags.seed(verb, "seed of the choice of queries")
