"""Batches for the devices: order, resuming, unlabelled faces, errors of the prefetch thread."""

import itertools

import numpy as np
import pytest

from imagefec.data.samplers import TripletSampler, triplet_indices
from imagefec.data.store import datasets
from imagefec.errors import UserError
from imagefec.training.config import IdentityRemovalConfig, UdaConfig
from imagefec.training.input import FaceInput, Prefetched
from imagefec.training.step.mesh import all_devices


@pytest.fixture(scope="module")
def data():
    random = np.random.default_rng(0)
    # All values of face i are i.
    faces = np.arange(20, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 3), np.uint8)
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


def face_input(data, uda=None, unlabelled=None, device_resident=False, seed=5):
    sampler = TripletSampler(data, 4, seed)
    uda = uda or UdaConfig()
    return FaceInput(sampler, seed, all_devices(), uda, unlabelled, device_resident)


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


def test_batches_hold_the_faces_types_and_vote_counts_of_the_sampled_triplets(data):
    sampled = itertools.islice(triplet_indices(data, 4, seed=5), 20)
    for (faces, types, vote_counts), chosen in zip(
        take(face_input(data), 20), sampled, strict=True
    ):
        np.testing.assert_array_equal(faces, data.faces[data.triplets[chosen].reshape(-1)])
        np.testing.assert_array_equal(types, data.types[chosen])
        np.testing.assert_array_equal(vote_counts, data.vote_counts[chosen])


def test_a_resumed_run_gets_the_batches_of_an_uninterrupted_one(data):
    uda = UdaConfig(weight=1.0, ramp_steps=10, dataset="x", batch_faces=2)
    unlabelled = data.faces[::-1].copy() + 100
    uninterrupted = take(face_input(data, uda, unlabelled), 12)
    assert same(uninterrupted[7:], take(face_input(data, uda, unlabelled), 5, skip=7))
    assert not same(uninterrupted[:5], take(face_input(data, uda, unlabelled, seed=6), 5))


def test_unlabelled_faces_follow_the_triplets_once_per_epoch_with_the_ramped_weight(data):
    uda = UdaConfig(weight=2.0, ramp_steps=4, dataset="x", batch_faces=5)
    batches = take(face_input(data, uda, data.faces + 100), 4)
    last = np.concatenate([faces[12:, 0, 0, 0] for faces, *_ in batches])
    assert sorted(last) == list(range(100, 120))
    assert [float(weight) for *_, weight in batches] == [0.5, 1.0, 1.5, 2.0]


def test_a_device_resident_dataset_gives_the_same_faces_by_index(data):
    uda, unlabelled = UdaConfig(weight=1.0, dataset="x", batch_faces=2), data.faces + 100
    on_device = face_input(data, uda, unlabelled, device_resident=True)
    device_faces = np.asarray(on_device.device_faces)
    for (indices, *others), (faces, *theirs) in zip(
        take(on_device, 6), take(face_input(data, uda, unlabelled), 6), strict=True
    ):
        assert indices.dtype == np.int32
        np.testing.assert_array_equal(device_faces[indices], faces)
        assert all(np.array_equal(a, b) for a, b in zip(others, theirs, strict=True))


def test_with_identity_removal_a_batch_has_the_person_of_each_face_once_and_the_ramped_weight(data):
    persons, uda = np.arange(20) % 4 - 1, UdaConfig(weight=0.5, dataset="x", batch_faces=2)
    sampler, removal = TripletSampler(data, 4, 5), IdentityRemovalConfig(2.0, ramp_steps=4)
    unlabelled = data.faces + 100
    source = FaceInput(sampler, 5, all_devices(), uda, unlabelled, False, removal, persons)
    found, without = take(source, 3), take(face_input(data, uda, unlabelled), 3)
    for step, ((*others, of_faces, weight, last), plain) in enumerate(zip(found, without), 1):
        assert same([[*others, last]], [plain]) and last == 0.5 and weight == 0.5 * step
        faces = others[0][:12, 0, 0, 0]  # a face's values are its index
        seen = set()
        for face, person in zip(faces, of_faces, strict=True):
            assert person == (-1 if face in seen else persons[face])
            seen.add(face)
    assert of_faces.dtype == np.int32 and any(len(set(f[:12, 0, 0, 0])) < 12 for f, *_ in found)


def test_persons_without_a_weight_change_no_batch(data):
    off = FaceInput(TripletSampler(data, 4, 5), 5, all_devices(), UdaConfig(), persons=np.zeros(20))
    assert same(take(off, 3), take(face_input(data), 3))


def test_too_few_unlabelled_faces_are_refused(data):
    with pytest.raises(UserError, match="holds 20 faces"):
        face_input(data, UdaConfig(weight=1.0, dataset="x", batch_faces=21), data.faces)


def test_an_error_of_the_prefetch_thread_is_raised_by_next():
    def broken():
        yield 1
        raise OSError("the disk is gone")

    batches = Prefetched(broken(), 2)
    assert next(batches) == 1
    for _ in range(2):
        with pytest.raises(OSError, match="the disk is gone"):
            next(batches)
    batches.close()


def test_closing_ends_a_waiting_thread():
    batches = Prefetched(itertools.count(), 2)
    assert next(batches) == 0
    batches.close()
    assert not batches._thread.is_alive()
