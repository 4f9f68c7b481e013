"""Batches of training: their contents, complete epochs, and the same batches after a resume."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagefec.data.samplers import identity_batches, triplet_indices
from imagefec.data.store.triplets import Triplets
from imagefec.errors import UserError


@pytest.fixture
def ten():
    """Ten triplets, 5 one-class, 3 two-class and 2 three-class; a face's pixels are its index."""
    numbers = np.arange(30, dtype=np.uint8)
    return Triplets(
        faces=np.broadcast_to(numbers[:, None, None, None], (30, 4, 4, 3)).copy(),
        face_ids=[str(n) for n in numbers],
        urls=[""] * 30,
        triplets=np.random.default_rng(0).permutation(30).reshape(10, 3).astype(np.int32),
        types=np.array([0, 0, 0, 0, 0, 1, 1, 1, 2, 2], np.int8),
        vote_counts=np.tile(np.array([[1, 0, 5]], np.int32), (10, 1)),
        agreement=np.full(10, 5 / 6, np.float32),
    )


def sampled(data, batch_triplets, n_batches, **options) -> list[int]:
    """Indices of the triplets of the first batches, which are all of the same size."""
    batches = list(itertools.islice(triplet_indices(data, batch_triplets, **options), n_batches))
    assert {len(batch) for batch in batches} == {batch_triplets}
    return np.concatenate(batches).tolist()


@pytest.mark.parametrize("size", [1, 3, 4, 10])
def test_every_triplet_is_sampled_once_per_epoch_and_no_remainder_is_dropped(ten, size):
    numbers = sampled(ten, size, 10 * 3, seed=1)
    epochs = [numbers[i : i + 10] for i in range(0, len(numbers) // 10 * 10, 10)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == len(epochs)


def test_the_order_depends_on_the_seed_alone(ten):
    first, again, other = (sampled(ten, 4, 10, seed=seed) for seed in (1, 1, 2))
    assert first == again != other


def test_balanced_batches_alternate_the_types_and_each_type_has_its_own_epochs(ten):
    numbers = sampled(ten, 6, 15, seed=0, balanced=True)
    types = ten.types[numbers]
    assert types.tolist() == [0, 1, 2] * 30
    for kind, n in ((0, 5), (1, 3), (2, 2)):
        of_kind = np.array(numbers)[types == kind].reshape(-1, n)
        assert (np.sort(of_kind, axis=1) == np.flatnonzero(ten.types == kind)).all()


@pytest.mark.parametrize(
    ("size", "balanced", "message"),
    [
        (0, False, "1 or more"),
        (11, False, "takes 11 triplets and the data hold 10"),
        (4, True, "multiple of 3"),
        (9, True, "takes 3 triplets of type 2.*hold 2"),
    ],
)
def test_a_batch_that_cannot_be_filled_is_an_error_before_iteration(ten, size, balanced, message):
    with pytest.raises(UserError, match=message):
        triplet_indices(ten, size, seed=0, balanced=balanced)


batches_of_some = st.fixed_dictionaries(
    {
        "counts": st.lists(st.integers(1, 7), min_size=2, max_size=12),
        "identities": st.integers(2, 6),
        "images": st.integers(1, 4),
        "seed": st.integers(0, 99),
    }
).filter(lambda case: sum(n >= case["images"] for n in case["counts"]) >= case["identities"])


@settings(deadline=None, max_examples=100)
@given(case=batches_of_some)
def test_a_batch_has_distinct_identities_and_images_and_an_epoch_has_all_identities(
    case,
):
    identities, images = case["identities"], case["images"]
    labels = np.random.default_rng(0).permutation(
        np.repeat(np.arange(len(case["counts"])), case["counts"])
    )
    enough = [label for label, n in enumerate(case["counts"]) if n >= images]
    n_batches = len(enough) * 3  # 3 * `identities` complete epochs
    seen = []
    for indices in itertools.islice(
        identity_batches(labels, identities, images, case["seed"]), n_batches
    ):
        assert indices.dtype == np.int32 and len(set(indices.tolist())) == identities * images
        groups = labels[indices].reshape(identities, images)
        assert (groups == groups[:, :1]).all() and len(set(groups[:, 0].tolist())) == identities
        seen.extend(groups[:, 0].tolist())
    # A batch may end one epoch and begin the next; after complete epochs all counts are equal.
    assert all(seen.count(label) == 3 * identities for label in enough) and len(set(seen)) == len(
        enough
    )


def test_every_identity_is_sampled_once_before_any_is_sampled_a_third_time():
    labels = np.repeat(np.arange(7), 2)
    stream = (labels[indices][::2] for indices in identity_batches(labels, 3, 2, seed=5))
    counts = np.zeros(7, int)
    for identities in itertools.islice(stream, 70):
        counts[identities] += 1
        assert counts.max() - counts.min() <= 2
    assert counts.tolist() == [30] * 7


@pytest.mark.parametrize("skip", [1, 5, 23])
def test_a_resumed_run_continues_with_the_next_batches(skip):
    labels = np.repeat(np.arange(9), 4)
    complete = list(itertools.islice(identity_batches(labels, 4, 2, seed=3), skip + 6))
    resumed = list(itertools.islice(identity_batches(labels, 4, 2, seed=3, skip=skip), 6))
    np.testing.assert_array_equal(resumed, complete[skip:])


def test_another_seed_and_the_next_epoch_give_other_batches():
    labels = np.repeat(np.arange(8), 6)
    first, second = itertools.islice(identity_batches(labels, 8, 3, seed=0), 2)
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, next(identity_batches(labels, 8, 3, seed=1)))


def test_too_few_identities_with_enough_images_is_an_error_that_counts_them():
    with pytest.raises(
        UserError, match="3 identities with 4 images each; of 5 identities, 2 have that many"
    ):
        identity_batches(np.repeat(np.arange(5), [4, 3, 9, 1, 2]), 3, 4, 0)


@pytest.mark.parametrize("wrong", [{"identities": 1}, {"images_per_identity": 0}, {"skip": -1}])
def test_batches_of_impossible_shape_are_a_callers_bug(wrong):
    with pytest.raises(ValueError, match="batches require"):
        identity_batches(
            np.repeat(np.arange(5), 4),
            **{"identities": 2, "images_per_identity": 2, "seed": 0} | wrong,
        )
