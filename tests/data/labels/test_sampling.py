"""Sampling: numbers, types, hard negatives, photos, and faces that give no more triplets."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagefec.data.labels.judging import CountJudge, LabelJudge, RatingJudge
from imagefec.data.labels.sampling import sample_triplets, votes_of
from imagefec.fec import TripletType


def sampled(labels, n, persons=None, photos=None, share=0.0, seed=0):
    persons = [-1] * len(labels) if persons is None else persons
    photos = range(len(labels)) if photos is None else photos
    return sample_triplets(
        LabelJudge(labels), np.array(photos), np.array(persons), n, share, [seed]
    )


@settings(max_examples=30)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(-1, 3), st.integers(0, 8)), max_size=12),
    st.integers(0, 40),
    st.sampled_from([0.0, 0.5, 1.0]),
)
def test_every_triplet_is_new_right_and_of_three_photos(faces, n, share):
    labels = [f"l{label}" for label, _, _ in faces]
    photos = [photo for _, _, photo in faces]
    found = sampled(labels, n, [person for _, person, _ in faces], photos, share)
    assert len(found) <= n
    assert len({tuple(sorted(row)) for row in found.triplets.tolist()}) == len(found)
    for triplet, odd in zip(found.triplets.tolist(), found.odd()):
        assert len({photos[at] for at in triplet}) == 3
        alike = [labels[at] for place, at in enumerate(triplet) if place != odd]
        assert len(set(alike)) == 1 and labels[triplet[odd]] != alike[0]


def test_all_triplets_are_found_if_more_are_asked_for():
    found = sampled(["a", "a", "b", "b"], 100)
    assert {tuple(sorted(row)) for row in found.triplets.tolist()} == {
        (0, 1, 2), (0, 1, 3), (0, 2, 3), (1, 2, 3)
    }  # fmt: skip
    assert len(found) == 4 and found.asked == {TripletType.TWO_CLASS: 100}
    assert found.refused["sampled before"] > 0


def test_rare_labels_are_sampled_as_often_as_frequent_ones():
    labels = ["often"] * 90 + ["rare"] * 10
    found = sampled(labels, 300)
    of_odd = [labels[row[odd]] for row, odd in zip(found.triplets.tolist(), found.odd())]
    assert of_odd.count("rare") == pytest.approx(150, abs=35)


def test_the_odd_one_is_the_same_person_as_one_of_the_others_in_the_share_asked_for():
    rng = np.random.default_rng(0)
    labels = [f"l{n}" for n in rng.integers(4, size=200)]
    persons = rng.integers(50, size=200)
    hard = sampled(labels, 400, persons, share=0.5).hard(persons)
    by_chance = sampled(labels, 400, persons).hard(persons)
    assert hard.sum() >= 200 and by_chance.sum() < 60
    found = sampled(labels, 400, persons, share=0.5)
    for triplet, odd, is_hard in zip(found.triplets, found.odd(), hard):
        of = persons[triplet].tolist()
        assert is_hard == (of.count(of[odd]) == 2)


def test_types_are_equally_frequent_where_raters_answer_them():
    rng = np.random.default_rng(1)
    counts = rng.integers(0, 4, (60, 4)) + 6 * np.eye(4, dtype=int)[rng.integers(4, size=60)]
    none = np.full(60, -1)
    for judge in (
        CountJudge(counts.astype(float), 6),
        RatingJudge([[row] for row in rng.normal(size=(60, 2)).tolist()], 6, 0),
    ):
        found = sample_triplets(judge, np.arange(60), none, 301, 0.0, [0])
        assert [int((found.types == kind).sum()) for kind in TripletType] == [101, 100, 100]


def test_the_same_seed_gives_the_same_triplets():
    labels = ["a", "b", "c"] * 20
    first, second, other = (sampled(labels, 50, seed=seed).triplets for seed in (1, 1, 2))
    assert (first == second).all() and (first != other).any()


def test_raters_who_did_not_vote_are_not_in_the_row():
    assert votes_of(np.array([2, -1, 0]), ("a", "b", "c")) == (("a", "c"), (2, 0))
    assert len(sampled([], 5)) == len(sampled(["a", "b"], 5)) == 0
