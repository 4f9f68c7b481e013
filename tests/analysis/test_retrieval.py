"""Shares of neighbours by label and person against loops, and values worked by hand."""

import numpy as np
import pytest

from imagefec.analysis.retrieval import score_neighbours, score_same_person_odd
from imagefec.data.annotations import Annotations


def known(person, label):
    person, label = np.array(person), np.array(label)
    names = [tuple(f"n{i}" for i in range(codes.max() + 1)) for codes in (person, label)]
    return Annotations(person, label, *names)


def test_shares_are_those_worked_by_hand():
    # On a line: 0 | 1 2 | 3 | 10; the faces 1 and 2 are of one photo.
    vectors = np.array([[0.0], [1.0], [2.0], [3.5], [10.0]])
    urls = ["a", "b", "b", "c", "d"]
    found = score_neighbours(vectors, urls, known([0, 0, 1, 1, 0], [0, 0, 1, 1, 1]), ks=(1, 2))
    # Nearest from other photos: 0 -> 1, 1 -> 0, 2 -> 3, 3 -> 2, 4 -> 3; labels equal in all.
    assert found["same_label"]["1"]["share"] == 1.0
    # Two nearest: 0: 1 2 -> 1/2; 1: 0 3 -> 1/2; 2: 3 0 -> 1/2; 3: 2 1 -> 1/2; 4: 3 2 -> 1.
    assert found["same_label"]["2"]["share"] == pytest.approx(3 / 5)
    # Of 4, 3, 3, 4, 4 candidates 1, 1, 2, 2, 2 have the label.
    chance = (1 / 4 + 1 / 3 + 2 / 3 + 2 / 4 + 2 / 4) / 5
    assert found["same_label"]["1"]["chance"] == pytest.approx(chance)
    # The nearest is the same person for 0, 1, 2, 3, not for 4, whose nearest is 3.
    assert found["same_person"]["1"]["share"] == pytest.approx(4 / 5)
    # Other persons: 0 -> 2 (no), 1 -> 3 (no, 2 is of its photo), 2 -> 0 (no), 3 -> 1, 4 -> 3 (yes).
    others = found["same_label_other_persons"]["1"]
    assert others["share"] == pytest.approx(1 / 5) and others["n_queries"] == 5


def test_two_urls_of_one_photo_are_no_neighbours():
    # 0 and 1 are one photo in two sizes; without that, the nearest of 0 would be 1.
    sizes = ["_m", "_b"]
    urls = [f"https://live.staticflickr.com/1/123456_0123456789{size}.jpg" for size in sizes]
    found = score_neighbours(
        np.array([[0.0], [0.1], [2.0]]), [*urls, "other"], known([0, 0, 1], [0, 0, 1]), ks=(1,)
    )
    assert found["same_label"]["1"]["share"] == 0.0
    assert found["same_person"]["1"]["n_queries"] == 0  # no other photo of a person


def naive(vectors, photos, values, k, excluded, candidates, must_exist):
    shares, chances = [], []
    for row in candidates:
        others = [other for other in candidates if not excluded(row, other)]
        same = [other for other in others if values[other] == values[row]]
        if len(others) < k or (must_exist and not same):
            continue
        near = sorted(others, key=lambda other: np.linalg.norm(vectors[row] - vectors[other]))[:k]
        shares.append(np.mean([values[other] == values[row] for other in near]))
        chances.append(len(same) / len(others))
    return np.mean(shares), np.mean(chances), len(shares)


def test_shares_equal_those_of_a_loop():
    random = np.random.default_rng(3)
    n = 60
    vectors = random.normal(size=(n, 3))
    photos, person = random.integers(0, 35, n), random.integers(-1, 9, n)
    label = random.integers(-1, 4, n)
    vectors[5] = np.nan
    found = score_neighbours(vectors, [str(p) for p in photos], known(person, label), ks=(1, 4, 10))
    finite = np.isfinite(vectors).all(axis=1)
    labelled, named = finite & (label >= 0), finite & (person >= 0)

    def of_photo(a, b):
        return photos[a] == photos[b]

    def of_photo_or_person(a, b):
        return photos[a] == photos[b] or person[a] == person[b]

    for name, values, excluded, chosen, must_exist in (
        ("same_label", label, of_photo, labelled, False),
        ("same_person", person, of_photo, named, True),
        ("same_label_other_persons", label, of_photo_or_person, labelled & named, False),
    ):
        for k in (1, 4, 10):
            rows = np.flatnonzero(chosen)
            share, chance, n_queries = naive(vectors, photos, values, k, excluded, rows, must_exist)
            scores = found[name][str(k)]
            assert scores["share"] == pytest.approx(share)
            assert scores["chance"] == pytest.approx(chance)
            assert scores["n_queries"] == n_queries and 0 < scores["se"] < 0.5


def test_only_what_the_annotations_allow_is_scored():
    vectors, urls = np.eye(4), list("abcd")
    assert set(score_neighbours(vectors, urls, known([-1] * 4, [0, 0, 1, 1]))) == {"same_label"}
    assert set(score_neighbours(vectors, urls, known([0, 0, 1, 1], [-1] * 4))) == {"same_person"}
    assert score_neighbours(np.full((4, 2), np.nan), urls, known([0] * 4, [0] * 4)) == {}


def test_without_enough_neighbours_values_are_none():
    found = score_neighbours(np.eye(2), ["a", "b"], known([0, 1], [0, 0]), ks=(1, 4))
    assert found["same_label"]["4"] == {"share": None, "chance": None, "se": None, "n_queries": 0}
    assert found["same_label"]["1"]["share"] == 1.0
    assert found["same_person"]["1"]["n_queries"] == 0


def test_triplets_whose_odd_one_is_the_person_of_another_are_scored_apart():
    triplets = np.array([[0, 1, 2], [0, 1, 3], [1, 3, 2], [0, 1, 4]])
    correct = np.array([True, False, True, True])
    photos = triplets  # a photo each
    found = score_same_person_odd(correct, triplets, known([0, 1, 0, 2, -1], [0] * 5), photos)
    # Face 2 is the person of face 0: the first triplet. Face 4 is unknown: the last is in neither.
    assert (found["tpa"], found["n_triplets"]) == (1.0, 1)
    assert (found["others"]["tpa"], found["others"]["n_triplets"]) == (0.5, 2)
    unknown = known([-1] * 5, [0] * 5)
    assert score_same_person_odd(correct, triplets, unknown, photos) is None
