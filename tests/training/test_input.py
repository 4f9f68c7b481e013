"""Batches on their way to the devices: order, resuming, extra faces, errors of the thread that makes them."""

import itertools

import numpy as np
import pytest

from imagefec.data.samplers import TripletSampler, triplet_batches
from imagefec.data.store import datasets
from imagefec.errors import UserError
from imagefec.training.input import FaceInput, Prefetched
from imagefec.training.step.mesh import all_devices
from imagefec.training.step.objectives import Uda


@pytest.fixture(scope="module")
def data():
    random = np.random.default_rng(0)
    faces = np.arange(20, dtype=np.uint8)[:, None, None, None] * np.ones(
        (1, 4, 4, 3), np.uint8
    )  # face i is all i
    triplets = np.array([random.choice(20, 3, replace=False) for _ in range(30)], np.int32)
    return datasets.Triplets(
        faces,
        [str(i) for i in range(20)],
        ["u"] * 20,
        triplets,
        (np.arange(30) % 3).astype(np.int8),
        random.integers(0, 7, (30, 3)).astype(np.int32),
        np.ones(30, np.float32),
    )


def made(data, uda=None, extra=None, on_device=False, seed=5):
    return FaceInput(
        TripletSampler(data, 4, seed), seed, all_devices(), uda or Uda(), extra, on_device
    )


def take(source, n, skip=0):
    batches = source.batches(skip)
    try:
        return [[np.asarray(part) for part in batch] for batch in itertools.islice(batches, n)]
    finally:
        batches.close()


def same(some, others):
    return len(some) == len(others) and all(
        np.array_equal(a, b)
        for batch, other in zip(some, others)
        for a, b in zip(batch, other, strict=True)
    )


def test_batches_are_those_of_the_pipeline_with_votes(data):
    expected = itertools.islice(triplet_batches(data, 4, seed=5), 20)
    votes_of = {
        tuple(row): votes for row, votes in zip(data.triplets.tolist(), data.vote_counts.tolist())
    }
    for (faces, types, votes), (their_faces, their_types) in zip(
        take(made(data), 20), expected, strict=True
    ):
        np.testing.assert_array_equal(faces, their_faces)
        np.testing.assert_array_equal(types, their_types)
        rows = faces[:, 0, 0, 0].reshape(-1, 3).tolist()
        assert [votes_of[tuple(row)] for row in rows] == votes.tolist()


def test_a_resumed_run_gets_the_batches_that_it_would_have_got(data):
    uda, extra = (
        Uda(weight=1.0, ramp_steps=10, dataset="x", batch_faces=2),
        data.faces[::-1].copy() + 100,
    )
    whole = take(made(data, uda, extra), 12)
    assert same(whole[7:], take(made(data, uda, extra), 5, skip=7))
    assert not same(whole[:5], take(made(data, uda, extra, seed=6), 5))


def test_extra_faces_come_behind_the_triplets_each_once_an_epoch_with_the_ramped_weight(data):
    extra = data.faces + 100
    batches = take(made(data, Uda(weight=2.0, ramp_steps=4, dataset="x", batch_faces=5), extra), 4)
    last = np.concatenate([faces[12:, 0, 0, 0] for faces, *_ in batches])
    assert sorted(last) == list(range(100, 120))
    assert [float(weight) for *_, weight in batches] == [0.5, 1.0, 1.5, 2.0]


def test_faces_on_the_device_give_the_same_pictures_by_row(data):
    uda, extra = Uda(weight=1.0, dataset="x", batch_faces=2), data.faces + 100
    resident = made(data, uda, extra, on_device=True)
    held = np.asarray(resident.resident)
    for (rows, *others), (faces, *theirs) in zip(
        take(resident, 6), take(made(data, uda, extra), 6), strict=True
    ):
        assert rows.dtype == np.int32
        np.testing.assert_array_equal(held[rows], faces)
        assert all(np.array_equal(a, b) for a, b in zip(others, theirs, strict=True))


def test_too_few_extra_faces_are_refused(data):
    with pytest.raises(UserError, match="holds 20 faces"):
        made(data, Uda(weight=1.0, dataset="x", batch_faces=21), data.faces)


def test_what_the_thread_meets_is_raised_where_the_batch_was_due():
    def broken():
        yield 1
        raise OSError("the disk is gone")

    batches = Prefetched(broken(), 2)
    assert next(batches) == 1
    for _ in range(2):
        with pytest.raises(OSError, match="the disk is gone"):
            next(batches)
    batches.close()


def test_closing_ends_a_thread_that_waits():
    batches = Prefetched(itertools.count(), 2)
    assert next(batches) == 0
    batches.close()
    assert not batches._thread.is_alive()
