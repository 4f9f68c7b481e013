"""Identity triplets and P x K batches: what every draw keeps to, whom it draws, and that a resumed run goes on."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagefec.data.identity.sampling import identity_batches, identity_triplets
from imagefec.errors import UserError

labels_of_some = st.lists(st.integers(-3, 6), min_size=3, max_size=40).filter(
    lambda labels: len(set(labels)) > 1 and len(set(labels)) < len(labels)
)


def all_triplets(labels):
    """Every (alike, alike, other) there is, by three naive loops."""
    rows = range(len(labels))
    return {
        (a, b, c)
        for a, b in itertools.combinations(rows, 2)
        for c in rows
        if labels[a] == labels[b] != labels[c]
    }


@settings(deadline=None, max_examples=200)
@given(labels=labels_of_some, n=st.integers(1, 400), seed=st.integers(0, 2**32))
def test_triplets_are_different_ones_of_those_there_are_and_as_many_as_asked_for(labels, n, seed):
    triplets = identity_triplets(np.array(labels), n, seed)
    possible = all_triplets(labels)
    found = [tuple(row) for row in triplets.tolist()]
    assert len(set(found)) == len(found) == min(n, len(possible))
    assert set(found) <= possible
    assert triplets.dtype == np.int32 and triplets.shape == (len(found), 3)
    assert np.array_equal(triplets, identity_triplets(np.array(labels), n, seed))


@settings(deadline=None, max_examples=100)
@given(labels=labels_of_some, n=st.integers(1, 400), seed=st.integers(0, 99))
def test_people_with_two_photos_are_alike_equally_often_as_far_as_their_triplets_go(
    labels, n, seed
):
    labels = np.array(labels)
    alike = labels[identity_triplets(labels, n, seed)[:, 0]].tolist()
    possible = [labels[a] for a, _, _ in all_triplets(labels.tolist())]
    most = max(alike.count(person) for person in set(possible))
    for person in set(possible):
        assert alike.count(person) >= min(most - 1, possible.count(person))


def test_the_other_person_is_anyone_with_equal_chances_however_many_photos_they_have():
    labels = np.repeat([0, 1, 2, 3], [200, 200, 1000, 20])
    triplets = identity_triplets(labels, 40_000, seed=1)
    others = labels[triplets[labels[triplets[:, 0]] == 0, 2]]
    assert len(others) == 10_000
    # A third each; the standard deviation of such a share is 47 of 10,000.
    assert np.abs(np.bincount(others)[1:] - 10_000 / 3).max() < 5 * 47


def test_triplets_do_not_repeat_where_most_draws_hit_the_same_few():
    # Person 0's two photos with any of 900 single ones, or with one of 100,000 of person 9: even
    # draws run dry.
    labels = np.concatenate([[0, 0], np.arange(10, 910), np.full(100_000, 9)])
    triplets = identity_triplets(labels, 60_000, seed=0)
    assert len(np.unique(triplets, axis=0)) == 60_000
    assert (labels[triplets[:, 0]] == 0).sum() == 30_000


def test_triplets_come_person_by_person():
    labels = np.array([7, 3, 7, 3, 5, 5, 7])
    alike = labels[identity_triplets(labels, 20, seed=4)[:, 0]]
    assert (np.diff(alike) >= 0).all()


def test_other_seeds_draw_other_triplets():
    labels = np.repeat(np.arange(50), 8)
    assert not np.array_equal(identity_triplets(labels, 100, 0), identity_triplets(labels, 100, 1))


@pytest.mark.parametrize("labels", [[], [1, 1, 1], [1, 2, 3]])
def test_without_two_people_or_two_photos_of_one_there_are_no_triplets(labels):
    with pytest.raises(UserError, match="two people at least, and two photos of one"):
        identity_triplets(np.array(labels, int), 5, 0)


@pytest.mark.parametrize(("labels", "n"), [([0, 0, 1], 0), ([[0, 0, 1]], 5), ([0.0, 0.0, 1.0], 5)])
def test_labels_of_another_form_and_no_triplets_are_a_callers_bug(labels, n):
    with pytest.raises(ValueError):
        identity_triplets(np.array(labels), n, 0)


batches_of_some = st.fixed_dictionaries(
    {
        "counts": st.lists(st.integers(1, 7), min_size=2, max_size=12),
        "people": st.integers(2, 6),
        "each": st.integers(1, 4),
        "seed": st.integers(0, 99),
    }
).filter(lambda case: sum(n >= case["each"] for n in case["counts"]) >= case["people"])


@settings(deadline=None, max_examples=100)
@given(case=batches_of_some)
def test_each_batch_holds_different_people_and_different_faces_and_each_epoch_everybody_with_enough(
    case,
):
    people, each = case["people"], case["each"]
    labels = np.random.default_rng(0).permutation(
        np.repeat(np.arange(len(case["counts"])), case["counts"])
    )
    enough = [person for person, n in enumerate(case["counts"]) if n >= each]
    n_batches = len(enough) * 3  # whole epochs: `people` epochs of them, three times
    seen = []
    for rows in itertools.islice(identity_batches(labels, people, each, case["seed"]), n_batches):
        assert rows.dtype == np.int32 and len(set(rows.tolist())) == people * each
        groups = labels[rows].reshape(people, each)
        assert (groups == groups[:, :1]).all() and len(set(groups[:, 0].tolist())) == people
        seen.extend(groups[:, 0].tolist())
    # An epoch begins in the batch that ends the one before, so its people come within it or in that
    # batch.
    assert all(seen.count(person) == 3 * people for person in enough) and len(set(seen)) == len(
        enough
    )


def test_in_each_epoch_everybody_comes_once_before_anybody_comes_a_third_time():
    labels = np.repeat(np.arange(7), 2)
    stream = (labels[rows][::2] for rows in identity_batches(labels, 3, 2, seed=5))
    counts = np.zeros(7, int)
    for people in itertools.islice(stream, 70):
        counts[people] += 1
        assert counts.max() - counts.min() <= 2
    assert counts.tolist() == [30] * 7


@pytest.mark.parametrize("skip", [1, 5, 23])
def test_a_resumed_run_goes_on_with_the_batches_that_were_to_come(skip):
    labels = np.repeat(np.arange(9), 4)
    whole = list(itertools.islice(identity_batches(labels, 4, 2, seed=3), skip + 6))
    resumed = list(itertools.islice(identity_batches(labels, 4, 2, seed=3, skip=skip), 6))
    np.testing.assert_array_equal(resumed, whole[skip:])


def test_another_seed_and_the_next_epoch_draw_other_batches():
    labels = np.repeat(np.arange(8), 6)
    first, second = itertools.islice(identity_batches(labels, 8, 3, seed=0), 2)
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, next(identity_batches(labels, 8, 3, seed=1)))


def test_too_few_people_with_enough_faces_is_an_error_that_counts_them():
    with pytest.raises(
        UserError, match="3 people with 4 faces each, and of 5 people 2 have so many"
    ):
        identity_batches(np.repeat(np.arange(5), [4, 3, 9, 1, 2]), 3, 4, 0)


@pytest.mark.parametrize("wrong", [{"people": 1}, {"faces_each": 0}, {"skip": -1}])
def test_batches_of_impossible_form_are_a_callers_bug(wrong):
    with pytest.raises(ValueError):
        identity_batches(
            np.repeat(np.arange(5), 4), **{"people": 2, "faces_each": 2, "seed": 0} | wrong
        )
