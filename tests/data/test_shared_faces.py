"""Batches whose triplets share faces: what they hold, how evenly, and the same after a resume."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagefec.data.shared_faces import SharedFacesSampler, growing_batches
from imagefec.data.store.triplets import Triplets
from imagefec.errors import UserError


def triplets_of(rows, n_faces):
    rows = np.array(rows, np.int32)
    return Triplets(
        faces=np.arange(n_faces, dtype=np.uint8)[:, None, None, None].repeat(3, axis=3),
        face_ids=[str(n) for n in range(n_faces)],
        urls=[""] * n_faces,
        triplets=rows,
        types=(np.arange(len(rows)) % 3).astype(np.int8),
        vote_counts=np.arange(3 * len(rows), dtype=np.int32).reshape(-1, 3),
        agreement=np.ones(len(rows), np.float32),
    )


def random_triplets(n, n_faces, seed=0):
    random = np.random.default_rng(seed)
    return np.array([random.choice(n_faces, 3, replace=False) for _ in range(n)], np.int32)


def test_a_chain_of_triplets_is_one_batch():
    # Six faces hold all four triplets, each of which shares two faces with the next.
    rows = [[0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 5]]
    sampler = SharedFacesSampler(triplets_of(rows, 6), batch_triplets=4, batch_faces=6, seed=0)
    for faces, types, vote_counts, members in itertools.islice(sampler.batches(0), 5):
        assert sorted(faces.tolist()) == [0, 1, 2, 3, 4, 5]
        assert sorted(faces[members].tolist()) == rows
        chosen = [rows.index(row) for row in faces[members].tolist()]
        assert types.tolist() == [number % 3 for number in chosen]
        assert (vote_counts == np.arange(12).reshape(4, 3)[chosen]).all()


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(4, 60),
    n_faces=st.integers(6, 40),
    batch=st.tuples(st.integers(2, 4), st.integers(3, 6)),
    seed=st.integers(0, 99),
)
def test_a_batch_has_distinct_faces_and_only_triplets_of_them(n, n_faces, batch, seed):
    rows = random_triplets(n, n_faces, seed)
    batch_triplets, batch_faces = batch
    if len(np.unique(rows)) < batch_faces:
        return
    batches = growing_batches(rows, batch_triplets, batch_faces, seed)
    for faces, chosen in itertools.islice(batches, 10):
        assert len(faces) == batch_faces == len(set(faces.tolist()))
        assert len(chosen) == batch_triplets
        assert set(rows[chosen].reshape(-1).tolist()) <= set(faces.tolist())


def test_faces_hold_more_triplets_than_a_third_of_their_number():
    rows = random_triplets(3000, 1200)  # a face is in 7.5 on average
    found = [
        len(set(chosen.tolist()))
        for _, chosen in itertools.islice(growing_batches(rows, 60, 96, seed=0), 50)
    ]
    assert np.mean(found) > 1.5 * 96 / 3


def test_triplets_are_used_evenly():
    rows = random_triplets(600, 240)
    used = np.zeros(600, int)
    for _, chosen in itertools.islice(growing_batches(rows, 50, 96, seed=0), 240):
        used[np.unique(chosen)] += 1
    assert used.min() >= 0.5 * used.mean() and used.max() <= 2 * used.mean()


def test_skipping_batches_gives_those_that_follow():
    rows = random_triplets(200, 90)

    def of(skip, n):
        return list(itertools.islice(growing_batches(rows, 20, 36, 5, skip), n))

    for expected, found in zip(of(0, 12)[7:], of(7, 5)):
        for of_all, of_rest in zip(expected, found):
            assert of_all.tolist() == of_rest.tolist()
    assert of(0, 1)[0][1].tolist() != of(1, 1)[0][1].tolist()


@pytest.mark.parametrize(("batch_triplets", "batch_faces"), [(3, 9), (5, 6)])
def test_a_batch_that_does_not_fit_the_data_is_refused(batch_triplets, batch_faces):
    data = triplets_of([[0, 1, 2], [2, 3, 4], [4, 5, 6], [0, 5, 6]], 7)
    with pytest.raises(UserError, match="the data hold 4 triplets of 7 faces"):
        SharedFacesSampler(data, batch_triplets, batch_faces, seed=0)
