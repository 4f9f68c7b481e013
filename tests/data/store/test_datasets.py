"""Triplets as they come out of a built dataset, and the batches drawn from them."""

import csv
import itertools
import json
import shutil
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imagefec.data import fec_csv
from imagefec.data.store import datasets, face_store
from imagefec.errors import UserError

MANUAL = Path(__file__).parents[3] / "tfds_builders" / "fec" / "dummy_data"
TRAIN = "faceexp-comparison-data-train-public.csv"


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory):
    """The builder's own dummy data, built in all three layouts; of the copy's train split only."""
    root = tmp_path_factory.mktemp("built")
    shutil.copytree(MANUAL / "faces", root / "manual" / "faces")
    shutil.copy(MANUAL / TRAIN, root / "manual")
    build(root / "manual", root / "data", "triplets", "faces", "index")
    return root / "data"


def build(manual_dir: Path, data_dir: Path, *configs: str) -> None:
    import tensorflow_datasets as tfds

    with tfds.core.utils.add_sys_path(MANUAL.parents[2]):
        builder_cls = tfds.core.community.builder_cls_from_module(
            "tfds_builders.fec.fec_dataset_builder"
        )
    for config in configs:
        builder_cls(data_dir=data_dir, config=config).download_and_prepare(
            download_config=tfds.download.DownloadConfig(manual_dir=manual_dir)
        )


@pytest.fixture(scope="session")
def data(data_dir):
    return datasets.load_triplets(data_dir)


def expected_triplets() -> list[tuple]:
    """(type, agreement, [(face id, url, votes against it)], the odd one last), straight from the csv file."""
    kept = {
        r["face_id"]
        for r in csv.DictReader((MANUAL / "faces" / "faces.csv").open())
        if not r["reason"]
    }
    found = []
    for cells in csv.reader((MANUAL / TRAIN).open()):
        votes = Counter(int(vote) - 1 for vote in cells[17::2])
        (odd, most), *others = [*votes.most_common(), (None, 0), (None, 0)]
        boxes = [fec_csv.Box(*map(float, cells[i + 1 : i + 5])) for i in (0, 5, 10)]
        faces = [
            fec_csv.FaceRef(url, box) for url, box in zip((cells[0], cells[5], cells[10]), boxes)
        ]
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
            int(data.types[i]),
            float(data.agreement[i]),
            [
                (data.face_ids[f], data.urls[f], int(v))
                for f, v in zip(data.triplets[i], data.vote_counts[i])
            ],
        )
        for i in range(len(data))
    ]
    expected = expected_triplets()
    assert len(expected) >= 6
    key = lambda triplet: triplet[2]  # noqa: E731
    for got, want in zip(sorted(loaded, key=key), sorted(expected, key=key), strict=True):
        assert (got[0], got[2]) == (want[0], want[2])
        assert got[1] == pytest.approx(want[1])
    assert (data.vote_counts[:, 2] > data.vote_counts[:, :2].max(axis=1)).all()


def test_each_distinct_face_is_there_once_exactly_as_its_file_has_it(data):
    expected = {face_id for _, _, columns in expected_triplets() for face_id, _, _ in columns}
    assert sorted(data.face_ids) == sorted(expected)
    for face_id, face in zip(data.face_ids, data.faces, strict=True):
        path = MANUAL / "faces" / face_id[:2] / f"{face_id}.png"
        np.testing.assert_array_equal(face, np.asarray(Image.open(path)))


def test_arrays_have_the_promised_types(data):
    wanted = {
        "faces": "uint8",
        "triplets": "int32",
        "types": "int8",
        "vote_counts": "int32",
        "agreement": "float32",
    }
    assert {name: getattr(data, name).dtype.name for name in wanted} == wanted


def test_smaller_faces_are_means_of_the_pixels_they_cover(data, data_dir):
    small = datasets.load_triplets(data_dir, image_size=32)
    means = data.faces.reshape(-1, 32, 4, 32, 4, 3).mean(axis=(2, 4))
    assert np.abs(small.faces - means).max() <= 0.5
    assert small.face_ids == data.face_ids


@pytest.fixture
def unbanked(data_dir, tmp_path):
    """The datasets without what earlier tests kept of them."""
    return shutil.copytree(
        data_dir, tmp_path / "data", ignore=shutil.ignore_patterns("face_stores")
    )


def assert_same(some: datasets.Triplets, other: datasets.Triplets) -> None:
    for name in ("faces", "triplets", "types", "vote_counts", "agreement"):
        ours, theirs = np.asarray(getattr(some, name)), np.asarray(getattr(other, name))
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs, err_msg=name)
    assert (some.face_ids, some.urls) == (other.face_ids, other.urls)


def test_each_face_is_decoded_once_and_not_again_at_the_next_start(data, unbanked, monkeypatch):
    decoded = []
    decode = face_store.cv2.imdecode
    monkeypatch.setattr(
        face_store.cv2, "imdecode", lambda *args: (decoded.append(1), decode(*args))[1]
    )
    first = datasets.load_triplets(unbanked)
    assert len(decoded) == len(data.faces) < 3 * len(data)
    assert_same(first, data)
    assert_same(datasets.load_triplets(unbanked), data)
    datasets.load_triplets(unbanked, split="train[:3]")
    assert len(decoded) == len(data.faces)


def test_the_bank_is_the_same_however_few_examples_are_read_together(data, unbanked, monkeypatch):
    monkeypatch.setattr(datasets, "READ_TOGETHER", 1)
    assert_same(datasets.load_triplets(unbanked), data)


def test_faces_are_mapped_from_a_file_that_plain_numpy_reads(data, data_dir):
    (folder,) = data_dir.glob("face_stores/fec/triplets/*/train_128px-*")
    np.testing.assert_array_equal(np.load(folder / "faces.npy", mmap_mode="r"), data.faces)
    names = [json.loads(line) for line in (folder / "names.jsonl").read_text().splitlines()]
    assert names == [[face_id, url] for face_id, url in zip(data.face_ids, data.urls)]
    assert not data.faces.flags.writeable


@pytest.mark.parametrize("split", ["train", "train[2:5]", "train[50%:]+train[:2]"])
@pytest.mark.parametrize("size", [128, 48])
def test_triplets_that_name_their_faces_are_the_same_triplets(data_dir, split, size):
    whole = datasets.load_triplets(data_dir, "fec", split, size)
    assert_same(datasets.load_triplets(data_dir, "fec/index", split, size), whole)
    batches = [
        itertools.islice(datasets.triplet_batches(data, 2, seed=3), 6)
        for data in (whole, datasets.load_triplets(data_dir, "fec/index:1.1.0", split, size))
    ]
    for (faces, types), (other_faces, other_types) in zip(*batches, strict=True):
        np.testing.assert_array_equal(faces, other_faces)
        np.testing.assert_array_equal(types, other_types)


def test_parts_are_those_of_the_whole_in_the_order_asked_for(data, data_dir):
    parts = datasets.load_triplets(data_dir, split="train[3:5]+train[:2]")
    rows = data.triplets[[3, 4, 0, 1]]
    assert [[parts.face_ids[row] for row in triplet] for triplet in parts.triplets.tolist()] == [
        [data.face_ids[row] for row in triplet] for triplet in rows.tolist()
    ]
    np.testing.assert_array_equal(
        parts.faces[parts.triplets.reshape(-1)], data.faces[rows.reshape(-1)]
    )
    assert sorted(parts.face_ids) == sorted({data.face_ids[row] for row in rows.reshape(-1)})
    np.testing.assert_array_equal(parts.vote_counts, data.vote_counts[[3, 4, 0, 1]])


def test_an_index_without_its_faces_is_an_error_with_the_build_command(unbanked):
    shutil.rmtree(unbanked / "fec" / "faces")
    with pytest.raises(
        UserError,
        match=r"no dataset 'fec/faces:1\.1\.0'; fec/index/1\.1\.0 takes its faces from there; it holds "
        r"fec/index:1\.1\.0, .*tfds build tfds_builders/fec --config=faces --manual_dir=DIR",
    ):
        datasets.load_triplets(unbanked, "fec/index")


def test_an_index_and_faces_of_two_crops_are_an_error_that_says_to_build_both(unbanked, tmp_path):
    shutil.copytree(MANUAL / "faces", tmp_path / "manual" / "faces")
    (tmp_path / "manual" / TRAIN).write_text("".join((MANUAL / TRAIN).open().readlines()[:1]))
    shutil.rmtree(unbanked / "fec" / "faces")
    build(tmp_path / "manual", unbanked, "faces")
    with pytest.raises(
        UserError,
        match=r"fec/faces/1\.1\.0 in .* lacks \d+ of the \d+ faces that fec/index/1\.1\.0 mentions.*"
        "Build both again with --overwrite",
    ):
        datasets.load_triplets(unbanked, "fec/index")


def test_a_dataset_built_anew_gets_a_new_bank(unbanked, data):
    """The dataset's file is replaced by one of the same name that says something else."""
    datasets.load_triplets(unbanked, image_size=8)
    (old,) = unbanked.glob("face_stores/fec/triplets/1.1.0/train_8px-*")
    info = unbanked / "fec" / "triplets" / "1.1.0" / "dataset_info.json"
    info.write_text(info.read_text().replace("Facial", "Other"))
    again = datasets.load_triplets(unbanked, image_size=8)
    (new,) = unbanked.glob("face_stores/fec/triplets/1.1.0/train_8px-*")
    assert new != old
    assert again.face_ids == data.face_ids


def test_single_faces_come_from_their_bank_too(unbanked):
    with pytest.raises(
        UserError, match=r"fec/faces/1\.1\.0 .*holds no faces with identities: it lacks identity"
    ):
        datasets.load_faces(unbanked, "fec/faces")
    with pytest.raises(UserError, match=r"holds no triplets: it lacks image_a, .*face_ids"):
        datasets.load_triplets(unbanked, "fec/faces")


def test_a_part_of_a_split_can_be_loaded(data, data_dir):
    part = datasets.load_triplets(data_dir, dataset="fec:1.1.0", split="train[:3]")
    assert len(part) == 3
    np.testing.assert_array_equal(part.vote_counts, data.vote_counts[:3])


@pytest.mark.parametrize(
    ("where", "said"),
    [
        (
            {"dataset": "fec:9.9.9"},
            r"no dataset 'fec:9\.9\.9'; it holds fec/faces:1\.1\.0, fec/index:1\.1\.0, .*tfds build",
        ),
        (
            {"dataset": "other"},
            r"no dataset 'other'; it holds fec/faces:1\.1\.0, fec/index:1\.1\.0, .*tfds_builders/other",
        ),
        ({"split": "test"}, r"no split 'test'; it has train \(\d+ examples\)"),
        ({"split": "train[:x]"}, r"no split 'train\[:x\]'"),
        ({"split": "train[3:3]"}, "empty"),
        ({"split": ""}, "no split ''"),
    ],
)
def test_what_is_not_there_is_an_error_that_names_what_is(where, said, data_dir):
    with pytest.raises(UserError, match=said):
        datasets.load_triplets(data_dir, **where)


def test_a_data_dir_without_datasets_is_an_error_with_the_build_command(tmp_path):
    with pytest.raises(
        UserError, match=r"holds none\. .*tfds build tfds_builders/fec --manual_dir=DIR"
    ):
        datasets.load_triplets(tmp_path)
    with pytest.raises(UserError, match=r"no folder\. .*tfds build"):
        datasets.load_triplets(tmp_path / "nowhere")


def test_a_size_below_one_is_a_bug_of_the_caller(data_dir):
    with pytest.raises(ValueError, match="image_size"):
        datasets.load_triplets(data_dir, image_size=0)


def test_importing_the_module_does_not_import_tensorflow():
    import subprocess

    code = "import sys, imagefec.data.store.datasets; sys.exit('tensorflow' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=MANUAL.parents[2], check=True)


def test_a_damaged_record_file_is_an_error_that_says_to_build_again(data_dir, tmp_path):
    shutil.copytree(data_dir, tmp_path / "copy")
    (records,) = (tmp_path / "copy").glob("fec/triplets/1.1.0/*.tfrecord*")
    records.write_bytes(records.read_bytes()[:-100])
    with pytest.raises(
        UserError, match=r"fec/triplets/1\.1\.0 in .*copy cannot be read to its end.*--overwrite"
    ):
        datasets.load_triplets(tmp_path / "copy")


@pytest.fixture
def ten():
    """Ten triplets of faces that show their own number: five one-class, three two-class, two three-class."""
    numbers = np.arange(30, dtype=np.uint8)
    return datasets.Triplets(
        faces=np.broadcast_to(numbers[:, None, None, None], (30, 4, 4, 3)).copy(),
        face_ids=[str(n) for n in numbers],
        urls=[""] * 30,
        triplets=np.random.default_rng(0).permutation(30).reshape(10, 3).astype(np.int32),
        types=np.array([0, 0, 0, 0, 0, 1, 1, 1, 2, 2], np.int8),
        vote_counts=np.tile(np.array([[1, 0, 5]], np.int32), (10, 1)),
        agreement=np.full(10, 5 / 6, np.float32),
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
    numbers = drawn(ten, datasets.triplet_batches(ten, size, seed=1), 10 * 3)
    epochs = [numbers[i : i + 10] for i in range(0, len(numbers) // 10 * 10, 10)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == len(epochs)


def test_the_order_depends_on_the_seed_alone(ten):
    first, again, other = (
        drawn(ten, datasets.triplet_batches(ten, 4, seed), 10) for seed in (1, 1, 2)
    )
    assert first == again != other


def test_balanced_batches_hold_as_many_of_each_type_and_each_type_has_its_own_epochs(ten):
    numbers = drawn(ten, datasets.triplet_batches(ten, 6, seed=0, balanced=True), 15)
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
        datasets.triplet_batches(ten, size, seed=0, balanced=balanced)
