"""TFDS's own test of a builder, on dummy_data, and what this builder guarantees beyond it.

dummy_data has synthetic faces only:

  import pathlib
  import cv2, numpy as np
  from imagefec.faces.synthetic import photo
  from imagefec.faces.synthetic.heads import expressions, people

  folders = {"train/n000002": 3, "train/n000003": 3, "train/n000004": 1, "test/n000001": 2,
             "test/n000009": 2}
  for number, (folder, n) in enumerate(folders.items()):
      rng = np.random.default_rng(300 + number)
      person = people.sample_person(rng)
      (pathlib.Path("dummy_data") / folder).mkdir(parents=True)
      for i in range(n):
          word = int(rng.integers(len(expressions.WORDS)))
          image, _ = photo.render_photo(rng, [(person, expressions.sample_expression(rng, word))])
          small = cv2.resize(image[..., ::-1], (112, 112), interpolation=cv2.INTER_AREA)
          cv2.imwrite(f"dummy_data/{folder}/{i + 1:04d}_01.jpg", small,
                      [cv2.IMWRITE_JPEG_QUALITY, 80])
  gray = np.full((64, 64, 3), 128, np.uint8)
  cv2.imwrite("dummy_data/train/n000004/0002_01.jpg", gray)
  pathlib.Path("dummy_data/train/n000004/0003_01.jpg").write_text("no picture")
"""

import itertools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds

from imagefec.data.identity.sampling import identity_triplets
from imagefec.data.samplers import identity_batches
from imagefec.errors import UserError
from tfds_builders.vggface2 import vggface2_dataset_builder
from tfds_builders.vggface2.vggface2_dataset_builder import Config

FOLDER = Path(__file__).parent
DUMMY = FOLDER / "dummy_data"
# All possible triplets, fewer than 4 per face. Train: n000002 and n000003 each have 3 pairs x 4
# others. Test: both identities have 1 pair x 2 others.
N_TRIPLETS = {"train": 24, "test": 4}
N_FACES = {"train": 7, "test": 4}


class TripletsTest(tfds.testing.DatasetBuilderTestCase):
    """Builds dummy_data and reads it back."""

    DATASET_CLASS = vggface2_dataset_builder.Builder
    BUILDER_CONFIG_NAMES_TO_TEST = ["triplets"]
    SPLITS = N_TRIPLETS


class FacesTest(tfds.testing.DatasetBuilderTestCase):
    """The same for the faces."""

    DATASET_CLASS = vggface2_dataset_builder.Builder
    BUILDER_CONFIG_NAMES_TO_TEST = ["faces"]
    SPLITS = N_FACES


@pytest.fixture(scope="module", autouse=True)
def no_model_files(tmp_path_factory):
    """The detector that "auto" chooses must not depend on the user's model files."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMAGEFEC_MODELS", str(tmp_path_factory.mktemp("models")))
        yield


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """Both configs built from dummy_data."""
    data_dir = tmp_path_factory.mktemp("data")
    for config in ("triplets", "faces"):
        build(DUMMY, data_dir, config)
    return data_dir


def build(manual_dir, data_dir, config):
    builder = vggface2_dataset_builder.Builder(data_dir=data_dir, config=config)
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(manual_dir=manual_dir)
    )
    return builder


def read(data_dir, config, split):
    """The examples as stored, images still encoded."""
    builder = tfds.builder_from_directory(data_dir / "vggface2" / config / "1.0.0")
    images = [name for name in builder.info.features if name.startswith("image")]
    skip = {name: tfds.decode.SkipDecoding() for name in images}
    return list(builder.as_dataset(split=split, decoders=skip).as_numpy_iterator())


@pytest.mark.parametrize("split", ["train", "test"])
def test_triplets_are_two_photos_of_one_identity_and_one_of_another_from_the_faces_config(
    data_dir, split
):
    faces = {example["face_id"]: example for example in read(data_dir, "faces", split)}
    seen = set()
    for example in read(data_dir, "triplets", split):
        one, two, other = (faces[face_id] for face_id in example["face_ids"])
        assert one["label"] == two["label"] != other["label"] and one["url"] != two["url"]
        assert example["odd"] == 2
        images = [example[f"image_{x}"] for x in "abc"]
        assert images == [face["image"] for face in (one, two, other)]
        assert list(example["urls"]) == [face["url"] for face in (one, two, other)]
        assert list(example["identities"]) == [face["identity"] for face in (one, two, other)]
        seen.add(tuple(example["face_ids"]))
    assert len(seen) == N_TRIPLETS[split]


def test_labels_number_the_identities_by_name_and_urls_are_paths_in_the_manual_directory(data_dir):
    names = sorted(path.name for path in (DUMMY / "train").iterdir())
    for face in read(data_dir, "faces", "train"):
        assert (
            names[face["label"]] == face["identity"].decode() == face["url"].decode().split("/")[1]
        )
        assert (DUMMY / face["url"].decode()).is_file()
        assert face["box"][0] < face["box"][1] and face["box"][2] < face["box"][3]


def test_metadata_report_what_was_dropped_and_which_detector_found_the_faces(data_dir):
    metadata = tfds.builder_from_directory(
        data_dir / "vggface2" / "triplets" / "1.0.0"
    ).info.metadata
    assert metadata["faces"]["detector"] == "blazeface" and metadata["faces"]["boxes"] == "detector"
    assert metadata["seed"] == 0 and metadata["excluded"] == {"names": 0, "digest": ""}
    train = metadata["splits"]["train"]
    assert train["dropped"] == {"no face found": 1, "not a photo": 1}
    assert {
        name: train[name]
        for name in ("photos", "faces", "people", "people_with_one_face", "examples")
    } == {"photos": 9, "faces": 7, "people": 3, "people_with_one_face": 1, "examples": 24}
    assert str(DUMMY) not in json.dumps(dict(metadata))


def test_identity_batches_are_sampled_from_the_faces_config(data_dir):
    faces = read(data_dir, "faces", "train")
    labels = np.array([face["label"] for face in faces])
    for indices in itertools.islice(identity_batches(labels, 2, 3, seed=0), 5):
        assert sorted({faces[index]["identity"] for index in indices}) == [b"n000002", b"n000003"]
        assert len({faces[index]["face_id"] for index in indices}) == 6
    assert len(identity_triplets(labels, 1000, seed=0)) == 24


def test_both_configs_load_without_importing_the_builder(data_dir):
    code = (
        "import sys, tensorflow_datasets as tfds; "
        f"load = lambda name: tfds.load(name, data_dir={str(data_dir)!r}, split='test'); "
        "ds = [load(name) for name in ('vggface2', 'vggface2/triplets', 'vggface2/faces')]; "
        "print([len(d) for d in ds], next(iter(ds[0]))['image_c'].shape, "
        "'tfds_builders' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd="/", check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[4, 4, 4] (128, 128, 3) False"


def test_an_empty_manual_directory_is_an_error_with_instructions(tmp_path):
    (tmp_path / "manual").mkdir()
    with pytest.raises(Exception, match=r"(?s)DIR/train/<identity>/\*\.jpg.*tfds build"):
        build(tmp_path / "manual", tmp_path / "data", "triplets")
    (tmp_path / "manual" / "notes.txt").touch()
    with pytest.raises(UserError, match=r"(?s)found 0 folders and 1 files.*DIR/train/<identity>"):
        build(tmp_path / "manual", tmp_path / "data", "triplets")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"layout": "pairs"}, "layout is 'pairs'; allowed are triplets, faces"),
        ({"n_triplets": 0}, "n_triplets is 0; it must be an integer of 1 or more"),
        ({"n_triplets": 1.5}, r"n_triplets is 1\.5"),
        ({"seed": -1}, "seed is -1; it must be an integer of 0 or more"),
    ],
)
def test_a_custom_config_with_a_wrong_field_is_refused(wrong, message):
    with pytest.raises(UserError, match=f"config mine: {message}"):
        Config(name="mine", **wrong)
