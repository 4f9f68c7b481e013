"""Which columns are read as what: by their names, and by --by."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagefec.data.labels.columns import ROLES, columns_of, parse_by
from imagefec.errors import UserError


@pytest.mark.parametrize(
    ("header", "kind", "columns"),
    [
        (
            ["path", "emotion", "Subject ID", "Usage"],
            "label",
            {
                "path": ("path",),
                "label": ("emotion",),
                "person": ("Subject ID",),
                "split": ("Usage",),
            },
        ),
        (
            ["url", "top", "left", "right", "bottom", "label"],
            "label",
            {"url": ("url",), "label": ("label",), "box": ("left", "right", "top", "bottom")},
        ),
        (  # FER+
            ["Usage", "Image name", "neutral", "happiness", "surprise", "unknown", "NF"],
            "counts",
            {
                "split": ("Usage",),
                "path": ("Image name",),
                "counts": ("neutral", "happiness", "surprise"),
            },
        ),
        (
            ["image", "valence", "arousal"],
            "ratings",
            {"path": ("image",), "ratings": ("valence", "arousal")},
        ),
        (  # a label goes before ratings
            ["image", "valence", "arousal", "expression"],
            "label",
            {"path": ("image",), "label": ("expression",)},
        ),
    ],
)
def test_usual_names_are_known(header, kind, columns):
    assert columns_of(header, {}, "t.csv") == (kind, columns)


def test_one_or_two_sides_and_sides_that_by_ignores_are_no_box():
    for sides, by in ((["left"], []), (["left", "top"], []), (["left", "right", "top"], ["box:"])):
        _, columns = columns_of(["path", "label", *sides], parse_by(by), "t.csv")
        assert set(columns) == {"path", "label"}


def test_by_goes_before_names():
    by = parse_by(["ratings:a,b", "person:", "path:file"])
    assert by == {"ratings": ("a", "b"), "person": (), "path": ("file",)}
    header = ["path", "file", "a", "b", "emotion", "person"]
    assert columns_of(header, by, "t") == ("ratings", {"ratings": ("a", "b"), "path": ("file",)})


def test_names_that_differ_only_in_case_are_told_apart_by_by_and_where_they_are_not_used():
    header = ["path", "Label", "label", "Note", "note"]
    _, columns = columns_of(header, parse_by(["label:Label"]), "t.csv")
    assert columns == {"path": ("path",), "label": ("Label",)}


def test_a_name_with_a_comma_is_quoted():
    assert parse_by(['counts:"joy, loud",fear']) == {"counts": ("joy, loud", "fear")}


@pytest.mark.parametrize(
    ("by", "said"),
    [
        (["emotion"], "allowed are ROLE:COLUMN"),
        (["mood:x"], "found 'mood'"),
        (["label:a", "label:b"], "given twice"),
        (["label:a,b"], "label takes one column; found 2"),
        (["box:a,b"], "four columns"),
        (["counts:a,a"], "1 of them different"),
        (["label:a", "counts:b,c"], "only one of label, counts and ratings"),
        (["folders:split/emotion"], "allowed are the levels"),
        (["folders:split"], "with label among them"),
    ],
)
def test_a_wrong_by_is_refused(by, said):
    with pytest.raises(UserError, match=said):
        parse_by(by)


@pytest.mark.parametrize(
    ("header", "by", "said"),
    [
        (["a", "b"], [], "no column is known to name the photos; it has the columns 'a', 'b'"),
        (["path", "b"], [], "no column is known to be a label, counts or ratings"),
        (["path", "neutral", "fear"], [], "no column is known to be a label"),
        (["path", "label"], ["label:mood"], "there is no column 'mood'; it has the columns 'path'"),
        (["path", "label", "label"], [], "two columns 'label'"),
        (["path", "Label", "label"], [], "columns 'Label' and 'label', which differ only in"),
        (["path", "Joy", "joy", "fear", "awe"], [], "columns 'Joy' and 'joy', which differ only"),
        (["path", "label", "left", "right", "Top"], [], "has left, right, top, but no bottom; a"),
        (["path", "label"], ["folders:label"], "for a SOURCE that is a folder"),
    ],
)
def test_columns_that_are_not_known_are_named(header, by, said):
    with pytest.raises(UserError, match=said):
        columns_of(header, parse_by(by), "t.csv")


@given(st.lists(st.tuples(st.sampled_from([*ROLES, "x", ""]), st.text()), max_size=3))
def test_any_by_is_read_or_refused(parts):
    try:
        found = parse_by([f"{role}:{text}" for role, text in parts])
    except UserError:
        return
    assert len(found) == len(parts)
