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

    what = "embeds faces or photos and writes the vectors to an .npz, .parquet or .csv file"
    verb = flags.add_verb(
        verbs, "embed", run, what, "imagefec embed --run=runs/fec portraits/ --out=portraits.npz"
    )
    flags.starts(verb, lambda given: f"loading {flags.shown(given.run)}")
    flags.path(verb, "PATHS", "image files, or folders of them", nargs="+")
    flags.path(verb, "--run", "run directory", required=True)
    flags.path(verb, "--out", "file to write, .npz, .parquet or .csv", required=True)
    flags.on_no_face(verb, "whole")
    flags.detector(verb)
    flags.json_flag(verb)


def gallery(verbs: Any) -> None:
    """Adds `gallery`."""

    def run(arguments: argparse.Namespace) -> Any:
        from imagefec.analysis.gallery import build

        options = build.GalleryOptions(
            arguments.queries,
            arguments.k,
            arguments.max_distance,
            arguments.exclude,
            arguments.seed,
            arguments.annotations,
            arguments.disjoint_from,
            arguments.space,
            arguments.faces,
        )
        facts: dict[str, Any] = {}
        out, data_dir = arguments.out, arguments.data_dir
        where = data_dir, arguments.dataset, arguments.split
        flags.check_faces_to_show(arguments)
        if arguments.embeddings is not None:
            made = build.make_file_gallery(
                arguments.embeddings, out, options, *where, arguments.normalise, facts
            )
        elif arguments.photos is not None:
            made = build.make_photo_gallery(
                arguments.run,
                arguments.photos,
                out,
                options,
                arguments.on_no_face,
                arguments.detector,
                facts,
            )
        else:
            made = build.make_gallery(
                arguments.run, data_dir, out, *where[1:], **vars(options), facts=facts
            )
        return {"png": str(made[0]), "html": str(made[1]), **facts} if arguments.json else made[1]

    what = "shows query faces with their nearest neighbours, as a PNG and an HTML page"
    example = "imagefec gallery --run=runs/fec --photos portraits/ --queries=12 --k=4 --out=gallery"
    verb = flags.add_verb(verbs, "gallery", run, what, example)
    flags.starts(
        verb,
        lambda given: f"loading {flags.shown(given.run, given.embeddings, given.data_dir)}",
    )
    flags.faces_to_show(verb)
    flags.path(
        verb,
        "--out",
        "folder for gallery.png and gallery.html, or the path of either file",
        "gallery",
    )
    flags.flag(
        verb,
        "--queries",
        "number of query faces; or which: face ids or names of photos, separated by commas",
        "12",
    )
    flags.flag(verb, "--k", "number of neighbours per query", 4)
    flags.flag(
        verb,
        "--max_distance",
        "neighbours farther away are not shown; auto: 1.77 for vectors of length 1, else no limit",
        "auto",
        type=flags.number_or("auto"),
    )
    flags.path(verb, "--exclude", "file of URLs, face ids or file names to leave out, one per line")
    flags.seed(verb, "seed of the choice of queries and faces")
    flags.annotations(verb)
    flags.flag(
        verb,
        "--disjoint_from",
        "sample no queries whose photo, or nearly the same picture, these splits have: names, "
        "separated by commas; none; auto: train, unless --split is a part of it",
        "auto",
        metavar="SPLITS",
    )
    flags.flag(
        verb,
        "--space",
        "splits, separated by commas, among whose faces neighbours are searched (default: --split)",
        "",
        metavar="SPLITS",
    )
    flags.flag(
        verb,
        "--faces",
        "largest number of faces inside the HTML page, to walk through; 0: the queries only",
        2000,
    )
    flags.on_no_face(verb, "skip")
    flags.detector(verb)
    flags.json_flag(verb)


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
    flags.starts(verb, lambda given: f"loading {flags.shown(given.run)}")
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
