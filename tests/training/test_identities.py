"""Identity pre-training: synthetic faces through the vggface2 builder, gin and Trax's loop."""

import json

import numpy as np
import pytest

from imagefec.data.store import datasets
from imagefec.errors import UserError
from imagefec.faces.synthetic import photo
from imagefec.faces.synthetic.heads.expressions import WORDS, sample_expression
from imagefec.faces.synthetic.heads.people import sample_person
from imagefec.model import checkpoint

N_IDENTITIES, PHOTOS_PER_IDENTITY = 6, 5


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    root = tmp_path_factory.mktemp("identities")
    for split in ("train", "test"):
        random = np.random.default_rng(len(split))
        for number in range(N_IDENTITIES):
            person, folder = sample_person(random), root / "manual" / split / f"{split}{number}"
            folder.mkdir(parents=True)
            for k in range(PHOTOS_PER_IDENTITY):
                image, _ = photo.render_photo(
                    random, [(person, sample_expression(random, random.integers(len(WORDS))))]
                )
                (folder / f"{k}.jpg").write_bytes(photo.encode_jpeg(random, image))
    import tensorflow_datasets as tfds

    from tfds_builders.vggface2.vggface2_dataset_builder import Builder, Config

    for config in (
        Config(name="few_triplets", n_triplets=40, detector="none"),
        Config(name="faces_only", layout="faces", detector="none"),
    ):
        builder = Builder(data_dir=root / "data", config=config)
        builder.download_and_prepare(
            download_config=tfds.download.DownloadConfig(manual_dir=root / "manual")
        )
    return root / "data"


def test_faces_are_loaded_with_their_identities(data_dir):
    faces = datasets.load_faces(data_dir, "vggface2/faces_only", "train", 64)
    assert (
        faces.faces.shape == (N_IDENTITIES * PHOTOS_PER_IDENTITY, 64, 64, 3)
        and faces.faces.dtype == np.uint8
    )
    assert sorted(set(faces.identities)) == [f"train{number}" for number in range(N_IDENTITIES)]
    assert all(url.split("/")[1] == identity for url, identity in zip(faces.urls, faces.identities))
    again = datasets.load_faces(data_dir, "vggface2/faces_only", "train", 64)
    np.testing.assert_array_equal(again.faces, faces.faces)


def test_identity_triplets_have_no_types_and_no_votes(data_dir):
    data = datasets.load_triplets(data_dir, "vggface2/few_triplets", "test", 64)
    assert (
        len(data) == 40
        and (data.types == -1).all()
        and not data.vote_counts.any()
        and (data.agreement == 1).all()
    )
    identities = np.array([url.split("/")[1] for url in data.urls])[data.triplets]
    assert (identities[:, 0] == identities[:, 1]).all()
    assert (identities[:, 0] != identities[:, 2]).all()
    assert (data.triplets[:, 0] != data.triplets[:, 1]).all()


def test_a_dataset_of_the_other_layout_is_refused(data_dir, world):
    with pytest.raises(UserError, match="holds no faces with identities"):
        datasets.load_faces(data_dir, "vggface2/few_triplets", "train", 64)
    with pytest.raises(UserError, match="holds no triplets"):
        datasets.load_triplets(data_dir, "vggface2/faces_only", "train", 64)


@pytest.mark.parametrize(
    "select", ["semi_hard", pytest.param("batch_hard", marks=pytest.mark.slow)]
)
def test_a_run_on_expressions_starts_with_the_weights_of_a_run_on_identities(
    data_dir, world, tmp_path, select
):
    from imagefec.training import configurables

    identity_run = tmp_path / "identities"
    configurables.run(
        ["smoke.gin"],
        [
            "steps = 6",
            "training.steps_per_eval = 6",
            "training.loss = @IdentityLoss",
            "training.batch_people = 4",
            "training.faces_each = 3",
            "training.dataset = 'vggface2/few_triplets'",
            "training.train_dataset = 'vggface2/faces_only'",
            f"IdentityLoss.select = '{select}'",
        ],
        identity_run,
        data_dir,
    )
    history = json.loads((identity_run / "history.json").read_text())["eval"]
    assert history["metrics/tpa"][-1][0] == 6 and "metrics/tpa_one_class" not in history
    if select == "semi_hard":
        configurables.run(
            ["smoke.gin"],
            [
                "steps = 1",
                f"training.init_checkpoint = '{identity_run}'",
                "training.init_part = 'body'",
                "warmup_cosine.learning_rate = 1e-30",
            ],
            tmp_path / "fec",
            world.data_dir,
        )
        before, after = (
            checkpoint.load(path)[0]
            for path in (identity_run / "best.npz", tmp_path / "fec" / "model.npz")
        )
        body = [
            name
            for name in after
            if name.startswith("weights/") and ("Stem" in name or "Stage" in name)
        ]
        assert body
        for name in body:  # Trax's Adam decays weights by 1e-5 even at a learning rate of 0
            np.testing.assert_allclose(after[name], before[name], rtol=1e-4, err_msg=name)
    configurables.gin.clear_config()
