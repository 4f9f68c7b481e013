"""Triplets and faces as loaded from built datasets."""

import csv
import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imagefec.data.fec_row import FaceRef
from imagefec.data.store import datasets, face_store, tfds_source
from imagefec.errors import UserError
from imagefec.maths.geometry import Box

MANUAL = Path(__file__).parents[3] / "tfds_builders" / "fec" / "dummy_data"
TRAIN = "faceexp-comparison-data-train-public.csv"


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory):
    """The train split of the builder's dummy data, built in all three layouts."""
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
    """[(type, agreement, [(face id, url, vote count)])], the odd face last, by naive parsing."""
    faces_of_csv = {
        r["face_id"]
        for r in csv.DictReader((MANUAL / "faces" / "faces.csv").open())
        if not r["reason"]
    }
    found = []
    for cells in csv.reader((MANUAL / TRAIN).open()):
        vote_counts = Counter(int(choice) - 1 for choice in cells[17::2])
        (odd, most), *others = [*vote_counts.most_common(), (None, 0), (None, 0)]
        boxes = [Box(*map(float, cells[i + 1 : i + 5])) for i in (0, 5, 10)]
        faces = [FaceRef(url, box) for url, box in zip((cells[0], cells[5], cells[10]), boxes)]
        if (
            odd is None
            or others[0][1] == most
            or any(face.face_id not in faces_of_csv for face in faces)
        ):
            continue
        columns = [(face.face_id, face.url, vote_counts[i]) for i, face in enumerate(faces)]
        columns.append(columns.pop(odd))
        kind = ["ONE", "TWO", "THREE"].index(cells[15].split("_")[0])
        found.append((kind, most / sum(vote_counts.values()), columns))
    return found


def test_triplets_have_the_odd_face_last_and_vote_counts_in_the_same_order(data):
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
    pairs = zip(sorted(loaded, key=key), sorted(expected, key=key), strict=True)
    for (kind, agreement, columns), (expected_kind, expected_agreement, expected_columns) in pairs:
        assert (kind, columns) == (expected_kind, expected_columns)
        assert agreement == pytest.approx(expected_agreement)
    assert (data.vote_counts[:, 2] > data.vote_counts[:, :2].max(axis=1)).all()


def test_each_distinct_face_is_stored_once_with_the_pixels_of_its_file(data):
    expected = {face_id for _, _, columns in expected_triplets() for face_id, _, _ in columns}
    assert sorted(data.face_ids) == sorted(expected)
    for face_id, face in zip(data.face_ids, data.faces, strict=True):
        path = MANUAL / "faces" / face_id[:2] / f"{face_id}.png"
        np.testing.assert_array_equal(face, np.asarray(Image.open(path)))


def test_arrays_have_the_documented_dtypes(data):
    dtypes = {
        "faces": "uint8",
        "triplets": "int32",
        "types": "int8",
        "vote_counts": "int32",
        "agreement": "float32",
    }
    assert {name: getattr(data, name).dtype.name for name in dtypes} == dtypes


def test_smaller_faces_are_means_of_the_pixels_they_cover(data, data_dir):
    small = datasets.load_triplets(data_dir, image_size=32)
    means = data.faces.reshape(-1, 32, 4, 32, 4, 3).mean(axis=(2, 4))
    assert np.abs(small.faces - means).max() <= 0.5
    assert small.face_ids == data.face_ids


@pytest.fixture
def without_stores(data_dir, tmp_path):
    """The datasets without the stores that other tests cached."""
    return shutil.copytree(
        data_dir, tmp_path / "data", ignore=shutil.ignore_patterns("face_stores")
    )


def assert_same(some: datasets.Triplets, other: datasets.Triplets) -> None:
    for name in ("faces", "triplets", "types", "vote_counts", "agreement"):
        ours, theirs = np.asarray(getattr(some, name)), np.asarray(getattr(other, name))
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs, err_msg=name)
    assert (some.face_ids, some.urls) == (other.face_ids, other.urls)


def test_each_face_is_decoded_once_for_all_loads(data, without_stores, monkeypatch):
    decoded = []
    decode = face_store.cv2.imdecode
    monkeypatch.setattr(
        face_store.cv2, "imdecode", lambda *args: (decoded.append(1), decode(*args))[1]
    )
    first = datasets.load_triplets(without_stores)
    assert len(decoded) == len(data.faces) < 3 * len(data)
    assert_same(first, data)
    assert_same(datasets.load_triplets(without_stores), data)
    datasets.load_triplets(without_stores, split="train[:3]")
    assert len(decoded) == len(data.faces)


def test_the_store_does_not_depend_on_how_many_examples_are_read_at_once(
    data, without_stores, monkeypatch
):
    monkeypatch.setattr(tfds_source, "BATCH_EXAMPLES", 1)
    assert_same(datasets.load_triplets(without_stores), data)


def test_faces_are_mapped_from_a_file_that_plain_numpy_reads(data, data_dir):
    (folder,) = data_dir.glob("face_stores/fec/triplets/*/train_128px-*")
    np.testing.assert_array_equal(np.load(folder / "faces.npy", mmap_mode="r"), data.faces)
    names = [json.loads(line) for line in (folder / "names.jsonl").read_text().splitlines()]
    assert names == [[face_id, url] for face_id, url in zip(data.face_ids, data.urls)]
    assert not data.faces.flags.writeable


@pytest.mark.parametrize("split", ["train", "train[2:5]", "train[50%:]+train[:2]"])
@pytest.mark.parametrize("size", [128, 48])
def test_triplets_that_refer_to_faces_by_id_are_the_same_triplets(data_dir, split, size):
    self_contained = datasets.load_triplets(data_dir, "fec", split, size)
    for dataset in ("fec/index", "fec/index:1.1.0"):
        assert_same(datasets.load_triplets(data_dir, dataset, split, size), self_contained)


def test_parts_of_a_split_are_in_the_requested_order(data, data_dir):
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


def test_an_index_without_its_faces_is_an_error_with_the_build_command(without_stores):
    shutil.rmtree(without_stores / "fec" / "faces")
    with pytest.raises(
        UserError,
        match=r"no dataset 'fec/faces:1\.1\.0'; fec/index/1\.1\.0 takes its faces from there; "
        r"it holds fec/index:1\.1\.0, .*"
        "tfds build tfds_builders/fec --config=faces --manual_dir=DIR",
    ):
        datasets.load_triplets(without_stores, "fec/index")


def test_an_index_and_faces_of_two_crops_are_an_error_that_says_to_build_both(
    without_stores, tmp_path
):
    shutil.copytree(MANUAL / "faces", tmp_path / "manual" / "faces")
    (tmp_path / "manual" / TRAIN).write_text("".join((MANUAL / TRAIN).open().readlines()[:1]))
    shutil.rmtree(without_stores / "fec" / "faces")
    build(tmp_path / "manual", without_stores, "faces")
    with pytest.raises(
        UserError,
        match=r"fec/faces/1\.1\.0 in .* lacks \d+ of the \d+ faces of fec/index/1\.1\.0, such as.*"
        "Build both again with --overwrite",
    ):
        datasets.load_triplets(without_stores, "fec/index")


def test_a_rebuilt_dataset_gets_a_new_store(without_stores, data):
    """The rebuild replaces a file by another of the same name and size."""
    datasets.load_triplets(without_stores, image_size=8)
    (old,) = without_stores.glob("face_stores/fec/triplets/1.1.0/train_8px-*")
    info = without_stores / "fec" / "triplets" / "1.1.0" / "dataset_info.json"
    info.write_text(info.read_text().replace("Facial", "Other"))
    again = datasets.load_triplets(without_stores, image_size=8)
    (new,) = without_stores.glob("face_stores/fec/triplets/1.1.0/train_8px-*")
    assert new != old
    assert again.face_ids == data.face_ids


def test_a_dataset_of_the_wrong_kind_is_refused_with_what_it_lacks(without_stores):
    with pytest.raises(
        UserError, match=r"fec/faces/1\.1\.0 .*holds no faces with identities: it lacks identity"
    ):
        datasets.load_faces(without_stores, "fec/faces")
    with pytest.raises(UserError, match=r"holds no triplets: it lacks image_a, .*face_ids"):
        datasets.load_triplets(without_stores, "fec/faces")


def test_a_part_of_a_split_can_be_loaded(data, data_dir):
    part = datasets.load_triplets(data_dir, dataset="fec:1.1.0", split="train[:3]")
    assert len(part) == 3
    np.testing.assert_array_equal(part.vote_counts, data.vote_counts[:3])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"dataset": "fec:9.9.9"},
            r"no dataset 'fec:9\.9\.9'; it holds fec/faces:1\.1\.0, fec/index:1\.1\.0, .*"
            "tfds build tfds_builders/fec",
        ),
        (
            {"dataset": "other"},
            r"no dataset 'other'; it holds fec/faces:1\.1\.0, fec/index:1\.1\.0, .*"
            "tfds build tfds_builders/other",
        ),
        ({"split": "test"}, r"no split 'test'; it has train \(\d+ examples\)"),
        ({"split": "train[:x]"}, r"no split 'train\[:x\]'"),
        ({"split": "train[3:3]"}, "empty"),
        ({"split": ""}, "no split ''"),
    ],
)
def test_a_missing_dataset_or_split_is_an_error_that_lists_those_that_exist(
    arguments, message, data_dir
):
    with pytest.raises(UserError, match=message):
        datasets.load_triplets(data_dir, **arguments)


def test_a_data_dir_without_datasets_is_an_error_with_the_build_command(tmp_path):
    with pytest.raises(
        UserError, match=r"holds none\. .*tfds build tfds_builders/fec --manual_dir=DIR"
    ):
        datasets.load_triplets(tmp_path)
    with pytest.raises(UserError, match=r"not a folder\. .*tfds build"):
        datasets.load_triplets(tmp_path / "nowhere")


def test_a_size_below_one_is_a_callers_bug(data_dir):
    with pytest.raises(ValueError, match="image_size"):
        datasets.load_triplets(data_dir, image_size=0)


def test_importing_the_module_does_not_import_tensorflow():
    code = "import sys, imagefec.data.store.datasets; sys.exit('tensorflow' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=MANUAL.parents[2], check=True)


def test_a_damaged_record_file_is_an_error_that_says_to_build_again(data_dir, tmp_path):
    shutil.copytree(data_dir, tmp_path / "copy")
    (records,) = (tmp_path / "copy").glob("fec/triplets/1.1.0/*.tfrecord*")
    records.write_bytes(records.read_bytes()[:-100])
    with pytest.raises(
        UserError, match=rf"^{records}: damaged \(truncated record at .*--overwrite"
    ):
        datasets.load_triplets(tmp_path / "copy")


def test_a_name_without_a_config_finds_the_index_if_that_is_all_there_is(data_dir, data, tmp_path):
    for config in ("faces", "index"):
        shutil.copytree(data_dir / "fec" / config, tmp_path / "fec" / config)
    found = datasets.load_triplets(tmp_path, "fec")
    assert found.face_ids == data.face_ids and np.array_equal(found.faces, data.faces)
    assert np.array_equal(found.triplets, data.triplets)
    assert datasets.load_triplets(tmp_path, "fec:1.1.0").face_ids == data.face_ids
    with pytest.raises(UserError, match=r"holds no dataset 'fec:9\.9\.9'"):
        datasets.load_triplets(tmp_path, "fec:9.9.9")
    shutil.copytree(data_dir / "fec" / "triplets", tmp_path / "fec" / "triplets")
    shutil.rmtree(tmp_path / "fec" / "index")
    assert datasets.load_triplets(tmp_path, "fec").face_ids == data.face_ids
