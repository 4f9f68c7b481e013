"""Verbs for looking at embeddings: maps."""

import argparse
from typing import Any

from imagefec.verbs import flags


def map_verb(verbs: Any) -> None:
    """Adds `map`."""

    def run(arguments: argparse.Namespace) -> Any:
        from imagefec.analysis.map import build, sources

        options = build.MapOptions(
            arguments.method, arguments.faces, arguments.exclude, arguments.seed
        )
        of_split = arguments.data_dir, arguments.dataset, arguments.split
        flags.check_faces_to_show(arguments)
        if arguments.embeddings is not None:

            def load() -> Any:
                return sources.faces_of_file(arguments.embeddings, *of_split, arguments.normalise)

        elif arguments.photos is not None:

            def load() -> Any:
                return sources.faces_of_photos(
                    arguments.run, arguments.photos, arguments.on_no_face, arguments.detector
                )

        else:

            def load() -> Any:
                return sources.faces_of_run(arguments.run, *of_split)

        made = build.make_map(
            lambda: sources.annotated(load(), arguments.annotations), arguments.out, options
        )
        return made if arguments.json else made["path"]

    what = "places faces in a plane: a page, TensorBoard's Embedding Projector and a parquet file"
    example = "imagefec map --run=runs/fec --data_dir=data --out=map"
    verb = flags.add_verb(verbs, "map", run, what, example)
    flags.starts(
        verb,
        lambda given: f"loading {flags.shown(given.run, given.embeddings, given.data_dir)}",
    )
    _add_flags(verb)


def _add_flags(verb: Any) -> None:
    flags.faces_to_show(verb)
    flags.path(verb, "--out", "folder for map.html, projector/ and faces.parquet", "map")
    flags.flag(
        verb,
        "--method",
        "how faces are placed; umap requires pip install 'imagefec[umap]'",
        "tsne",
        choices=("tsne", "umap", "pca"),
    )
    flags.flag(
        verb,
        "--faces",
        "largest number of faces on the page, sampled if there are more; the other files have all",
        2000,
        type=flags.count,
    )
    flags.path(verb, "--exclude", "file of URLs, face ids or file names to leave out, one per line")
    flags.annotations(verb)
    flags.seed(verb, "seed of t-SNE, UMAP and the sample")
    flags.on_no_face(verb, "skip")
    flags.detector(verb)
    flags.json_flag(verb)
