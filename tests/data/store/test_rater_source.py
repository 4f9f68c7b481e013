"""Who judged the triplets of a built dataset, as its metadata say."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from imagefec.data.store.tfds_source import TfdsSource


@pytest.mark.parametrize(
    ("metadata", "splits", "source"),
    [
        ({"splits": {"test": {"raters": "simulated"}}}, ["test"], "simulated"),
        ({"splits": {"test": {"raters": "people"}}}, ["test"], "people"),
        (
            {"splits": {"a": {"raters": "people"}, "b": {"raters": "simulated"}}},
            ["a", "b"],
            "mixed",
        ),
        ({"splits": {"a": {"raters": "people"}, "b": {}}}, ["a", "b"], None),
        ({"splits": {"test": {"rows": 3}}}, ["test"], None),  # built by an earlier version
        ({"splits": {"test": {"raters": "dolphins"}}}, ["test"], None),
        ({"splits": {"test": {"raters": ["people"]}}}, ["test"], None),
        ({"splits": {"test": 3}}, ["test"], None),
        ({"splits": 3}, ["test"], None),
        ({}, ["test"], None),
        (None, ["test"], None),
    ],
)
def test_the_raters_of_the_splits_are_those_of_the_metadata(metadata, splits, source):
    builder = SimpleNamespace(info=SimpleNamespace(metadata=metadata))
    found = TfdsSource(Path(), builder, splits, np.zeros(0, np.int64))
    assert found.rater_source == source
