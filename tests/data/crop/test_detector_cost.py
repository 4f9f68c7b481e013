"""A detector that misses many small faces: what the crop says, and what the build says."""

import csv
import functools
import http.server
import json
import re
import subprocess
import sys
import threading
from collections import Counter

import pytest
from PIL import Image

from imagefec.data.crop.detector_warnings import warnings_about
from imagefec.data.fetch.stage import fetch_photos
from imagefec.faces.detectors import make_detector
from imagefec.faces.synthetic import render_dataset

SPLITS = ("test", "train")
WIDE_EYED = {"surprise", "fear", "awe", "realization"}  # Haar misses these more often


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


class Cropped:
    """Synthetic photos of 43 px, fetched over HTTP and cropped by the command line with Haar."""

    def __init__(self, root):
        self.root = root
        self.csv_paths = [root / f"faceexp-comparison-data-{split}-public.csv" for split in SPLITS]
        handler = functools.partial(QuietHandler, directory=str(root))
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            url_root = f"http://127.0.0.1:{server.server_port}"
            render_dataset(root, 600, 60, 900, 0.3, url_root, seed=0, workers=1)
            for path in root.glob("images/*/*.jpg"):
                shrink(path, 0.2)
            fetched = fetch_photos(self.csv_paths, root / "cache")
            assert fetched.n_fetched == fetched.n_urls
            server.shutdown()
        self.name_two_classes()
        command = [sys.executable, "-m", "imagefec", "crop", *map(str, self.csv_paths)]
        command += [f"--cache={root / 'cache'}", f"--faces={root / 'faces'}", "--detector=haar"]
        self.done = subprocess.run(
            [*command, "--workers=1"], capture_output=True, text=True, timeout=300
        )
        self.report = json.loads((root / "faces" / "report.json").read_text())
        self.dropped = {
            self.key(row["url"], row["left"], row["top"])
            for row in csv.DictReader((root / "faces" / "faces.csv").open())
            if row["kept"] == "0"
        }

    def name_two_classes(self):
        """Replaces the thirty words of expressions.csv, whose classes are small, by two."""
        path = self.root / "expressions.csv"
        with path.open() as file:
            self.labels = list(csv.DictReader(file))
        for row in self.labels:
            row["expression"] = "wide-eyed" if row["expression"] in WIDE_EYED else "other"
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, self.labels[0])
            writer.writeheader()
            writer.writerows(self.labels)

    @staticmethod
    def key(url, left, top):
        return url, float(left), float(top)

    def triplets(self, split):
        """(faces, type, has an odd one, whether a face was dropped) of each line of the csv."""
        with self.csv_paths[SPLITS.index(split)].open() as file:
            for cells in csv.reader(file):
                faces = [self.key(*cells[at : at + 2], cells[at + 3]) for at in (0, 5, 10)]
                votes = sorted(Counter(cells[17::2]).values())
                has_odd = votes[-1:] != votes[-2:-1]
                yield faces, cells[15], has_odd, bool(self.dropped.intersection(faces))


@pytest.fixture(scope="module")
def cropped(tmp_path_factory):
    return Cropped(tmp_path_factory.mktemp("small"))


def shrink(path, factor):
    with Image.open(path) as photo:
        size = [round(side * factor) for side in photo.size]
        smaller = photo.resize(size, Image.Resampling.LANCZOS)
    smaller.save(path, quality=95)


def percent(n, of):
    return f"{n} of {of} ({n / of:.1%})"


def test_the_console_says_what_the_drops_cost(cropped):
    assert cropped.done.returncode == 0 and cropped.done.stdout == f"{cropped.root / 'faces'}\n"
    lines = cropped.done.stderr.splitlines()
    faces = {face for split in SPLITS for three, *_ in cropped.triplets(split) for face in three}
    assert len(cropped.dropped) > 0.1 * len(faces)  # the detector does miss faces
    assert f"faces     {percent(len(faces) - len(cropped.dropped), len(faces))} cropped" in lines
    assert f"dropped   {len(cropped.dropped)}: no face found" in lines
    for split in SPLITS:
        rows = list(cropped.triplets(split))
        whole = [kind for _, kind, has_odd, lost in rows if has_odd and not lost]
        assert (
            f"triplets  {split}: {percent(len(whole), len(rows))} complete, "
            f"{len(rows) - len(whole)} lost"
        ) in lines
        by_type = ", ".join(
            f"{name}_class {percent(whole.count(kind), sum(row[1] == kind for row in rows))}"
            for name in ("one", "two", "three")
            for kind in [f"{name.upper()}_CLASS_TRIPLET"]
        )
        assert f"complete  {split}: {by_type}" in lines
        lost = sum(has_odd and lost for _, _, has_odd, lost in rows)
        assert f"lost      {split}: {percent(lost, len(rows))}: no face found" in lines


def test_the_console_warns_of_the_triplets_that_the_detector_costs(cropped):
    labelled = [lost for s in SPLITS for *_, has_odd, lost in cropped.triplets(s) if has_odd]
    assert sum(labelled) > 0.1 * len(labelled)
    warning = next(w for w in cropped.report["warnings"] if " triplets: " in w)
    assert warning.startswith(
        f"detector haar costs {percent(sum(labelled), len(labelled))} triplets: it finds no face "
        f"in {len(cropped.dropped)} of "
    )
    assert warning.endswith(
        "--detector=none if the csv files' boxes can be trusted, with a new --faces folder."
    )
    assert "another --detector (" in warning and "lbp" in warning and "yunet" not in warning
    logged = [line for line in cropped.done.stderr.splitlines() if line.startswith("WARNING")]
    assert [line.split("crop: ", 1)[1] for line in logged] == cropped.report["warnings"]


def test_the_console_warns_of_a_class_that_is_missed_far_more_often(cropped):
    faces = {face for split in SPLITS for three, *_ in cropped.triplets(split) for face in three}
    counts = {}
    for name in ("wide-eyed", "other"):
        keys = {
            cropped.key(row["url"], row["left"], row["top"])
            for row in cropped.labels
            if row["expression"] == name
        } & faces
        counts[name] = percent(len(keys & cropped.dropped), len(keys))
    assert any(
        warning.startswith(
            "detector haar costs far more of the faces of class wide-eyed than of other: "
            f"{counts['wide-eyed']} against {counts['other']}; try "
        )
        for warning in cropped.report["warnings"]
    )
    line = f"missed    wide-eyed {counts['wide-eyed']}, other {counts['other']}"
    assert line in cropped.done.stderr.splitlines()


def test_the_build_logs_the_same_numbers(cropped, tmp_path):
    code = "from tensorflow_datasets.scripts.cli.main import launch_cli; launch_cli()"
    folders = f"--manual_dir={cropped.root}", f"--data_dir={tmp_path}"
    built = subprocess.run(
        [sys.executable, "-c", code, "build", builder_folder(), "--config=index", *folders],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert built.returncode == 0, built.stderr
    for split in SPLITS:
        counts = cropped.report["triplets"][split]
        logged = re.search(
            rf"fec, split {split}: \S+: (\d+) of (\d+) triplets built, .*dropped: (.*)",
            built.stdout + built.stderr,
        )
        assert [int(n) for n in logged.groups()[:2]] == [counts["whole"], counts["n_triplets"]]
        assert logged[3] == ", ".join(f"{n} {reason}" for reason, n in counts["lost"].items())


def builder_folder():
    import tfds_builders.fec

    return tfds_builders.fec.__path__[0]


COST = {"n_faces": 100, "n_missed": 5, "n_triplets": 200, "uneven_type": None}


def test_a_tenth_of_the_triplets_is_not_yet_a_warning():
    haar = make_detector("haar")
    assert warnings_about(COST | {"n_lost": 20}, haar) == []
    (warning,) = warnings_about(COST | {"n_lost": 21}, haar)
    assert warning.startswith("detector haar costs 21 of 200 (10.5%) triplets: it finds no face in")


def test_without_triplets_there_is_no_warning():
    cost = {"n_faces": 0, "n_missed": 0, "n_triplets": 0, "n_lost": 0, "uneven_type": None}
    assert warnings_about(cost, make_detector("haar")) == []


def test_a_lower_score_is_advised_only_where_there_is_one():
    cost = COST | {"n_lost": 100}
    assert "--min_score" not in warnings_about(cost, make_detector("haar"))[0]
    assert (
        "; try a --min_score below 55, another --detector ("
        in (warnings_about(cost, make_detector("haar", 55))[0])
    )


def test_types_lost_unevenly_are_named_with_their_triplets():
    counts = {"one_class": {"n": 80, "missed": 4}, "three_class": {"n": 60, "missed": 14}}
    cost = COST | {"n_lost": 18, "uneven_type": ["three_class", "one_class"], "by_type": counts}
    (warning,) = warnings_about(cost, make_detector("haar"))
    assert warning.startswith(
        "detector haar costs far more of the triplets of type three_class than of one_class: "
        "14 of 60 (23.3%) against 4 of 80 (5.0%); try another --detector ("
    )
