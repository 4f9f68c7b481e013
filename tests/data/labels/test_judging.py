"""Types and votes by labels, counts and ratings, against loops and values worked by hand."""

import itertools

import numpy as np
import pytest

from imagefec.data.labels.judging import (
    NO_VOTE,
    CountJudge,
    LabelJudge,
    RatingJudge,
    decide,
)
from imagefec.fec import TripletType

RNG = np.random.default_rng


def test_labels_decide_two_class_triplets_only():
    labels = ["joy", "joy", "fear", "awe", "joy"]
    triplets = np.array(list(itertools.permutations(range(5), 3)))
    types, votes = LabelJudge(labels).judge(RNG(0), triplets)
    for triplet, kind, (vote,) in zip(triplets, types, votes):
        of = [labels[at] for at in triplet]
        assert kind == len(set(of)) - 1
        odd = [at for at in range(3) if of.count(of[at]) == 1]
        assert vote == (odd[0] if kind == TripletType.TWO_CLASS else NO_VOTE)


def test_sure_counts_are_judged_as_labels():
    counts = np.array([[10, 0, 0], [7, 0, 0], [0, 3, 0], [0, 0, 5]])
    types, votes = CountJudge(counts, 4).judge(RNG(0), np.array([[0, 1, 2], [2, 0, 3], [1, 3, 0]]))
    assert types.tolist() == [1, 2, 1]
    assert votes.tolist() == [[2] * 4, [NO_VOTE] * 4, [1] * 4]


def test_raters_see_each_face_as_often_as_its_counts_say():
    counts = np.array([[3, 1], [1, 0], [0, 1]])  # face 0 is seen as label 0 with 3/4
    _, votes = CountJudge(counts, 1).judge(RNG(1), np.tile([0, 1, 2], (20_000, 1)))
    assert (votes == 2).mean() == pytest.approx(0.75, abs=0.015)
    assert (votes == 1).mean() == pytest.approx(0.25, abs=0.015)


def test_a_label_that_nobody_chose_is_never_seen():
    counts = np.array([[0, 1, 1, 0], [0, 1, 0, 0], [0, 0, 1, 0]]) * 0.1
    judge = CountJudge(counts, 50)
    _, votes = judge.judge(RNG(2), np.array([[0, 1, 2]] * 200))
    assert set(np.unique(votes)) == {1, 2}  # 0 is seen as 1 or as 2, never as odd


def test_a_face_with_two_most_frequent_labels_has_no_type():
    types, _ = CountJudge(np.array([[2, 2], [1, 0], [0, 1]]), 1).judge(
        RNG(0), np.array([[0, 1, 2]])
    )
    assert types.tolist() == [-1]


def points(*rows):
    return [[row] for row in rows]


def test_rated_faces_are_odd_by_distance_and_typed_by_the_number_of_alike_pairs():
    # 0, 1, 2 and 3, 4 are close; 5 is between them. A fifth of the 45 pairs, 9, are alike: the 4
    # within these groups and 5 of the 6 among the last four faces, about 1 apart.
    last = (40, 0), (41, 0), (40, 1), (41, 1.5)
    values = points((0, 0), (0.1, 0), (0, 0.1), (9, 9), (9.1, 9), (4.5, 4.6), *last)
    judge = RatingJudge(values, 6, 0)
    assert judge.raters == ("simulated",)
    types, votes = judge.judge(RNG(0), np.array([[0, 3, 1], [4, 3, 0], [0, 3, 5], [0, 1, 2]]))
    assert types.tolist()[:3] == [TripletType.TWO_CLASS, TripletType.TWO_CLASS, 2]
    assert votes.ravel().tolist()[:2] == [1, 2]
    assert votes[2, 0] == NO_VOTE  # 5 is almost as far from 0 as from 3
    assert types[3] == TripletType.ONE_CLASS


def test_columns_of_ratings_count_by_their_spread():
    values = points((0, 0), (1000, 0.01), (0, 0.4), (1000, 0.4))
    _, votes = RatingJudge(values, 1, 0).judge(RNG(0), np.array([[0, 1, 2]]))
    scaled = np.array([row[0] for row in values]) / np.std([row[0] for row in values], axis=0)
    a, b, c = scaled[:3]
    distances = [np.linalg.norm(b - c), np.linalg.norm(a - c), np.linalg.norm(a - b)]
    nearest, next_one = sorted(distances)[:2]
    assert votes[0, 0] == (np.argmin(distances) if nearest < 0.9 * next_one else NO_VOTE)


def test_several_ratings_are_drawn_from():
    values = [[[0.0], [10.0]], [[0.0]], [[10.0]]]  # face 0 looks like 1 or like 2, equally often
    judge = RatingJudge(values, 2, 0)
    assert judge.raters == ("simulated00", "simulated01")
    _, votes = judge.judge(RNG(3), np.tile([0, 1, 2], (4000, 1)))
    assert (votes == 2).mean() == pytest.approx(0.5, abs=0.03)
    assert set(np.unique(votes)) == {1, 2}


def test_the_majority_of_at_least_half_of_the_raters_decides():
    votes = np.array([[2, 2, 0, -1], [0, 1, -1, -1], [1, -1, -1, -1], [-1] * 4, [0, 0, 1, 1]])
    odd, why = decide(votes)
    assert odd.tolist() == [2, -1, -1, -1, -1]
    assert why.tolist() == ["", "tie", "undecided", "undecided", "tie"]
