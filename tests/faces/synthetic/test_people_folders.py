"""A drawn world's people in VGGFace2's layout."""

import csv
import pathlib
from collections import defaultdict

from imagefec.data.exclusion import Exclusion
from imagefec.data.identity.folders import list_splits
from imagefec.faces.synthetic import render_world


def test_each_photograph_of_one_person_alone_stands_in_that_persons_folder(tmp_path):
    world = render_world(
        tmp_path / "drawn",
        faces=500,
        identities=24,
        triplets=300,
        seed=5,
        workers=1,
        people_folders=True,
        validation_fraction=0.2,
    )
    of_photo = defaultdict(list)
    with open(world / "identities.csv", newline="") as file:
        for head in csv.DictReader(file):
            of_photo[head["image"]].append((head["split"], head["identity"]))
    wanted = {
        f"people/{split}/{who}/{pathlib.PurePath(name).name}": name
        for name, heads in of_photo.items()
        for split, who in heads
        if len(heads) == 1 and split != "validation"
    }
    found = {path.relative_to(world).as_posix(): path for path in (world / "people").rglob("*.jpg")}
    assert found.keys() == wanted.keys() and any(len(heads) > 1 for heads in of_photo.values())
    for name, path in found.items():
        assert path.samefile(world / wanted[name])
    assert list(list_splits(world / "people", Exclusion())) == ["train", "test"]


def test_a_world_drawn_without_being_asked_has_none(tmp_path):
    assert not (
        render_world(tmp_path, faces=460, identities=24, triplets=30, seed=5, workers=1) / "people"
    ).exists()
