"""Identity triplets: distinct, valid, and evenly sampled."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagefec.data.identity.sampling import identity_triplets
from imagefec.errors import UserError

labels_of_some = st.lists(st.integers(-3, 6), min_size=3, max_size=40).filter(
    lambda labels: len(set(labels)) > 1 and len(set(labels)) < len(labels)
)


def all_triplets(labels):
    """Every possible (alike, alike, odd), by three naive loops."""
    rows = range(len(labels))
    return {
        (a, b, c)
        for a, b in itertools.combinations(rows, 2)
        for c in rows
        if labels[a] == labels[b] != labels[c]
    }


@settings(deadline=None, max_examples=200)
@given(labels=labels_of_some, n=st.integers(1, 400), seed=st.integers(0, 2**32))
def test_triplets_are_distinct_possible_and_as_many_as_requested(labels, n, seed):
    triplets = identity_triplets(np.array(labels), n, seed)
    possible = all_triplets(labels)
    found = [tuple(row) for row in triplets.tolist()]
    assert len(set(found)) == len(found) == min(n, len(possible))
    assert set(found) <= possible
    assert triplets.dtype == np.int32 and triplets.shape == (len(found), 3)
    assert np.array_equal(triplets, identity_triplets(np.array(labels), n, seed))


@settings(deadline=None, max_examples=100)
@given(labels=labels_of_some, n=st.integers(1, 400), seed=st.integers(0, 99))
def test_identities_are_the_alike_one_equally_often_unless_their_triplets_run_out(labels, n, seed):
    labels = np.array(labels)
    alike = labels[identity_triplets(labels, n, seed)[:, 0]].tolist()
    possible = [labels[a] for a, _, _ in all_triplets(labels.tolist())]
    most = max(alike.count(label) for label in set(possible))
    for label in set(possible):
        assert alike.count(label) >= min(most - 1, possible.count(label))


def test_the_odd_identity_is_uniform_however_many_photos_it_has():
    labels = np.repeat([0, 1, 2, 3], [200, 200, 1000, 20])
    triplets = identity_triplets(labels, 40_000, seed=1)
    others = labels[triplets[labels[triplets[:, 0]] == 0, 2]]
    assert len(others) == 10_000
    # A third each; the standard deviation of each count is sqrt(10,000 x 1/3 x 2/3) = 47.
    assert np.abs(np.bincount(others)[1:] - 10_000 / 3).max() < 5 * 47


def test_triplets_are_distinct_even_if_most_samples_repeat_a_few():
    # Identity 0 has one pair. A uniform odd identity is one of 901, of which 900 have one photo
    # each and identity 9 has 100,000: such samples repeat the 900 triplets again and again.
    labels = np.concatenate([[0, 0], np.arange(10, 910), np.full(100_000, 9)])
    triplets = identity_triplets(labels, 60_000, seed=0)
    assert len(np.unique(triplets, axis=0)) == 60_000
    assert (labels[triplets[:, 0]] == 0).sum() == 30_000


def test_triplets_are_sorted_by_identity():
    labels = np.array([7, 3, 7, 3, 5, 5, 7])
    alike = labels[identity_triplets(labels, 20, seed=4)[:, 0]]
    assert (np.diff(alike) >= 0).all()


def test_other_seeds_give_other_triplets():
    labels = np.repeat(np.arange(50), 8)
    assert not np.array_equal(identity_triplets(labels, 100, 0), identity_triplets(labels, 100, 1))


@pytest.mark.parametrize("labels", [[], [1, 1, 1], [1, 2, 3]])
def test_labels_without_two_identities_or_two_photos_of_one_are_an_error(labels):
    with pytest.raises(UserError, match="at least two identities, and two photos of one"):
        identity_triplets(np.array(labels, int), 5, 0)


@pytest.mark.parametrize(("labels", "n"), [([0, 0, 1], 0), ([[0, 0, 1]], 5), ([0.0, 0.0, 1.0], 5)])
def test_labels_of_another_shape_and_no_triplets_are_a_callers_bug(labels, n):
    with pytest.raises(ValueError, match=r"labels must be int|n_triplets must be"):
        identity_triplets(np.array(labels), n, 0)
