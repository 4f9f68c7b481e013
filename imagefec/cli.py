"""The verb table: each verb parses its flags, imports what it needs only then, and calls one function."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from typing import Any

from absl.flags import argparse_flags

import imagefec
from imagefec.errors import UserError
from imagefec.training.step.huge_pages import use_huge_pages

_NOT_YET = {
    "serve": "the webcam page and the embedding service on 127.0.0.1",
    "export": "a run as stablehlo, savedmodel or onnx",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one verb.

    Returns:
      0 done; 2 the user can mend it (one sentence on stderr); 130 interrupted. Our own bugs raise.
    """
    arguments = _parser().parse_args(sys.argv[1:] if argv is None else list(argv))
    if argv is None and arguments.verb in ("train", "quickstart"):
        use_huge_pages()
    try:
        result = arguments.verb_function(arguments)
    except UserError as error:
        print(f"imagefec {arguments.verb}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(
            f"\nimagefec {arguments.verb}: stopped; run the same command again to go on.",
            file=sys.stderr,
        )
        return 130
    except OSError as error:
        if error.errno is None or error.filename is None:
            raise
        print(
            f"imagefec {arguments.verb}: {error.filename}: {error.strerror}. Mend that and run again.",
            file=sys.stderr,
        )
        return 2
    print(json.dumps(result) if isinstance(result, dict) else result)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse_flags.ArgumentParser(
        prog="imagefec",
        inherited_absl_flags=None,
        description="Expression embeddings: from face triplets to a trained embedder and galleries.",
    )
    parser.add_argument("--version", action="version", version=f"imagefec {imagefec.__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for add in (
        _quickstart,
        _draw,
        _fetch,
        _crop,
        _train,
        _evaluate,
        _embed,
        _gallery,
        _report,
        _doctor,
    ):
        add(verbs)
    for name, what in _NOT_YET.items():
        verb = _verb(verbs, name, _refuse, f"{what} (not there yet)", f"imagefec {name}")
        verb.add_argument("anything", nargs=argparse.REMAINDER)
    return parser


def _verb(
    verbs: Any, name: str, function: Callable[[argparse.Namespace], Any], what: str, example: str
) -> Any:
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


def _refuse(arguments: argparse.Namespace) -> None:
    raise UserError(
        f"this verb is not there yet ({_NOT_YET[arguments.verb]}). This version has quickstart, draw, fetch, "
        "crop, train, evaluate, embed, gallery, report and doctor."
    )


def _quickstart(verbs: Any) -> None:
    def run(arguments: argparse.Namespace) -> Any:
        from imagefec import quickstart

        summary = quickstart.quickstart(
            arguments.output_dir, arguments.seed, arguments.config_file, arguments.config
        )
        return summary if arguments.json else arguments.output_dir

    verb = _verb(
        verbs,
        "quickstart",
        run,
        "the whole way on drawn faces: draw, fetch, crop, build, train, evaluate, gallery",
        "imagefec quickstart --output_dir=quickstart --seed=0",
    )
    verb.add_argument(
        "--output_dir", default="quickstart", help="folder for everything (default: %(default)s)"
    )
    verb.add_argument(
        "--seed",
        type=int,
        default=0,
        help="of the drawn world and the training (default: %(default)s)",
    )
    verb.add_argument(
        "--config_file",
        default="quickstart.gin",
        help="gin file of the training (default: %(default)s)",
    )
    verb.add_argument(
        "--config",
        action="append",
        default=[],
        metavar="BINDING",
        help="a gin binding over the file's",
    )
    _json(verb)


def _draw(verbs: Any) -> None:
    def run(arguments: argparse.Namespace) -> Any:
        from imagefec.faces.synthetic import render_world
        from imagefec.progress import progress

        with progress("draw", unit="photos") as bar:
            return render_world(
                arguments.OUT,
                arguments.faces,
                arguments.identities,
                arguments.triplets,
                arguments.test_fraction,
                arguments.url_root,
                arguments.seed,
                progress=bar.update,
                validation_fraction=arguments.validation_fraction,
                people_folders=arguments.people_folders,
            )

    verb = _verb(
        verbs,
        "draw",
        run,
        "draws faces and has them judged, in FEC's own format",
        "imagefec draw drawn --faces=9000 --identities=300 --triplets=24000 --seed=0",
    )
    verb.add_argument("OUT", help="folder to write into")
    for name, value, what in (
        ("faces", 9000, "faces, all splits together"),
        ("identities", 300, "people"),
        ("triplets", 24000, "rows of all csv files"),
        ("seed", 0, "of everything drawn"),
    ):
        verb.add_argument(
            f"--{name}", type=int, default=value, help=f"{what} (default: %(default)s)"
        )
    verb.add_argument(
        "--test_fraction",
        type=float,
        default=0.2,
        help="share that goes to test (default: %(default)s)",
    )
    verb.add_argument(
        "--validation_fraction",
        type=float,
        default=0.0,
        help="share that goes to a third split, on which to choose settings (default: %(default)s)",
    )
    verb.add_argument(
        "--people_folders",
        action="store_true",
        help="also the photographs by person, people/{train,test}/PERSON/, for identity pre-training",
    )
    verb.add_argument(
        "--url_root", help="what the csv's URLs start with (default: file:// and the folder)"
    )


def _fetch(verbs: Any) -> None:
    def run(arguments: argparse.Namespace) -> Any:
        from imagefec.data.fetch.report import describe
        from imagefec.data.fetch.stage import fetch_photos
        from imagefec.progress import progress

        with progress("fetch", unit="photos") as bar:
            report = fetch_photos(
                arguments.CSV,
                arguments.cache,
                workers=arguments.workers,
                retry_failed=arguments.retry_failed,
                skip_bad_rows=arguments.skip_bad_rows,
                progress=bar,
                max_rate_per_host=arguments.max_rate_per_host,
                from_dir=arguments.from_dir,
                ignore_x_robots_tag=arguments.ignore_x_robots_tag,
            )
        print(describe(report), file=sys.stderr)
        return report.as_json() if arguments.json else arguments.cache

    verb = _verb(
        verbs,
        "fetch",
        run,
        "the photographs of the csv files into a cache; run again to go on",
        "imagefec fetch FEC_dataset/faceexp-*.csv --cache=cache",
    )
    _csv_and_cache(verb)
    verb.add_argument(
        "--workers", type=_count, default=16, help="fetches at a time (default: %(default)s)"
    )
    verb.add_argument(
        "--max_rate_per_host",
        type=_above_zero,
        metavar="REQUESTS_A_SECOND",
        help="ceiling for each host (default: what the host lets through)",
    )
    verb.add_argument(
        "--from_dir",
        metavar="FOLDER",
        help="pictures you have already, taken by their file names first",
    )
    verb.add_argument(
        "--ignore_x_robots_tag",
        action="store_true",
        help="take pictures whose server says noai or noimageai",
    )
    verb.add_argument(
        "--retry_failed", action="store_true", help="ask again for what was found gone, too"
    )
    _json(verb)


def _crop(verbs: Any) -> None:
    def run(arguments: argparse.Namespace) -> Any:
        from imagefec.data.crop.stage import crop_faces
        from imagefec.progress import progress

        with progress("crop", unit="faces") as bar:
            report = crop_faces(
                arguments.CSV,
                arguments.cache,
                arguments.faces,
                arguments.detector,
                arguments.min_score,
                arguments.workers,
                arguments.skip_bad_rows,
                progress=bar,
                model_dir=arguments.model_dir,
                exclude=arguments.exclude,
            )
        return report.as_json() if arguments.json else arguments.faces

    verb = _verb(
        verbs,
        "crop",
        run,
        "photographs of the cache to 128 px faces, with a report of what was dropped",
        "imagefec crop FEC_dataset/faceexp-*.csv --cache=cache --faces=FEC_dataset/faces --detector=haar",
    )
    _csv_and_cache(verb)
    verb.add_argument(
        "--faces",
        required=True,
        help="folder to write: faces/ beside the csv files, for the TFDS builder",
    )
    verb.add_argument(
        "--detector",
        choices=("auto", "faced", "yunet", "haar", "lbp", "none"),
        default="auto",
        help="what must see a face in each box; auto: the first there of yunet, faced, haar, lbp (%(default)s)",
    )
    verb.add_argument(
        "--min_score",
        type=float,
        help="lowest score that counts as a face, in the detector's scale (default: the detector's)",
    )
    _model_dir(verb)
    verb.add_argument(
        "--exclude",
        metavar="FILE",
        help="URLs and face ids to leave out, one a line; their faces are deleted",
    )
    verb.add_argument("--workers", type=_count, help="processes (default: one a core)")
    _json(verb)


def _train(verbs: Any) -> None:
    def run(arguments: argparse.Namespace) -> Any:
        from imagefec.training import configurables

        return configurables.run(
            arguments.config_file, arguments.config, arguments.output_dir, arguments.data_dir
        )

    verb = _verb(
        verbs,
        "train",
        run,
        "a Trax training run from gin files; run again to go on",
        "imagefec train --config_file=fec.gin --config='training.seed = 1' --data_dir=data --output_dir=runs/fec",
    )
    verb.add_argument(
        "--config_file",
        action="append",
        default=[],
        help="gin file, repeatable: a path or a name in gin_configs",
    )
    verb.add_argument(
        "--config", action="append", default=[], metavar="BINDING", help="gin binding, repeatable"
    )
    verb.add_argument("--output_dir", required=True, help="run directory")
    verb.add_argument("--data_dir", required=True, help="where TFDS datasets are built")


def _evaluate(verbs: Any) -> None:
    def run(arguments: argparse.Namespace) -> Any:
        from imagefec.analysis.accuracy import shown_error
        from imagefec.analysis.evaluate import evaluate_run

        result = evaluate_run(
            arguments.run,
            arguments.data_dir,
            arguments.dataset,
            arguments.split,
            arguments.against,
            arguments.disjoint_from,
            arguments.invariance,
        )
        if arguments.json:
            return result
        return f"TPA {result['tpa']:.4f} ± {shown_error(result):.4f} on {result['n_triplets']} triplets\n{arguments.run}"

    verb = _verb(
        verbs,
        "evaluate",
        run,
        "triplet prediction accuracy of a run on a whole split",
        "imagefec evaluate --run=runs/fec --data_dir=data --split=test --json",
    )
    _run_and_data(verb)
    verb.add_argument(
        "--against",
        metavar="RUN",
        help="another run, compared on the same triplets by paired bootstrap",
    )
    verb.add_argument(
        "--disjoint_from",
        metavar="SPLIT",
        help="also count alone the triplets that share no photograph with it",
    )
    verb.add_argument(
        "--invariance",
        action="store_true",
        help="also measure how far augmentation moves an embedding",
    )
    _json(verb)


def _embed(verbs: Any) -> None:
    def run(arguments: argparse.Namespace) -> Any:
        from imagefec.analysis.embed import embed_paths

        return embed_paths(arguments.run, arguments.PATHS, arguments.out, arguments.on_no_face)

    verb = _verb(
        verbs,
        "embed",
        run,
        "faces or photographs to vectors in an .npz or .parquet file",
        "imagefec embed --run=runs/fec portraits/ --out=portraits.npz",
    )
    verb.add_argument("PATHS", nargs="+", help="picture files or folders of them")
    verb.add_argument("--run", required=True, help="run directory")
    verb.add_argument("--out", required=True, help="file to write, .npz or .parquet")
    verb.add_argument(
        "--on_no_face",
        choices=("raise", "skip", "whole"),
        default="whole",
        help="where no face is found: stop, leave the picture out, or take it whole (default: %(default)s)",
    )


def _gallery(verbs: Any) -> None:
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

    verb = _verb(
        verbs,
        "gallery",
        run,
        "query faces with their nearest neighbours, as PNG and one HTML page",
        "imagefec gallery --run=runs/fec --data_dir=data --queries=12 --k=4 --out=gallery",
    )
    _run_and_data(verb)
    verb.add_argument(
        "--out",
        default="gallery",
        help="folder for gallery.png and gallery.html, or one of the two names (default: %(default)s)",
    )
    verb.add_argument(
        "--queries", type=int, default=12, help="how many query faces (default: %(default)s)"
    )
    verb.add_argument("--k", type=int, default=4, help="neighbours of each (default: %(default)s)")
    verb.add_argument(
        "--max_distance",
        type=float,
        default=1.77,
        help="farthest neighbour shown (default: %(default)s)",
    )
    verb.add_argument("--exclude", help="file of URLs or face ids to leave out, one a line")
    verb.add_argument(
        "--seed", type=int, default=0, help="of the choice of queries (default: %(default)s)"
    )


def _report(verbs: Any) -> None:
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
            )

    verb = _verb(
        verbs,
        "report",
        run,
        "runs side by side on one page of answers, tables and plots, as HTML and Markdown",
        "imagefec report --runs runs/best-0 runs/best-1 runs/paper-0 runs/paper-1 --data_dir=data --out=report",
    )
    verb.add_argument(
        "--runs",
        nargs="+",
        required=True,
        metavar="RUN",
        help="run directories; those that differ in their seed alone are one condition",
    )
    verb.add_argument("--data_dir", required=True, help="where TFDS datasets are built")
    verb.add_argument("--dataset", default="fec", help="TFDS name (default: %(default)s)")
    verb.add_argument("--split", default="test", help="split (default: %(default)s)")
    verb.add_argument(
        "--out",
        default="report",
        help="folder for report.md, report.html and plots (default: %(default)s)",
    )


def _doctor(verbs: Any) -> None:
    def run(arguments: argparse.Namespace) -> Any:
        from imagefec import doctor

        report = doctor.examine(arguments.model_dir)
        return report if arguments.json else doctor.describe(report)

    verb = _verb(
        verbs,
        "doctor",
        run,
        "versions, devices and detectors, what is missing and how to get it",
        "imagefec doctor",
    )
    _model_dir(verb)
    _json(verb)


def _model_dir(verb: Any) -> None:
    verb.add_argument(
        "--model_dir",
        help="folder of yunet's or faced's files (default: $IMAGEFEC_MODELS, else ~/.cache/imagefec/models)",
    )


def _csv_and_cache(verb: Any) -> None:
    verb.add_argument("CSV", nargs="+", help="FEC's csv files")
    verb.add_argument("--cache", required=True, help="folder of fetched photographs")
    verb.add_argument(
        "--skip_bad_rows",
        action="store_true",
        help="count rows that cannot be read instead of stopping",
    )


def _run_and_data(verb: Any) -> None:
    verb.add_argument("--run", required=True, help="run directory")
    verb.add_argument("--data_dir", required=True, help="where TFDS datasets are built")
    verb.add_argument("--dataset", default="fec", help="TFDS name (default: %(default)s)")
    verb.add_argument("--split", default="test", help="split (default: %(default)s)")


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return value


def _above_zero(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def _json(verb: Any) -> None:
    verb.add_argument(
        "--json", action="store_true", help="print one JSON object instead of the path"
    )
