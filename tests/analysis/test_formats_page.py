"""docs/formats.md names every field and column that the code writes."""

import json
import pathlib
import re
import sqlite3

import numpy as np
import pytest

import imagefec

PAGE = (pathlib.Path(imagefec.__file__).parents[1] / "docs" / "formats.md").read_text("utf-8")
NAMES = set(re.findall(r"`([^`\n]+)`", PAGE))


def test_every_field_of_evaluate_is_on_the_page(run, data_dir):
    from imagefec.analysis.evaluate import evaluate_run

    options = {"against": run, "disjoint_from": "test", "invariance": True}
    result = evaluate_run(run, data_dir, split="train", **options)
    for name in ("against", "disjoint", "invariance", "by_type"):
        assert set(result[name]) <= NAMES, name
    assert set(result) <= NAMES


def test_every_feature_of_the_datasets_is_on_the_page(data_dir):
    (features,) = data_dir.glob("fec/triplets/*/features.json")
    found = json.loads(features.read_text())["featuresDict"]["features"]
    assert len(found) == 12 and set(found) <= NAMES


def test_every_column_of_embed_is_on_the_page(run, faces_dir, tmp_path):
    from imagefec.analysis.embed import embed_paths

    with np.load(embed_paths(run, faces_dir, tmp_path / "vectors.npz")) as columns:
        assert set(columns) <= NAMES


def test_the_columns_of_the_ledger_and_the_manifest_are_on_the_page(tmp_path):
    from imagefec.data.crop.face_folder import HEADER
    from imagefec.data.fetch.photo_cache.ledger import FILE_NAME, Ledger

    Ledger(tmp_path)
    with sqlite3.connect(tmp_path / FILE_NAME) as db:
        columns = {name for _, name, *_ in db.execute("PRAGMA table_info(photos)")}
    assert len(columns) == 8 and columns <= NAMES
    assert HEADER in NAMES


@pytest.mark.parametrize("class_name", ["Answer", "Undo"])
def test_the_fields_of_judgements_are_on_the_page(class_name):
    import dataclasses

    from imagefec.serving.judging import journal, schedule

    fields = {field.name for field in dataclasses.fields(getattr(journal, class_name))}
    if class_name == "Answer":
        fields = fields - {"trial"} | {each.name for each in dataclasses.fields(schedule.Trial)}
    assert fields <= NAMES
