"""Verbs that use a run: embeddings, galleries and exports."""

import argparse
import sys
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


def export(verbs: Any) -> None:
    """Adds `export`."""

    def run(arguments: argparse.Namespace) -> Any:
        from imagefec.export.build import export_run

        result = export_run(
            arguments.run,
            arguments.out,
            arguments.format,
            arguments.data_dir,
            arguments.dataset,
            arguments.split,
            arguments.precision,
        )
        check = result["check"]
        if "tpa_after" in check:
            print(
                f"TPA {check['tpa_before']:.1%} before, {check['tpa_after']:.1%} after, on "
                f"{check['n_triplets']:,} triplets of {check['split']}",
                file=sys.stderr,
            )
        return result if arguments.json else result["path"]

    what = "writes a run as one file for other programs, and checks the file against the run"
    example = "imagefec export --run=runs/fec --format=onnx --out=fec.onnx --data_dir=data"
    verb = flags.add_verb(verbs, "export", run, what, example)
    flags.path(verb, "--run", "run directory or archive", required=True)
    flags.flag(
        verb,
        "--format",
        "format",
        required=True,
        choices=("archive", "onnx", "savedmodel", "tflite", "stablehlo"),
    )
    flags.path(verb, "--out", "file to write; for savedmodel a new folder", required=True)
    flags.path(
        verb, "--data_dir", "folder of the built TFDS datasets; default: check on synthetic faces"
    )
    flags.flag(verb, "--dataset", "TFDS name (default: that of the run)")
    flags.flag(verb, "--split", "split (default: the run's evaluation split)")
    flags.flag(
        verb,
        "--precision",
        "int8 (for onnx): 8-bit integers; the TPA before and after is measured and printed",
        "float32",
        choices=("float32", "bfloat16", "int8"),
    )
    flags.json_flag(verb)
