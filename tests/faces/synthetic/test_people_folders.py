"""Folders of synthetic identities in VGGFace2's layout."""

import csv
import pathlib
from collections import defaultdict

from imagefec.data.exclusion import Exclusion
from imagefec.data.identity.folders import list_splits
from imagefec.faces.synthetic import render_dataset


def test_each_photo_of_a_single_person_is_in_that_persons_folder(tmp_path):
    out = render_dataset(
        tmp_path / "synthetic",
        faces=500,
        identities=24,
        triplets=300,
        seed=5,
        workers=1,
        people_folders=True,
        validation_fraction=0.2,
    )
    of_photo = defaultdict(list)
    with (out / "identities.csv").open(newline="") as file:
        for head in csv.DictReader(file):
            of_photo[head["image"]].append((head["split"], head["identity"]))
    expected = {
        f"people/{split}/{identity}/{pathlib.PurePath(name).name}": name
        for name, heads in of_photo.items()
        for split, identity in heads
        if len(heads) == 1 and split != "validation"
    }
    found = {path.relative_to(out).as_posix(): path for path in (out / "people").rglob("*.jpg")}
    assert found.keys() == expected.keys() and any(len(heads) > 1 for heads in of_photo.values())
    for name, path in found.items():
        assert path.samefile(out / expected[name])
    assert list(list_splits(out / "people", Exclusion())) == ["train", "test"]


def test_there_are_no_people_folders_by_default(tmp_path):
    out = render_dataset(tmp_path, faces=460, identities=24, triplets=30, seed=5, workers=1)
    assert not (out / "people").exists()
