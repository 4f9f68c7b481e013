"""Splits of photos and streams of triplets."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagefec.serving.judging.triplets import (
    Stream,
    assign_splits,
    grouped,
    is_turn,
    possible_types,
    split_sizes,
    type_of,
)

LABELS = {**{f"a{i}": "joy" for i in range(4)}, **{f"b{i}": "fear" for i in range(2)}, "c": "awe"}


def test_a_split_has_its_share_of_the_photos_and_at_least_three():
    assert split_sizes(100, 0.1, 0.2) == {"validation": 10, "test": 20, "train": 70}
    assert split_sizes(10, 0.1, 0.2) == {"validation": 3, "test": 3, "train": 4}
    assert split_sizes(3, 0, 0) == {"validation": 0, "test": 0, "train": 3}


@pytest.mark.parametrize(
    ("n", "fractions", "said"),
    [(8, (0.1, 0.2), "8 faces are too few for 3 splits"), (2, (0, 0), "2 faces .* for 1 split of")],
)
def test_too_few_photos_are_refused(n, fractions, said):
    with pytest.raises(ValueError, match=said):
        split_sizes(n, *fractions)


@given(
    st.lists(st.sampled_from(["", "joy", "fear"]), min_size=9, max_size=80),
    st.integers(0, 2**32 - 1),
    st.floats(0.05, 0.3),
    st.floats(0.05, 0.3),
)
def test_splits_have_their_sizes_and_depend_on_the_seed_only(labels, seed, validation, test):
    try:
        sizes = split_sizes(len(labels), validation, test)
    except ValueError:
        return
    splits = assign_splits(labels, seed, validation, test)
    assert Counter(splits) == sizes
    assert splits == assign_splits(labels, seed, validation, test)


def test_every_split_has_its_share_of_every_label():
    labels = ["joy"] * 50 + ["fear"] * 50
    splits = assign_splits(labels, 3, 0.1, 0.2)
    for place in (0, 50):
        counts = Counter(splits[place : place + 50])
        assert 9 <= counts["test"] <= 11 and 4 <= counts["validation"] <= 6


@given(st.floats(0, 1), st.integers(1, 300))
def test_turns_take_their_share_evenly(share, n):
    turns = [is_turn(place, share) for place in range(n)]
    for end in range(1, n + 1):
        assert abs(sum(turns[:end]) - share * end) <= 1 + 1e-6


def test_the_type_of_a_triplet_is_its_number_of_labels():
    assert type_of(LABELS, ["a0", "a1", "a2"]) == "one_class"
    assert type_of(LABELS, ["a0", "a1", "c"]) == "two_class"
    assert type_of(LABELS, ["a0", "b0", "c"]) == "three_class"
    assert type_of({**LABELS, "c": ""}, ["a0", "b0", "c"]) == ""


@pytest.mark.parametrize(
    ("faces", "types"),
    [
        (("a0", "a1", "a2"), ("one_class",)),
        (("a0", "a1", "b0"), ("two_class",)),
        (("a0", "b0", "c"), ("three_class",)),
        (("a0", "a1", "a2", "b0"), ("one_class", "two_class")),
        (tuple(LABELS), ("one_class", "two_class", "three_class")),
    ],
)
def test_only_types_that_the_faces_can_form_are_possible(faces, types):
    assert possible_types(grouped(LABELS, faces)) == types


def test_without_labels_there_is_one_unknown_type():
    assert possible_types(grouped({"x": "", "y": "", "z": ""}, "xyz")) == ("",)


def stream(faces, key=(0,)):
    groups = grouped(LABELS, faces)
    return Stream(key, groups, possible_types(groups))


def test_a_stream_gives_each_triplet_once_with_types_in_turn_until_none_is_left():
    seen = set()
    kinds = []
    endless = stream(LABELS)
    while (triplet := endless.first_without(seen)) is not None:
        assert len(triplet) == 3 and triplet not in seen
        seen.add(triplet)
        kinds.append(type_of(LABELS, triplet))
    assert len(seen) == 35  # 7 over 3
    assert kinds[:6] == ["one_class", "two_class", "three_class"] * 2
    # 4 over 3 = 4 of one class, 4 * 2 * 1 = 8 of three, the other 23 of two
    assert Counter(kinds) == {"one_class": 4, "two_class": 23, "three_class": 8}


def test_a_stream_depends_on_its_key():
    taken = []
    for key in ((1,), (1,), (2,)):
        endless, seen, triplets = stream(LABELS, key), set(), []
        for _ in range(8):
            triplets.append(endless.first_without(seen))
            seen.add(triplets[-1])
        taken.append(triplets)
    assert taken[0] == taken[1] != taken[2]
