"""Accuracies on a split and its parts against loops over the triplets."""

import dataclasses

import numpy as np
import pytest

from imagefec.analysis import accuracy
from imagefec.data.store.datasets import Triplets
from imagefec.maths import metrics

N_FACES = 30


def make_triplets(n=200, n_photos=12, seed=3):
    random = np.random.default_rng(seed)
    triplets = np.array([random.choice(N_FACES, 3, replace=False) for _ in range(n)], np.int32)
    votes = random.multinomial(6, [0.15, 0.15, 0.7], n).astype(np.int32)
    return Triplets(
        faces=np.zeros((N_FACES, 1, 1, 3), np.uint8),
        face_ids=[f"f{i}" for i in range(N_FACES)],
        urls=[f"u{i % n_photos}" for i in range(N_FACES)],
        triplets=triplets,
        types=random.integers(0, 3, n).astype(np.int8),
        vote_counts=votes,
        agreement=(votes[:, 2] / 6).astype(np.float32),
    )


@pytest.fixture
def data():
    return make_triplets()


@pytest.fixture
def correct():
    return np.random.default_rng(5).random(200) < 0.7


def scores_of(correct, data):
    return accuracy.tpa_and_parts(correct, data, accuracy.triplet_photos(data))


def naive_error(values, photos):
    """Sums the products of residuals of all pairs of triplets that share a photo."""
    residuals = np.asarray(values, float) - np.mean(values)
    total = sum(
        residuals[i] * residuals[j]
        for i in range(len(values))
        for j in range(len(values))
        if photos[i] & photos[j]
    )
    return (max(total, np.sum(residuals**2)) / (len(values) * (len(values) - 1))) ** 0.5


def photos_of(data, chosen):
    return [{data.urls[row] for row in triplet} for triplet in data.triplets[chosen]]


def test_triplets_have_the_same_photo_number_where_their_faces_have_the_same_url(data):
    numbers = accuracy.triplet_photos(data)
    for triplet, row in zip(data.triplets, numbers):
        for face, number in zip(triplet, row):
            same = [other for other in range(N_FACES) if data.urls[other] == data.urls[face]]
            assert np.array_equal(numbers == number, np.isin(data.triplets, same))


def test_the_accuracy_has_both_standard_errors(data, correct):
    found = scores_of(correct, data)
    share = correct.sum() / 200
    assert found["tpa"] == pytest.approx(share) and found["n_triplets"] == 200
    assert found["tpa_se"] == pytest.approx((share * (1 - share) / 200) ** 0.5)
    assert found["tpa_se_clustered"] == pytest.approx(
        naive_error(correct, photos_of(data, slice(None)))
    )


def test_types_have_their_own_accuracy_errors_and_human_accuracy(data, correct):
    for code, part in enumerate(scores_of(correct, data)["by_type"].values()):
        own = [place for place in range(200) if data.types[place] == code]
        assert part["n_triplets"] == len(own) > 40
        assert part["tpa"] == pytest.approx(sum(correct[own]) / len(own))
        assert part["tpa_se_clustered"] == pytest.approx(
            naive_error(correct[own], photos_of(data, own))
        )
        assert part["human_tpa"] == pytest.approx(
            metrics.leave_one_out_human_accuracy(data.vote_counts[own])
        )


def test_triplets_are_grouped_by_how_many_raters_chose_the_odd_face(data, correct):
    data.vote_counts[:4] = 0
    found = scores_of(correct, data)["by_agreement"]
    groups = {}
    for votes, is_correct in zip(data.vote_counts.tolist(), correct):
        if sum(votes):
            groups.setdefault(str(votes[2]), []).append(is_correct)
    assert {key: (part["tpa"], part["n_triplets"]) for key, part in found.items()} == {
        key: (pytest.approx(np.mean(own)), len(own)) for key, own in groups.items()
    }
    assert sum(part["n_triplets"] for part in found.values()) == 196


def test_triplets_without_types_and_votes_have_an_accuracy_and_no_parts(data, correct):
    bare = dataclasses.replace(
        data, types=np.full(200, -1, np.int8), vote_counts=np.zeros((200, 3), np.int32)
    )
    found = scores_of(correct, bare)
    assert found["tpa"] == pytest.approx(correct.mean())
    assert found["by_agreement"] == {} and found["human_tpa"] is None
    assert all(
        part["tpa"] is None and part["n_triplets"] == 0 and part["human_tpa"] is None
        for part in found["by_type"].values()
    )


def test_the_error_shown_is_the_clustered_one_if_defined(data, correct):
    several = scores_of(correct, data)
    assert accuracy.shown_error(several) == several["tpa_se_clustered"] != several["tpa_se"]
    single = metrics.tpa_with_errors(correct[:1], accuracy.triplet_photos(data)[:1])
    assert accuracy.shown_error(single) == single["tpa_se"] == 0


def test_triplets_disjoint_from_a_split_show_none_of_its_photos(data):
    disjoint = accuracy.disjoint_triplets(data, {"u0", "u7", "elsewhere"})
    expected = [not {"u0", "u7"} & photos for photos in photos_of(data, slice(None))]
    assert disjoint.tolist() == expected and 0 < sum(expected) < 200
    assert accuracy.disjoint_triplets(data, set()).all()
