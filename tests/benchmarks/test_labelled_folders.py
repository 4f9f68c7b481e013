"""benchmarks/labelled_folders.py: synthetic photos as folders by label and person."""

import csv
import runpy
import sys
from collections import Counter
from pathlib import Path

import imagefec
from imagefec.faces.synthetic import render_dataset

SCRIPT = Path(imagefec.__file__).parents[1] / "benchmarks/labelled_folders.py"


def test_every_photo_of_one_face_lies_in_the_folder_of_its_label_and_person(tmp_path, monkeypatch):
    drawn, portraits = tmp_path / "drawn", tmp_path / "portraits"
    render_dataset(drawn, 300, 20, 300, 0.3, "http://x", seed=0, workers=1)
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), str(drawn), str(portraits)])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    with (drawn / "controls.csv").open() as file:
        faces = list(csv.DictReader(file))
    n_faces = Counter(row["image"] for row in faces)
    expected = {
        (row["word"], Path(row["image"]).name) for row in faces if n_faces[row["image"]] == 1
    }
    found = list(portraits.glob("*/*/*.jpg"))
    assert {(path.parts[-3], path.name) for path in found} == expected and len(found) > 100
    with (drawn / "identities.csv").open() as file:
        people = {row["identity"] for row in csv.DictReader(file)}
    assert {path.parent.name for path in found} <= people
