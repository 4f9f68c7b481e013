"""The complete pipeline on synthetic faces, through the functions that the other verbs call."""

import contextlib
import functools
import http.server
import json
import os
import pathlib
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

from absl import logging

from imagefec import files, json_files
from imagefec.data.crop.report import show
from imagefec.data.crop.stage import crop_faces
from imagefec.data.fetch.stage import fetch_photos
from imagefec.errors import UserError
from imagefec.faces.synthetic import plan_dataset, render_dataset
from imagefec.faces.synthetic.settings import DrawSettings
from imagefec.fec import EXPRESSIONS_CSV, PERSONS_CSV, SPLITS, csv_file_name
from imagefec.paths import user_path
from imagefec.plan import Plan
from imagefec.progress import progress
from imagefec.tfds_build import build

FACES, IDENTITIES, TRIPLETS = 20000, 660, 54000
TEST_FRACTION, VALIDATION_FRACTION = 0.18, 0.1
SETTINGS = "settings.json"
DETECTOR = "blazeface"  # by name: "auto" would depend on the model files of the machine


def quickstart(
    output_dir: str | os.PathLike,
    seed: int = 0,
    config_file: str | os.PathLike = "quickstart.gin",
    bindings: Sequence[str] = (),
    faces: int = FACES,
    identities: int = IDENTITIES,
    triplets: int = TRIPLETS,
) -> dict:
    """Renders faces, fetches them over HTTP, crops, builds, trains, evaluates and makes a gallery.

    Args:
      output_dir: gets drawn/ (photos), fec/ (manual directory of the TFDS builder), cache/, data/
        (TFDS), run/, gallery/ (PNG and HTML) and summary.json. Completed stages are skipped.
      seed: seed of the synthetic faces and of the training.
      config_file: gin file of the training run.
      bindings: gin bindings that override the file.
      faces: number of faces in all splits together.
      identities: number of identities in all splits together.
      triplets: number of judged triplets in all splits together.

    Returns:
      The contents of summary.json: the fields of `evaluate --json`, wall_s by stage, counts and
      paths.

    Raises:
      UserError: a setting of the training is not allowed, which is checked first, a stage failed,
        or output_dir holds a quickstart with other settings.
    """
    out = user_path(output_dir, "--output_dir")
    _check_training(config_file, bindings, seed)
    settings = {"seed": seed, "faces": faces, "identities": identities, "triplets": triplets}
    with _locked(out, settings):
        return _run_stages(out, config_file, bindings, **settings)


def plan_quickstart(
    output_dir: str | os.PathLike,
    seed: int = 0,
    config_file: str | os.PathLike = "quickstart.gin",
    bindings: Sequence[str] = (),
) -> Plan:
    """What `quickstart` would do; nothing is written. Arguments and errors alike."""
    out = user_path(output_dir, "--output_dir")
    steps = _check_training(config_file, bindings, seed)
    asked = {"seed": seed, "faces": FACES, "identities": IDENTITIES, "triplets": TRIPLETS}
    with _folder_errors(out):
        files.check_folder(out)
        _check_settings(out, asked)
    settings = DrawSettings(FACES, IDENTITIES, TRIPLETS, TEST_FRACTION, VALIDATION_FRACTION, seed)
    done = {
        "draw": all((out / "fec" / csv_file_name(split)).is_file() for split in SPLITS),
        "crop": (out / "fec" / "faces" / "report.json").is_file(),
        "build": any((out / "data" / "fec").glob("*/*/dataset_info.json")),
        "train": (out / "run" / "model.npz").is_file(),
        "gallery": (out / "summary.json").is_file(),
    }
    rendered = plan_dataset(out / "drawn", settings)
    begun = [stage for stage, is_begun in done.items() if is_begun]
    stages = f"then       fetch, crop, build, train for {steps} steps, evaluate, gallery"
    lines = [*([] if done["draw"] else rendered.lines), stages]
    if begun:
        lines.append(f"found      results of {', '.join(begun)}; finished stages are skipped")
    return Plan(out, lines, {**rendered.facts, "steps": steps, "found": begun})


def _run_stages(
    out: pathlib.Path,
    config_file: str | os.PathLike,
    bindings: Sequence[str],
    seed: int,
    faces: int,
    identities: int,
    triplets: int,
) -> dict:
    stages = _Stages()
    synthetic, manual, data, run = out / "drawn", out / "fec", out / "data", out / "run"
    manual.mkdir(parents=True, exist_ok=True)
    csv_paths = [manual / csv_file_name(split) for split in SPLITS]

    with _served(synthetic) as url_root:
        with stages("draw"), progress("draw", unit="photos") as bar:
            _render_once(synthetic, csv_paths, url_root, bar, faces, identities, triplets, seed)
        with stages("fetch"), progress("fetch", unit="photos") as bar:
            fetched = fetch_photos(csv_paths, out / "cache", progress=bar)
    with stages("crop"), progress("crop", unit="faces") as bar:
        cropped = crop_faces(csv_paths, out / "cache", manual / "faces", DETECTOR, progress=bar)
    show(cropped)
    with stages("build"):
        for config in ("faces", "index"):  # together a tenth of the size of "triplets"
            build(manual, data, config)
    with stages("train"):
        from imagefec.training import configurables

        configurables.run([config_file], [*bindings, f"training.seed = {seed}"], run, data)
    with stages("evaluate"):
        from imagefec.analysis.accuracy import rater_accuracy_name, shown_error
        from imagefec.analysis.evaluate import evaluate_run

        tables = [manual / name for name in (EXPRESSIONS_CSV, PERSONS_CSV)]
        known = [path for path in tables if path.is_file()]  # an earlier version made fewer
        result = evaluate_run(run, data, annotations=known)
    with stages("gallery"):
        from imagefec.analysis.gallery.build import make_gallery

        png, page = make_gallery(run, data, out / "gallery", seed=seed, annotations=known)
    summary = {
        **result,
        "wall_s": stages.seconds,
        "n_images_fetched": fetched.n_ok,
        "n_faces": cropped.n_kept,
        "n_dropped": dict(cropped.dropped),
        "crop_triplets": cropped.triplets,
        "crop_warnings": cropped.warnings,
        "gallery_png": str(png),
        "gallery_html": str(page),
        "data_dir": str(data),
        "seed": seed,
    }
    files.write_text(out / "summary.json", json.dumps(summary, indent=1) + "\n")
    print(
        f"TPA {result['tpa']:.3f} ± {shown_error(result):.3f} on {result['n_triplets']} triplets "
        "of identities and photos not seen in training; leave-one-out "
        f"{rater_accuracy_name(result['human_tpa_source'])} "
        f"{result['human_tpa']:.3f}.\n{_neighbours_text(result)}Gallery: {page}",
        file=sys.stderr,
    )
    return summary


def _neighbours_text(result: dict) -> str:
    found = result.get("neighbours", {}).get("same_label", {}).get("4")
    if not found or found["share"] is None:
        return ""
    return (
        f"Of the 4 nearest faces from other photos {found['share']:.1%} have the same expression "
        f"(chance {found['chance']:.1%}).\n"
    )


def _check_training(config_file: str | os.PathLike, bindings: Sequence[str], seed: int) -> int:
    """The number of steps; raises UserError if a setting of the training is not allowed."""
    # Imported here, since Trax takes seconds to import and `imagefec --help` does not need it.
    from imagefec.training import configurables

    configurables.parse([config_file], [*bindings, f"training.seed = {seed!r}"])
    config = configurables.train_config()
    configurables.hosts_config()
    return config.schedule.steps


class _Stages:
    """Wall time by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        start = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - start, 1)


@contextlib.contextmanager
def _locked(out: pathlib.Path, settings: dict[str, int]) -> Iterator[None]:
    """Holds the folder's lock, and refuses other settings, which would mix two sets of faces."""
    with contextlib.ExitStack() as held:
        with _folder_errors(out):
            held.enter_context(files.folder_lock(out, "quickstart", "--output_dir"))
            _check_settings(out, settings)
            files.write_text(out / SETTINGS, json.dumps(settings) + "\n")
        yield


@contextlib.contextmanager
def _folder_errors(out: pathlib.Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            f"--output_dir={out}: cannot be written ({error.strerror}). Choose a writable "
            "folder on a disk with free space."
        ) from error


def _check_settings(out: pathlib.Path, settings: dict[str, int]) -> None:
    found = _read_settings(out / SETTINGS)
    if found not in (None, settings):
        raise UserError(
            f"{out}: holds a quickstart with {json.dumps(found)}; now "
            f"{json.dumps(settings)} is requested. Choose another --output_dir."
        )


def _read_settings(path: pathlib.Path) -> Any:
    """Contents of settings.json; None if there is none or, with a warning, a damaged one."""
    try:
        return json_files.read_json(path)
    except FileNotFoundError:
        return None
    except ValueError:
        # The faces in the folder have settings of their own, which draw and crop compare.
        logging.warning("%s is damaged; it is written again with this command's settings.", path)
        return None


def _render_once(
    out: pathlib.Path,
    csv_paths: list[pathlib.Path],
    url_root: str,
    bar: Any,
    faces: int,
    identities: int,
    triplets: int,
    seed: int,
) -> None:
    """Renders the faces unless done, then moves the csv files and labels to the manual directory.

    The csv files are moved last, so their presence there marks the stage as complete.
    """
    if all(path.is_file() for path in csv_paths):
        return
    render_dataset(
        out,
        faces,
        identities,
        triplets,
        TEST_FRACTION,
        url_root,
        seed,
        progress=bar.update,
        validation_fraction=VALIDATION_FRACTION,
    )
    for name in (EXPRESSIONS_CSV, PERSONS_CSV, *(path.name for path in csv_paths)):
        (out / name).replace(csv_paths[0].with_name(name))


class _SilentHandler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder over keep-alive connections, without a log line per photo."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *arguments: Any) -> None:
        """Logs nothing."""


def _saved_port(port_file: pathlib.Path) -> int:
    """The port that a killed quickstart used, which its csv files name; 0, any, if unknown."""
    try:
        port = int(port_file.read_text())
    except (FileNotFoundError, ValueError):
        return 0
    return port if 0 < port < 65536 else 0


@contextlib.contextmanager
def _served(folder: pathlib.Path) -> Iterator[str]:
    """Runs a real HTTP server on the loopback interface during the block; yields its URL."""
    folder.mkdir(parents=True, exist_ok=True)
    port_file = folder / ".port"  # the csv files of a resumed quickstart name this port
    port = _saved_port(port_file)
    handler = functools.partial(_SilentHandler, directory=str(folder))
    try:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
    except OSError as error:
        raise UserError(
            f"port {port} of 127.0.0.1, which the csv files name, is in use ({error.strerror}). "
            "Free the port, or choose another --output_dir."
        ) from error
    files.write_text(port_file, str(server.server_port))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
