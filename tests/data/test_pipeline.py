"""Triplets as they come out of a built dataset, and the batches drawn from them."""

import csv
import itertools
import shutil
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imagefec.data import fec_csv, pipeline
from imagefec.errors import UserError

MANUAL = Path(__file__).parents[2] / "tfds_builders" / "fec" / "dummy_data"
TRAIN = "faceexp-comparison-data-train-public.csv"


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory):
    """The builder's own dummy data, built; of the copy's train split only."""
    import tensorflow_datasets as tfds

    root = tmp_path_factory.mktemp("built")
    shutil.copytree(MANUAL / "faces", root / "manual" / "faces")
    shutil.copy(MANUAL / TRAIN, root / "manual")
    with tfds.core.utils.add_sys_path(MANUAL.parents[2]):
        builder_cls = tfds.core.community.builder_cls_from_module("tfds_builders.fec.fec_dataset_builder")
    config = tfds.download.DownloadConfig(manual_dir=root / "manual")
    builder_cls(data_dir=root / "data").download_and_prepare(download_config=config)
    return root / "data"


@pytest.fixture(scope="session")
def data(data_dir):
    return pipeline.load_triplets(data_dir)


def expected_triplets() -> list[tuple]:
    """(type, agreement, [(face id, url, votes against it)], the odd one last), straight from the csv file."""
    kept = {r["face_id"] for r in csv.DictReader((MANUAL / "faces" / "faces.csv").open()) if not r["reason"]}
    found = []
    for cells in csv.reader((MANUAL / TRAIN).open()):
        votes = Counter(int(vote) - 1 for vote in cells[17::2])
        (odd, most), *others = [*votes.most_common(), (None, 0), (None, 0)]
        boxes = [fec_csv.Box(*map(float, cells[i + 1 : i + 5])) for i in (0, 5, 10)]
        faces = [fec_csv.FaceRef(url, box) for url, box in zip((cells[0], cells[5], cells[10]), boxes)]
        if odd is None or others[0][1] == most or any(face.face_id not in kept for face in faces):
            continue
        columns = [(face.face_id, face.url, votes[i]) for i, face in enumerate(faces)]
        columns.append(columns.pop(odd))
        kind = ["ONE", "TWO", "THREE"].index(cells[15].split("_")[0])
        found.append((kind, most / sum(votes.values()), columns))
    return found


def test_triplets_have_the_odd_one_last_with_the_votes_in_the_same_order(data):
    loaded = [
        (
            int(data.types[i]), float(data.agreement[i]),
            [(data.face_ids[f], data.urls[f], int(v)) for f, v in zip(data.triplets[i], data.votes[i])],
        )
        for i in range(len(data))
    ]
    expected = expected_triplets()
    assert len(expected) >= 6
    key = lambda triplet: triplet[2]  # noqa: E731
    for got, want in zip(sorted(loaded, key=key), sorted(expected, key=key), strict=True):
        assert (got[0], got[2]) == (want[0], want[2])
        assert got[1] == pytest.approx(want[1])
    assert (data.votes[:, 2] > data.votes[:, :2].max(axis=1)).all()


def test_each_distinct_face_is_there_once_exactly_as_its_file_has_it(data):
    expected = {face_id for _, _, columns in expected_triplets() for face_id, _, _ in columns}
    assert sorted(data.face_ids) == sorted(expected)
    for face_id, face in zip(data.face_ids, data.faces, strict=True):
        path = MANUAL / "faces" / face_id[:2] / f"{face_id}.png"
        np.testing.assert_array_equal(face, np.asarray(Image.open(path)))


def test_arrays_have_the_promised_types(data):
    wanted = {
        "faces": "uint8", "triplets": "int32", "types": "int8", "votes": "int32", "agreement": "float32",
    }
    assert {name: getattr(data, name).dtype.name for name in wanted} == wanted


def test_smaller_faces_are_means_of_the_pixels_they_cover(data, data_dir):
    small = pipeline.load_triplets(data_dir, image_size=32)
    means = data.faces.reshape(-1, 32, 4, 32, 4, 3).mean(axis=(2, 4))
    assert np.abs(small.faces - means).max() <= 0.5
    assert small.face_ids == data.face_ids


def test_each_face_is_decoded_once(data, data_dir, monkeypatch):
    decoded = []
    decode = pipeline.cv2.imdecode
    monkeypatch.setattr(pipeline.cv2, "imdecode", lambda *args: (decoded.append(1), decode(*args))[1])
    pipeline.load_triplets(data_dir)
    assert len(decoded) == len(data.faces) < 3 * len(data)


def test_the_face_bank_keeps_its_faces_while_it_grows(data, data_dir, monkeypatch):
    monkeypatch.setattr(pipeline, "READ_TOGETHER", 1)
    again = pipeline.load_triplets(data_dir)
    np.testing.assert_array_equal(again.faces, data.faces)
    np.testing.assert_array_equal(again.triplets, data.triplets)
    np.testing.assert_array_equal(again.votes, data.votes)


def test_a_part_of_a_split_can_be_loaded(data, data_dir):
    part = pipeline.load_triplets(data_dir, dataset="fec:1.1.0", split="train[:3]")
    assert len(part) == 3
    np.testing.assert_array_equal(part.votes, data.votes[:3])


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ({"dataset": "fec:9.9.9"}, r"no dataset 'fec:9\.9\.9'; it holds fec.triplets:1\.1\.0\. .*tfds build"),
        ({"dataset": "other"}, r"no dataset 'other'; it holds fec.triplets:1\.1\.0\. .*tfds_builders/other"),
        ({"split": "test"}, r"no split 'test'; it has train \(\d+ examples\)"),
        ({"split": "train[:x]"}, r"no split 'train\[:x\]'"),
        ({"split": "train[3:3]"}, "empty"),
        ({"split": ""}, "no split ''"),
    ],
)
def test_what_is_not_there_is_an_error_that_names_what_is(where, said, data_dir):
    with pytest.raises(UserError, match=said):
        pipeline.load_triplets(data_dir, **where)


def test_a_data_dir_without_datasets_is_an_error_with_the_build_command(tmp_path):
    with pytest.raises(UserError, match=r"holds none\. .*tfds build tfds_builders/fec --manual_dir=DIR"):
        pipeline.load_triplets(tmp_path)
    with pytest.raises(UserError, match=r"no folder\. .*tfds build"):
        pipeline.load_triplets(tmp_path / "nowhere")


def test_a_size_below_one_is_a_bug_of_the_caller(data_dir):
    with pytest.raises(ValueError, match="image_size"):
        pipeline.load_triplets(data_dir, image_size=0)


def test_importing_the_module_does_not_import_tensorflow():
    import subprocess

    code = "import sys, imagefec.data.pipeline; sys.exit('tensorflow' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=MANUAL.parents[2], check=True)


def test_a_damaged_record_file_is_an_error_that_says_to_build_again(data_dir, tmp_path):
    shutil.copytree(data_dir, tmp_path / "copy")
    (records,) = (tmp_path / "copy").glob("fec/triplets/1.1.0/*.tfrecord*")
    records.write_bytes(records.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"fec in .*copy cannot be read to its end.*--overwrite"):
        pipeline.load_triplets(tmp_path / "copy")


@pytest.fixture
def ten():
    """Ten triplets of faces that show their own number: five one-class, three two-class, two three-class."""
    numbers = np.arange(30, dtype=np.uint8)
    return pipeline.Triplets(
        faces=np.broadcast_to(numbers[:, None, None, None], (30, 4, 4, 3)).copy(),
        face_ids=[str(n) for n in numbers], urls=[""] * 30,
        triplets=np.random.default_rng(0).permutation(30).reshape(10, 3).astype(np.int32),
        types=np.array([0, 0, 0, 0, 0, 1, 1, 1, 2, 2], np.int8),
        votes=np.tile(np.array([[1, 0, 5]], np.int32), (10, 1)), agreement=np.full(10, 5 / 6, np.float32),
    )


def drawn(data, batches, n) -> list[int]:
    """The triplets' numbers in n batches, found from the faces; checks faces and types on the way."""
    number_of = {tuple(triplet): i for i, triplet in enumerate(data.triplets.tolist())}
    numbers = []
    for faces, types in itertools.islice(batches, n):
        assert faces.shape == (3 * len(types), 4, 4, 3)
        assert faces.dtype == np.uint8
        assert (faces == faces[:, :1, :1, :1]).all()
        found = [number_of[tuple(triplet)] for triplet in faces[:, 0, 0, 0].reshape(-1, 3).tolist()]
        assert types.tolist() == data.types[found].tolist()
        numbers += found
    return numbers


@pytest.mark.parametrize("size", [1, 3, 4, 10])
def test_every_triplet_comes_once_an_epoch_and_no_remainder_is_dropped(ten, size):
    numbers = drawn(ten, pipeline.triplet_batches(ten, size, seed=1), 10 * 3)
    epochs = [numbers[i : i + 10] for i in range(0, len(numbers) // 10 * 10, 10)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == len(epochs)


def test_the_order_depends_on_the_seed_alone(ten):
    first, again, other = (drawn(ten, pipeline.triplet_batches(ten, 4, seed), 10) for seed in (1, 1, 2))
    assert first == again != other


def test_balanced_batches_hold_as_many_of_each_type_and_each_type_has_its_own_epochs(ten):
    numbers = drawn(ten, pipeline.triplet_batches(ten, 6, seed=0, balanced=True), 15)
    types = ten.types[numbers]
    assert types.tolist() == [0, 1, 2] * 30
    for kind, n in ((0, 5), (1, 3), (2, 2)):
        of_kind = np.array(numbers)[types == kind].reshape(-1, n)
        assert (np.sort(of_kind, axis=1) == np.flatnonzero(ten.types == kind)).all()


@pytest.mark.parametrize(
    ("size", "balanced", "said"),
    [
        (0, False, "1 or more"),
        (11, False, "takes 11 triplets and the data hold 10"),
        (4, True, "multiple of 3"),
        (9, True, "takes 3 triplets of type 2.*hold 2"),
    ],
)
def test_a_batch_that_cannot_be_filled_is_an_error_at_once(ten, size, balanced, said):
    with pytest.raises(UserError, match=said):
        pipeline.triplet_batches(ten, size, seed=0, balanced=balanced)
