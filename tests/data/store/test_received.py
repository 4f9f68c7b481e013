"""Built datasets of any format, and those that are damaged, copied in part, or made to harm."""

import json
import random
import shutil
import subprocess
import sys

import numpy as np
import pytest

from imagefec.data.store import datasets
from imagefec.errors import UserError
from tests.data.store.test_datasets import MANUAL, TRAIN

CHECKOUT = MANUAL.parents[2]
FORMATS = ("tfrecord", "array_record", "parquet")
VERSION = "fec/triplets/1.1.0"


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """The train split of the builder's dummy data, built in each format: data_dir by format."""
    import tensorflow_datasets as tfds

    from tfds_builders.fec.fec_dataset_builder import Builder

    root = tmp_path_factory.mktemp("formats")
    shutil.copytree(MANUAL / "faces", root / "manual" / "faces")
    shutil.copy(MANUAL / TRAIN, root / "manual")
    for file_format in FORMATS:
        Builder(
            data_dir=root / file_format, config="triplets", file_format=file_format
        ).download_and_prepare(
            download_config=tfds.download.DownloadConfig(manual_dir=root / "manual")
        )
    return root


@pytest.fixture
def copied(built, tmp_path):
    """A function that copies the dataset of a format, without cached faces, and returns both."""

    def copy(file_format="tfrecord"):
        shutil.copytree(built / file_format / "fec", tmp_path / "data" / "fec")
        return tmp_path / "data", tmp_path / "data" / VERSION

    return copy


def values_of(triplets):
    """Everything that a user sees of loaded triplets."""
    return (
        np.array(triplets.faces[:]).tobytes(),
        *map(tuple, (triplets.face_ids, triplets.urls)),
        *(
            getattr(triplets, name).tobytes()
            for name in ("triplets", "types", "vote_counts", "agreement")
        ),
    )


def shard_of(folder):
    (shard,) = folder.glob("fec-train.*")
    return shard


def changed(path, change):
    """Changes a JSON file."""
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_every_format_gives_the_same_triplets(built):
    first, *others = (
        values_of(datasets.load_triplets(built / file_format)) for file_format in FORMATS
    )
    assert len(first[1]) == 9  # faces of the 8 triplets
    assert others == [first, first]


def test_a_part_of_a_split_in_array_record_is_that_part(built):
    whole, part = (
        datasets.load_triplets(built / "array_record", split=split)
        for split in ("train", "train[2:5]")
    )
    ids = np.array(whole.face_ids)[whole.triplets[2:5]]
    assert np.array(part.face_ids)[part.triplets].tolist() == ids.tolist()


def test_files_of_a_format_without_a_reader_are_an_error_that_names_the_format(copied):
    data_dir, folder = copied()
    changed(folder / "dataset_info.json", lambda info: info.update(fileFormat="riegeli"))
    shard_of(folder).rename(folder / "fec-train.riegeli-00000-of-00001")
    with pytest.raises(
        UserError, match=r"files of the format riegeli, which require another .*--file_format=tfr"
    ):
        datasets.load_triplets(data_dir)


@pytest.mark.parametrize("name", ["dataset_info.json", "features.json"])
@pytest.mark.parametrize("how", ["cut", "empty", "deep", "list", "binary"])
def test_a_description_that_was_copied_in_part_is_named(copied, name, how):
    data_dir, folder = copied()
    text = (folder / name).read_bytes()
    (folder / name).write_bytes(
        {
            "cut": text[: len(text) // 2],
            "empty": b"",
            "deep": b"[" * 100_000,
            "list": b"[]",
            "binary": b"\xff" + text,
        }[how]
    )
    with pytest.raises(UserError, match=rf"^{folder / name}: damaged \(.*Copy the dataset again"):
        datasets.load_triplets(data_dir)


@pytest.mark.parametrize("name", ["dataset_info.json", "features.json"])
def test_a_description_that_is_missing_is_named(copied, name):
    data_dir, folder = copied()
    (folder / name).unlink()
    for dataset in ("fec", "fec/triplets", "fec/triplets:1.1.0"):
        with pytest.raises(UserError, match=rf"^{folder / name}: missing\. Copy the dataset"):
            datasets.load_triplets(data_dir, dataset)


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_file_of_records_that_is_missing_or_cut_is_named(copied, file_format):
    data_dir, folder = copied(file_format)
    shard = shard_of(folder)
    records = shard.read_bytes()
    for length in (len(records) - 9, len(records) // 2, 9):
        shard.write_bytes(records[:length])
        with pytest.raises(UserError, match=rf"^{shard}: damaged \(.+\)\. Copy the dataset"):
            datasets.load_triplets(data_dir)
    shard.write_bytes(b"")
    with pytest.raises(UserError, match=r"lists 8 examples, but the 1 files .* only 0 bytes"):
        datasets.load_triplets(data_dir)
    shard.unlink()
    with pytest.raises(UserError, match=rf"^{shard}: missing\. Copy the dataset"):
        datasets.load_triplets(data_dir)
    assert not list(data_dir.rglob("faces.npy"))


@pytest.mark.parametrize("length", ["7", "9"])
@pytest.mark.parametrize("file_format", FORMATS)
def test_another_number_of_examples_than_listed_is_damage(copied, file_format, length):
    data_dir, folder = copied(file_format)
    changed(
        folder / "dataset_info.json", lambda info: info["splits"][0].update(shardLengths=[length])
    )
    with pytest.raises(
        UserError, match=rf"damaged \(8 examples, but dataset_info\.json lists {length}\)"
    ):
        datasets.load_triplets(data_dir)


@pytest.mark.parametrize("length", ["-8", str(10**15), "x", "1e3"])
def test_an_absurd_number_of_examples_is_damage_and_takes_no_memory(copied, length):
    data_dir, folder = copied()
    changed(
        folder / "dataset_info.json", lambda info: info["splits"][0].update(shardLengths=[length])
    )
    with pytest.raises(UserError):
        datasets.load_triplets(data_dir)


FUZZED = 40  # changes of each format; a larger number found nothing else


@pytest.mark.parametrize("file_format", ["tfrecord", "array_record"])
def test_any_damage_gives_the_right_data_or_a_sentence(copied, built, file_format):
    data_dir, folder = copied(file_format)
    expected = values_of(datasets.load_triplets(built / file_format))
    rng = random.Random(7)
    names = sorted(path.name for path in folder.iterdir())
    said = []
    for _ in range(FUZZED):
        shutil.rmtree(data_dir / "face_stores", ignore_errors=True)
        path = folder / rng.choice(names)
        whole = path.read_bytes()
        broken = bytearray(whole)
        at = rng.randrange(len(whole))
        change = rng.choice(("flip", "flip", "cut", "zeros", "noise"))
        if change == "flip":
            broken[at] ^= 1 << rng.randrange(8)
        elif change == "cut":
            del broken[at:]
        else:
            n = min(40, len(whole) - at)
            broken[at : at + n] = bytes(n) if change == "zeros" else rng.randbytes(n)
        path.write_bytes(broken)
        try:
            assert values_of(datasets.load_triplets(data_dir, "fec/triplets")) == expected, (
                path.name,
                change,
                at,
            )
        except UserError as error:
            said.append(str(error))
        path.write_bytes(whole)
    assert 0 < len(said) < FUZZED
    assert all("\n" not in text and len(text) < 1500 for text in said)


def test_a_description_cannot_make_the_reader_import_code(copied, tmp_path):
    data_dir, folder = copied()
    (tmp_path / "evil.py").write_text(
        "import pathlib\npathlib.Path(__file__).with_name('canary').touch()\n"
    )

    def evil(features):
        features["featuresDict"]["features"]["odd"]["pythonClassName"] = "evil.Feature"

    for change in (
        evil,
        lambda features: features.update(type="evil.Feature", content={}),
        lambda features: features.update(python_class_name="evil.Feature"),
    ):
        shutil.copy(folder / "features.json", tmp_path / "features.json")
        changed(folder / "features.json", change)
        code = (
            "import sys\nfrom imagefec.data.store import datasets\n"
            "datasets.load_triplets(sys.argv[1])\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, data_dir],
            cwd=tmp_path,
            env={"PYTHONPATH": f"{CHECKOUT}:{tmp_path}", "PATH": ""},
            capture_output=True,
            text=True,
        )
        assert "names the Python class 'evil.Feature', which would be imported" in done.stderr
        assert not (tmp_path / "canary").exists()
        shutil.copy(tmp_path / "features.json", folder / "features.json")


@pytest.mark.parametrize("name", ["../../../outside", "/outside", "..", "a/../.."])
def test_a_name_that_leads_out_of_the_folder_is_refused_and_nothing_is_written_there(
    copied, tmp_path, name
):
    data_dir, folder = copied()
    outside = tmp_path / "outside"
    shutil.copytree(folder, outside / "kept")
    before = sorted(outside.rglob("*"))
    changed(folder / "dataset_info.json", lambda info: info.update(name=name))
    with pytest.raises(UserError, match=r"dataset_info\.json|cannot be opened"):
        datasets.load_triplets(data_dir, "fec/triplets")
    assert sorted(outside.rglob("*")) == before
    assert not list(tmp_path.rglob("faces.npy"))


@pytest.mark.parametrize(
    "template", ["/dev/zero", "../../../../outside/{SPLIT}", "{SPLIT}/../../x", "/etc/passwd"]
)
def test_records_outside_the_folder_are_not_read(copied, template):
    data_dir, folder = copied()
    changed(
        folder / "dataset_info.json",
        lambda info: info["splits"][0].update(filepathTemplate=template),
    )
    with pytest.raises(UserError, match=r"dataset_info\.json|cannot be opened|missing"):
        datasets.load_triplets(data_dir)


def test_a_named_pipe_in_place_of_a_file_of_records_is_refused(copied):
    import os

    data_dir, folder = copied()
    shard = shard_of(folder)
    shard.unlink()
    os.mkfifo(shard)
    with pytest.raises(UserError, match=rf"^{shard}: not a file"):
        datasets.load_triplets(data_dir)


def test_a_link_among_the_cached_faces_is_removed_and_its_target_kept(copied, tmp_path):
    data_dir, _ = copied()
    first = values_of(datasets.load_triplets(data_dir))
    (store,) = (data_dir / "face_stores" / VERSION).glob("train_128px-*")
    shutil.rmtree(store)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/canary").touch()
    store.with_name("train_128px-0").symlink_to(tmp_path / "outside", target_is_directory=True)
    assert values_of(datasets.load_triplets(data_dir)) == first
    assert (tmp_path / "outside/canary").exists()
    assert not store.with_name("train_128px-0").is_symlink()
