"""TFDS's own test of a builder, on dummy_data, and what this builder guarantees beyond it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds

from imagefec.data import fec_csv
from imagefec.errors import UserError
from tfds_builders.fec import fec_dataset_builder

CHECKOUT = Path(__file__).parents[2]
DUMMY = Path(__file__).parent / "dummy_data"
N_TRIPLETS = {"train": 8, "test": 3}
N_FACES = {"train": 9, "test": 9}


class TripletsTest(tfds.testing.DatasetBuilderTestCase):
    """Builds dummy_data and reads it back."""

    DATASET_CLASS = fec_dataset_builder.Builder
    BUILDER_CONFIG_NAMES_TO_TEST = ["triplets"]
    SPLITS = N_TRIPLETS


class FacesTest(tfds.testing.DatasetBuilderTestCase):
    """The same for the faces."""

    DATASET_CLASS = fec_dataset_builder.Builder
    BUILDER_CONFIG_NAMES_TO_TEST = ["faces"]
    SPLITS = N_FACES
    OVERLAPPING_SPLITS = ["test"]


class IndexTest(tfds.testing.DatasetBuilderTestCase):
    """The same for triplets that refer to faces by id."""

    DATASET_CLASS = fec_dataset_builder.Builder
    BUILDER_CONFIG_NAMES_TO_TEST = ["index"]
    SPLITS = N_TRIPLETS


@pytest.fixture(scope="module")
def builder(tmp_path_factory):
    return build(DUMMY, tmp_path_factory.mktemp("data"))


def build(manual_dir, data_dir, config=None):
    builder = fec_dataset_builder.Builder(data_dir=data_dir, config=config)
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(manual_dir=manual_dir)
    )
    return builder


def files_of(builder_dir: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(builder_dir).glob("*.tfrecord*")}


def test_another_process_builds_the_same_bytes_and_does_not_import_beam(builder, tmp_path):
    code = (
        "import tensorflow_datasets as tfds\n"
        "from tfds_builders.fec.fec_dataset_builder import Builder\n"
        f"Builder(data_dir={str(tmp_path)!r}).download_and_prepare("
        f"download_config=tfds.download.DownloadConfig(manual_dir={str(DUMMY)!r})); "
        "import sys; print('apache_beam' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=CHECKOUT, check=True, capture_output=True, text=True
    )
    assert done.stdout.split()[-1] == "False"  # Beam is only imported on request
    first, second = files_of(builder.data_dir), files_of(tmp_path / "fec" / "triplets" / "1.1.0")
    assert len(first) == 2
    assert first == second


def test_the_dataset_loads_without_the_builder(builder):
    code = (
        "import sys, tensorflow_datasets as tfds; "
        f"ds = tfds.load('fec', data_dir={str(builder.data_dir_root)!r}, split='test'); "
        "ex = next(iter(ds)); print(len(ds), ex['image_a'].shape, 'tfds_builders' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd="/", check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == "3 (128, 128, 3) False"


def test_metadata_report_dropped_rows_and_the_detector(builder):
    read_back = tfds.builder_from_directory(builder.data_dir).info.metadata
    settings = json.loads((DUMMY / "faces" / "settings.json").read_text())
    assert read_back["faces"] == settings
    assert read_back["splits"] == {
        "train": {
            "csv": "faceexp-comparison-data-train-public.csv",
            "rows": 11,
            "examples": 8,
            "faces": 9,
            "dropped": {"no face found": 1, "no votes": 1, "tie": 1},
            "raters": "people",
        },
        "test": {
            "csv": "faceexp-comparison-data-test-public.csv",
            "rows": 3,
            "examples": 3,
            "faces": 9,
            "dropped": {},
            "raters": "people",
        },
    }


def test_the_images_are_the_cropped_files_unchanged(builder):
    skip = {f"image_{x}": tfds.decode.SkipDecoding() for x in "abc"}
    for example in builder.as_dataset(split="train", decoders=skip).as_numpy_iterator():
        for name, face_id in zip(skip, example["face_ids"]):
            face_id = face_id.decode()
            assert example[name] == (DUMMY / "faces" / face_id[:2] / f"{face_id}.png").read_bytes()


def test_labels_are_those_of_the_csv(builder):
    rows = {
        row.line: row
        for row in fec_csv.read_rows(DUMMY / "faceexp-comparison-data-train-public.csv")
    }
    info = builder.info.features
    for example in builder.as_dataset(split="train").as_numpy_iterator():
        row = rows[example["line"]]
        assert info["odd"].int2str(example["odd"]) == f"image_{'abc'[row.odd]}"
        assert info["type"].int2str(example["type"]) == row.type.key
        assert tuple(example["votes"]) == row.choices
        assert tuple(name.decode() for name in example["annotators"]) == row.annotators
        assert example["agreement"] == pytest.approx(row.agreement)
        boxes = [
            [face.box.left, face.box.right, face.box.top, face.box.bottom] for face in row.faces
        ]
        np.testing.assert_allclose(example["boxes"], boxes, rtol=1e-6)
    assert max(len(row.choices) for row in rows.values()) > 6


def test_faces_and_index_together_are_the_triplets(builder, tmp_path):
    faces, index = (build(DUMMY, tmp_path, config) for config in ("faces", "index"))
    for split in ("train", "test"):
        face_of = {
            face["face_id"]: face for face in faces.as_dataset(split=split).as_numpy_iterator()
        }
        by_line = {
            example["line"]: example
            for example in index.as_dataset(split=split).as_numpy_iterator()
        }
        for example in builder.as_dataset(split=split).as_numpy_iterator():
            three = [face_of[face_id] for face_id in example["face_ids"]]
            joined = {
                **by_line.pop(example["line"]),
                **{f"image_{x}": face["image"] for x, face in zip("abc", three)},
                "urls": np.array([face["url"] for face in three], object),
                "boxes": np.stack([face["box"] for face in three]),
            }
            assert joined.keys() == example.keys()
            for name, value in example.items():
                np.testing.assert_array_equal(joined[name], value, name)
        assert not by_line


@pytest.mark.parametrize("config", ["triplets", "faces", "index"])
def test_exclude_txt_is_honoured_and_counted_but_not_copied_to_the_dataset(config, tmp_path):
    url, face_id = "https://photos.example/3,large.jpg", "56679fd8900a9c5c946a"  # 0,large.jpg
    # Without the test split, all of which is excluded.
    shutil.copytree(
        DUMMY, tmp_path / "Kürzel 李", ignore=shutil.ignore_patterns("*test-public.csv")
    )
    (tmp_path / "Kürzel 李" / "exclude.txt").write_text(f"# requested\n{url}\n{face_id}\n")
    built = build(tmp_path / "Kürzel 李", tmp_path / "data", config)
    ids = {face.face_id for face in faces_of(url)} | {face_id}
    named = [
        name.decode()
        for split in built.info.splits
        for example in built.as_dataset(split=split).as_numpy_iterator()
        for name in np.atleast_1d(example["face_id" if config == "faces" else "face_ids"])
    ]
    assert named and not ids.intersection(named)
    assert built.info.metadata["splits"]["train"]["dropped"]["excluded"] > 0
    assert built.info.metadata["excluded"]["names"] == 2
    text = b"".join(path.read_bytes() for path in Path(built.data_dir).iterdir())
    assert url.encode() not in text and face_id.encode() not in text


def faces_of(url):
    rows = fec_csv.read_rows(DUMMY / "faceexp-comparison-data-train-public.csv")
    return [face for row in rows for face in row.faces if face.url == url]


@pytest.mark.parametrize("config", ["triplets", "faces", "index"])
def test_a_csv_that_changed_since_the_crop_stops_the_build_before_anything_is_written(
    config, tmp_path
):
    shutil.copytree(DUMMY, tmp_path / "manual")
    path = tmp_path / "manual" / "faceexp-comparison-data-test-public.csv"
    path.write_text(
        path.read_text().replace("https://photos.example/2,", "https://moved.example/2,")
    )
    with pytest.raises(
        UserError, match=rf"{path}, line \d: faces\.csv does not list face .*Run `imagefec crop"
    ):
        build(tmp_path / "manual", tmp_path / "data", config)
    assert not list((tmp_path / "data" / "fec" / config).iterdir())


def test_an_empty_manual_directory_is_an_error_with_instructions(tmp_path):
    (tmp_path / "manual").mkdir()
    with pytest.raises(
        Exception, match=r"(?s)faceexp-comparison-data-train-public\.csv.*imagefec crop"
    ):
        build(tmp_path / "manual", tmp_path / "data")
    (tmp_path / "manual" / "notes.txt").touch()
    with pytest.raises(UserError, match=r"(?s)has none of.*imagefec crop"):
        build(tmp_path / "manual", tmp_path / "data")
