"""Verbs that make data: `draw`, `fetch` and `crop`."""

import argparse
import sys
from typing import Any

from imagefec.verbs import flags


def draw(verbs: Any) -> None:
    """Adds `draw`."""

    def run(arguments: argparse.Namespace) -> Any:
        from imagefec.faces.synthetic import plan_dataset, render_dataset
        from imagefec.progress import progress

        if arguments.dry_run:
            from imagefec.faces.synthetic.settings import DrawSettings
            from imagefec.faces.synthetic.worlds import make_world

            settings = DrawSettings(
                arguments.faces,
                arguments.identities,
                arguments.triplets,
                arguments.test_fraction,
                arguments.validation_fraction,
                arguments.seed,
                arguments.roll,
                make_world(arguments.world, arguments.vary),
            )
            plan = plan_dataset(arguments.OUT, settings, arguments.url_root)
            return flags.planned(arguments, plan)
        with progress("draw", unit="photos") as bar:
            return render_dataset(
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
                roll=arguments.roll,
                world=arguments.world,
                vary=arguments.vary,
            )

    what = "renders synthetic faces and simulates raters' judgements, in FEC's own file format"
    example = "imagefec draw synthetic --faces=9000 --identities=300 --triplets=24000 --seed=0"
    verb = flags.add_verb(verbs, "draw", run, what, example)
    flags.starts(verb, lambda given: f"rendering into {flags.shown(given.OUT)}")
    flags.path(verb, "OUT", "folder to write to")
    flags.flag(verb, "--faces", "number of faces in all splits together", 9000)
    flags.flag(verb, "--identities", "number of identities in all splits together", 300)
    flags.flag(verb, "--triplets", "number of rows in all csv files together", 24000)
    flags.seed(verb, "seed of everything rendered and judged")
    flags.flag(verb, "--test_fraction", "fraction of the test split", 0.2)
    flags.flag(
        verb,
        "--validation_fraction",
        "fraction of the validation split, to choose settings on",
        0.0,
    )
    flags.flag(
        verb, "--roll", "standard deviation of the angle by which heads lean, degrees, 0 to 45", 4.0
    )
    flags.flag(
        verb,
        "--world",
        "plain (default), varied: poses, light, cameras, ... vary; hard: further, and other people",
        metavar="{plain,varied,hard}",
    )
    flags.flag(
        verb,
        "--vary",
        "only these vary, comma-separated: pose, looks, asymmetry, partial, occluders, light, "
        "blur, camera, resolution, grey, jpeg, box (default: all of the world's)",
        metavar="ASPECT,...",
    )
    flags.switch(
        verb,
        "--people_folders",
        "also link the photos by identity, people/SPLIT/IDENTITY/, for identity pre-training",
    )
    flags.flag(
        verb,
        "--url_root",
        "prefix of the csv's URLs: http, https or file (default: file:// and the folder)",
    )
    flags.dry_run(verb)


def fetch(verbs: Any) -> None:
    """Adds `fetch`."""

    def run(arguments: argparse.Namespace) -> Any:
        from imagefec.data.fetch.report import describe
        from imagefec.data.fetch.stage import FetchConfig, fetch_photos, plan_fetch
        from imagefec.progress import progress, shown_log

        config = FetchConfig(
            workers=arguments.workers,
            retry_failed=arguments.retry_failed,
            skip_bad_rows=arguments.skip_bad_rows,
            max_rate_per_host=arguments.max_rate_per_host,
            ignore_x_robots_tag=arguments.ignore_x_robots_tag,
            allow_private_redirects=arguments.allow_private_redirects,
        )
        if arguments.dry_run:
            with shown_log("imagefec.data.fetch", "fetch"):
                plan = plan_fetch(arguments.CSV, arguments.cache, config, arguments.from_dir)
            return flags.planned(arguments, plan)
        with progress("fetch", unit="photos") as bar, shown_log("imagefec.data.fetch", "fetch"):
            report = fetch_photos(
                arguments.CSV, arguments.cache, config, arguments.from_dir, progress=bar
            )
        print(describe(report), file=sys.stderr)
        return report.as_json() if arguments.json else arguments.cache

    what = "downloads the photos of the csv files into a cache; rerun the command to resume"
    verb = flags.add_verb(
        verbs, "fetch", run, what, "imagefec fetch FEC_dataset/faceexp-*.csv --cache=cache"
    )
    flags.starts(verb, lambda given: f"reading {flags.shown(*given.CSV)}")
    flags.csv_and_cache(verb)
    flags.flag(
        verb,
        "--workers",
        "number of concurrent downloads, at most 256; slow hosts are counted apart",
        16,
        type=flags.within(1, 256, int),
    )
    flags.flag(
        verb,
        "--max_rate_per_host",
        "upper limit per host (default: what each host accepts)",
        type=flags.within(0.001, 1e6, float),
        metavar="REQUESTS_PER_SECOND",
    )
    flags.path(
        verb,
        "--from_dir",
        "folder of photos that you have already; matched by file name before any download",
        metavar="FOLDER",
    )
    flags.switch(
        verb, "--ignore_x_robots_tag", "also take photos whose server says noai or noimageai"
    )
    flags.switch(
        verb,
        "--allow_private_redirects",
        "also follow redirects to this machine and to private networks",
    )
    flags.switch(verb, "--retry_failed", "also retry photos recorded as gone")
    flags.dry_run(verb)
    flags.json_flag(verb)


def crop(verbs: Any) -> None:
    """Adds `crop`."""

    def run(arguments: argparse.Namespace) -> Any:
        from imagefec.data.crop.report import show
        from imagefec.data.crop.stage import crop_faces, plan_crop
        from imagefec.progress import progress

        if arguments.dry_run:
            plan = plan_crop(
                arguments.CSV,
                arguments.cache,
                arguments.faces,
                arguments.detector,
                arguments.min_score,
                arguments.skip_bad_rows,
                arguments.model_dir,
                arguments.exclude,
                arguments.align,
            )
            return flags.planned(arguments, plan)
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
                align=arguments.align,
            )
        show(report)
        return report.as_json() if arguments.json else arguments.faces

    what = "crops 128 px faces from cached photos and reports every dropped face with its reason"
    example = (
        "imagefec crop FEC_dataset/faceexp-*.csv --cache=cache --faces=FEC_dataset/faces "
        "--detector=blazeface"
    )
    verb = flags.add_verb(verbs, "crop", run, what, example)
    flags.starts(verb, lambda given: f"reading {flags.shown(*given.CSV)}")
    flags.csv_and_cache(verb)
    flags.path(
        verb,
        "--faces",
        "folder to write to; the TFDS builder expects faces/ beside the csv files",
        required=True,
    )
    flags.flag(
        verb,
        "--detector",
        "detector that must find a face in each box; auto: the first available of yunet, "
        "blazeface, faced, haar, lbp",
        "auto",
        choices=flags.DETECTORS,
    )
    flags.flag(
        verb,
        "--align",
        "eyes: turn each face so that its eyes are level and at a fixed distance; requires a "
        "detector that finds eyes (yunet, blazeface)",
        "none",
        choices=("none", "eyes"),
    )
    flags.flag(
        verb,
        "--min_score",
        "lowest detection score that counts as a face (default: the detector's own)",
        type=float,
    )
    flags.model_dir(verb)
    flags.path(
        verb,
        "--exclude",
        "file of URLs and face ids to leave out, one per line; their faces are deleted",
        metavar="FILE",
    )
    flags.flag(verb, "--workers", "number of processes (default: one per core)", type=flags.count)
    flags.dry_run(verb)
    flags.json_flag(verb)
