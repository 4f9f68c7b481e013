"""Splits by person, else by photo; shares, given splits, and their errors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagefec.data.fec_csv import FaceRef
from imagefec.data.labels.photos import Face
from imagefec.data.labels.splits import connected, parse_fractions, split_faces
from imagefec.errors import UserError
from imagefec.maths.geometry import Box


def face(number, photo=None, label="joy", person="", split=""):
    name = photo or f"photo{number}"
    ref = FaceRef(f"file:///{name}", Box(0, 1, 0, 1))
    return Face(str(number), name, ref, label, (), person, split)


def test_photos_are_parted_label_by_label_close_to_the_fractions():
    faces = [face(n, label="joy" if n % 5 else "fear") for n in range(500)]
    splits = split_faces(faces, (0.7, 0.1, 0.2), 0)
    for label, total in (("joy", 400), ("fear", 100)):
        own = [split for split, of in zip(splits, faces) if of.label == label]
        assert [own.count(name) for name in ("train", "validation", "test")] == pytest.approx(
            [0.7 * total, 0.1 * total, 0.2 * total], abs=1.1
        )


def test_the_splits_depend_on_the_seed_and_not_on_the_order():
    faces = [face(n) for n in range(60)]
    splits = dict(zip(faces, split_faces(faces, (0.7, 0.1, 0.2), 3)))
    assert splits == dict(zip(faces[::-1], split_faces(faces[::-1], (0.7, 0.1, 0.2), 3)))
    assert splits != dict(zip(faces, split_faces(faces, (0.7, 0.1, 0.2), 4)))


@settings(max_examples=30)
@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 6)), min_size=20, max_size=60),
    st.integers(0, 5),
)
def test_no_person_and_no_photo_is_in_two_splits(pairs, seed):
    faces = [
        face(n, f"photo{photo}", person=f"p{person}" if person else "")
        for n, (photo, person) in enumerate(pairs)
    ]
    try:
        splits = split_faces(faces, (0.5, 0.2, 0.3), seed)
    except UserError:
        return  # too few of them
    for what in ("photo", "person"):
        of = {}
        for each, split in zip(faces, splits):
            if getattr(each, what):
                assert of.setdefault(getattr(each, what), split) == split
    assert set(splits) == {"train", "validation", "test"}


def test_given_splits_are_kept_and_a_missing_validation_is_held_out_of_train():
    faces = [face(n, person=f"p{n // 4}", split="train" if n < 80 else "test") for n in range(100)]
    splits = split_faces(faces, None, 0)
    assert splits[80:] == ["test"] * 20 and splits.count("validation") == 8
    held = {each.person for each, split in zip(faces, splits) if split == "validation"}
    assert held.isdisjoint(each.person for each, split in zip(faces, splits) if split == "train")
    complete = [*faces, face(200, split="validation")]
    assert split_faces(complete, None, 0) == [each.split for each in complete]


def test_splits_that_cannot_be_are_refused():
    one = [face(n, person="ann") for n in range(9)]
    with pytest.raises(UserError, match=r"found 1 person for 3 splits .*--by=person:"):
        split_faces(one, (0.7, 0.1, 0.2), 0)
    assert split_faces(one, (1, 0, 0), 0) == ["train"] * 9
    with pytest.raises(UserError, match="2 of 3 faces have no split, the first: 1"):
        split_faces([face(0, split="train"), face(1), face(2)], None, 0)
    with pytest.raises(UserError, match="there is test and validation, but no train"):
        split_faces([face(0, split="test"), face(1, split="validation")], None, 0)


def test_all_faces_may_be_test():
    assert split_faces([face(n, split="test") for n in range(3)], None, 0) == ["test"] * 3
    assert split_faces([face(n) for n in range(3)], parse_fractions("0,0,1"), 0) == ["test"] * 3


@pytest.mark.parametrize(
    "text", ["", "0.7", "0.7,0.3", "0,0.5,0.5", "0,1,0", "1,1,1", "a,b,c", "nan,0,1"]
)
def test_fractions_that_do_not_add_up_are_refused(text):
    with pytest.raises(UserError, match="three fractions that add up to 1"):
        parse_fractions(text)
    assert parse_fractions("given") is None and parse_fractions("1,0,0") == (1, 0, 0)


@given(st.lists(st.lists(st.integers(0, 9), max_size=3), max_size=12))
def test_connected_groups_equal_a_naive_merging(groups):
    naive = list(range(len(groups)))
    for _ in groups:
        for a, first in enumerate(groups):
            for b, second in enumerate(groups):
                if set(first) & set(second):
                    naive[a] = naive[b] = min(naive[a], naive[b])
    found = connected(groups)
    same = np.equal.outer(found, found)
    assert (same == np.equal.outer(naive, naive)).all()
