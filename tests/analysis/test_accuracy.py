"""Accuracies of parts of a split against loops over the triplets."""

import dataclasses

import numpy as np
import pytest

from imagefec.analysis import accuracy
from imagefec.data.store.datasets import Triplets

N_FACES = 30


def made(n=200, n_photos=12, seed=3):
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
    return made()


@pytest.fixture
def right():
    return np.random.default_rng(5).random(200) < 0.7


def naive_error(values, photos):
    """Sums the products of residuals of all pairs of triplets that show a photograph in common."""
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


def test_both_errors_stand_beside_the_accuracy(data, right):
    found = accuracy.accuracy(right, accuracy.photographs(data))
    share = right.sum() / 200
    assert found["tpa"] == pytest.approx(share) and found["n_triplets"] == 200
    assert found["tpa_se"] == pytest.approx((share * (1 - share) / 200) ** 0.5)
    assert found["tpa_se_clustered"] == pytest.approx(
        naive_error(right, photos_of(data, slice(None)))
    )


def test_types_have_their_own_accuracy_errors_and_ceiling(data, right):
    from imagefec.maths import metrics

    for code, part in enumerate(accuracy.accuracy_by_type(right, data).values()):
        own = [place for place in range(200) if data.types[place] == code]
        assert part["n_triplets"] == len(own) > 40
        assert part["tpa"] == pytest.approx(sum(right[own]) / len(own))
        assert part["tpa_se_clustered"] == pytest.approx(
            naive_error(right[own], photos_of(data, own))
        )
        assert part["human_tpa"] == pytest.approx(metrics.rater_accuracy(data.vote_counts[own]))


def test_triplets_are_sorted_by_how_many_raters_chose_the_odd_face(data, right):
    data.vote_counts[:4] = 0
    found = accuracy.accuracy_by_agreement(right, data)
    counts = {}
    for votes, is_right in zip(data.vote_counts.tolist(), right):
        if sum(votes):
            counts.setdefault(str(votes[2]), []).append(is_right)
    assert {key: (part["tpa"], part["n_triplets"]) for key, part in found.items()} == {
        key: (pytest.approx(np.mean(own)), len(own)) for key, own in counts.items()
    }
    assert sum(part["n_triplets"] for part in found.values()) == 196


def test_triplets_without_types_and_votes_have_an_accuracy_and_no_parts(data, right):
    bare = dataclasses.replace(
        data, types=np.full(200, -1, np.int8), vote_counts=np.zeros((200, 3), np.int32)
    )
    assert (
        accuracy.accuracy_by_agreement(right, bare) == {}
        and accuracy.human_accuracy(bare.vote_counts) is None
    )
    assert all(
        part["tpa"] is None and part["n_triplets"] == 0 and part["human_tpa"] is None
        for part in accuracy.accuracy_by_type(right, bare).values()
    )


def test_a_single_triplet_has_no_clustered_error(data):
    found = accuracy.accuracy(np.array([True]), accuracy.photographs(data)[:1])
    assert (found["tpa"], found["tpa_se_clustered"]) == (1.0, None)


def test_the_error_shown_is_the_clustered_one_where_it_can_be_told(data, right):
    several = accuracy.accuracy(right, accuracy.photographs(data))
    assert accuracy.shown_error(several) == several["tpa_se_clustered"] != several["tpa_se"]
    alone = accuracy.accuracy(right[:1], accuracy.photographs(data)[:1])
    assert accuracy.shown_error(alone) == alone["tpa_se"] == 0


def test_triplets_apart_from_a_split_show_none_of_its_photographs(data):
    apart = accuracy.apart_from(data, {"u0", "u7", "elsewhere"})
    expected = [not {"u0", "u7"} & photos for photos in photos_of(data, slice(None))]
    assert apart.tolist() == expected and 0 < sum(expected) < 200
    assert accuracy.apart_from(data, set()).all()
