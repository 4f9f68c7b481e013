"""From a folder of labelled synthetic faces to a gallery, through every stage unchanged."""

import csv
import json
import shutil
from collections import Counter

import pytest

from imagefec import cli, quickstart
from imagefec.faces.synthetic import render_dataset


def labelled_folder(root, drawn):
    """A folder LABEL/PERSON/*.jpg of the drawn photos that show one face."""
    persons = {}
    with (drawn / "identities.csv").open() as file:
        for line in csv.DictReader(file):
            persons[line["image"], line["position"]] = line["identity"]
    with (drawn / "controls.csv").open() as file:
        lines = list(csv.DictReader(file))
    n_faces = Counter(line["image"] for line in lines)
    for line in lines:
        if n_faces[line["image"]] == 1:
            person = persons[line["image"], line["position"]]
            to = root / "own" / line["word"] / person
            to.mkdir(parents=True, exist_ok=True)
            shutil.copy(drawn / line["image"], to)
    return root / "own"


def run(*argv):
    assert cli.main(list(map(str, argv))) == 0


def dataset_of(root, own, n_triplets, detector):
    """Triplets, photos, faces and the dataset of a folder."""
    out = root / "fec"
    run("triplets", own, f"--out={out}", "--by=folders:label/person", f"--boxes={detector}",
        f"--triplets={n_triplets}")  # fmt: skip
    paths = sorted(out.glob("faceexp-*.csv"))
    run("fetch", *paths, f"--cache={root / 'cache'}")
    crop_detector = "none" if detector == "whole" else detector
    run("crop", *paths, f"--cache={root / 'cache'}", f"--faces={out / 'faces'}",
        f"--detector={crop_detector}", "--workers=1")  # fmt: skip
    quickstart.build(out, root / "data")
    return out, root / "data"


def test_a_labelled_folder_goes_through_all_stages(world, tmp_path, capsys):
    own = labelled_folder(tmp_path, world.manual_dir)
    out, data = dataset_of(tmp_path, own, n_triplets=80, detector="whole")
    where = [f"--run={tmp_path / 'run'}", f"--data_dir={data}"]
    run("train", "--config_file=smoke.gin", f"--data_dir={data}", f"--output_dir={where[0][6:]}",
        "--config=training.eval_split = 'validation'")  # fmt: skip
    capsys.readouterr()
    run("evaluate", *where, "--json")
    result = json.loads(capsys.readouterr().out)
    report = json.loads((out / "report.json").read_text())
    assert result["n_triplets"] == report["splits"]["test"]["n_triplets"]
    assert result["human_tpa"] is None and result["human_tpa_source"] is None  # one rater
    run("gallery", *where, f"--out={tmp_path / 'gallery'}", "--queries=3")
    assert (tmp_path / "gallery" / "gallery.html").is_file()
    crop = json.loads((out / "faces" / "report.json").read_text())
    assert crop["n_kept"] == crop["n_faces"] and crop["detector"]["by_class"]


@pytest.mark.slow
def test_triplets_of_labels_can_be_learned(tmp_path, capsys):
    drawn = render_dataset(
        tmp_path / "drawn", faces=3000, identities=100, triplets=20, seed=4, workers=1
    )
    own = labelled_folder(tmp_path, drawn)
    _, data = dataset_of(tmp_path, own, n_triplets=12_000, detector="blazeface")
    run("train", "--config_file=quickstart.gin", f"--data_dir={data}",
        f"--output_dir={tmp_path / 'run'}", "--config=steps = 1500",
        "--config=training.steps_per_eval = 500")  # fmt: skip
    capsys.readouterr()
    run("evaluate", f"--run={tmp_path / 'run'}", f"--data_dir={data}", "--json")
    assert json.loads(capsys.readouterr().out)["tpa"] > 0.5
