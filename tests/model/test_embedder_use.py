"""The embedder in use: batches, many photos, tables, scikit-learn pipelines, its identity."""

import json
import pickle
import resource
import sys
import threading

import numpy as np
import pandas
import pytest
import skimage.data
from PIL import Image
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from imagefec.errors import UserError
from imagefec.faces.detectors import haar_file
from imagefec.model import Embedder, FaceEmbedding, checkpoint
from imagefec.model.embedding.double_buffer import double_buffered
from imagefec.model.embedding.run_identity import RunIdentity
from tests.model.network.small_runs import write_run

SIZE = 16


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    settings = {"d_hidden": 2, "d_embedding": 6, "block": "basic", "stage_blocks": [1]}
    return write_run(tmp_path_factory.mktemp("runs") / "tiny", settings, SIZE)


@pytest.fixture(scope="module")
def embedder(run):
    return Embedder.load(run)


def some_faces(n, seed=0):
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (n, SIZE, SIZE, 3), dtype=np.uint8)


def test_a_batch_is_started_before_the_one_before_it_is_finished():
    events = []

    def batches():
        for number in range(3):
            events.append(f"prepare {number}")
            yield number

    def start(number):
        events.append(f"start {number}")
        return number

    def finish(number):
        events.append(f"finish {number}")
        return number * 10

    assert list(double_buffered(batches(), start, finish)) == [0, 10, 20]
    assert events == [
        *("prepare 0", "start 0", "prepare 1", "start 1", "finish 0"),
        *("prepare 2", "start 2", "finish 1", "finish 2"),
    ]
    assert list(double_buffered([], start, finish)) == []


def test_batches_before_a_broken_face_are_yielded_before_its_error(embedder):
    faces = [*some_faces(5), "gone.png"]
    found = embedder.embed_batches(faces, batch_size=2)
    assert [len(next(found)) for _ in range(2)] == [2, 2]
    with pytest.raises(UserError, match=r"gone\.png"):
        next(found)


def test_the_batches_together_are_what_embed_returns(embedder):
    faces = some_faces(11)
    batches = list(embedder.embed_batches(iter(faces), batch_size=4))
    assert [batch.shape for batch in batches] == [(4, 6), (4, 6), (3, 6)]
    np.testing.assert_array_equal(np.concatenate(batches), embedder.embed(faces, batch_size=4))


def test_arguments_of_batches_are_checked_before_the_first_is_asked_for(embedder):
    with pytest.raises(ValueError, match="batch_size must be 1 or more"):
        embedder.embed_batches(some_faces(1), batch_size=0)
    with pytest.raises(ValueError, match="must be uint8"):
        embedder.embed_batches(some_faces(1)[0])


def test_a_face_has_the_same_bits_in_any_place_of_a_batch(embedder):
    faces = some_faces(24)
    alone = embedder.embed(faces, batch_size=8)
    order = np.random.default_rng(1).permutation(24)
    np.testing.assert_array_equal(embedder.embed(faces[order], batch_size=8), alone[order])
    np.testing.assert_array_equal(embedder.embed(faces[:19], batch_size=8), alone[:19])  # padded


def test_threads_that_share_an_embedder_read_their_own_batches(embedder):
    faces = [some_faces(30, seed) for seed in range(4)]
    found = {}

    def embed(number):
        batches = embedder.embed_batches(iter(faces[number]), batch_size=8)
        found[number] = np.concatenate(list(batches))

    threads = [threading.Thread(target=embed, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(4):
        np.testing.assert_array_equal(found[number], embedder.embed(faces[number], batch_size=8))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss has another unit")
def test_memory_does_not_grow_with_the_number_of_faces(embedder):
    block = some_faces(500)

    def peak_mb(n):
        for _ in embedder.embed_batches(block[i % 500] for i in range(n)):
            pass
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    before = peak_mb(20_000)
    assert peak_mb(200_000) - before < 20  # the faces are 154 MB, their vectors 5 MB


def test_the_faces_of_photos_are_a_table_for_pandas(embedder, tmp_path):
    photos = some_faces(3)
    path = tmp_path / "one.png"
    Image.fromarray(photos[0]).save(path)
    found = embedder.embed_photos([path, photos[1], Image.fromarray(photos[2])], "none")
    assert found.path == [str(path), "photo 1", "photo 2"] and len(found) == found.n_photos == 3
    table = pandas.DataFrame(found.columns())
    pandas.testing.assert_frame_equal(table, found.to_pandas())
    assert list(table) == [
        *("path", "face", "left", "top", "right", "bottom", "score", "embedding")
    ]
    assert table.loc[1, ["face", "left", "top", "right", "bottom", "score"]].tolist() == [
        *(0, 0, 0, SIZE, SIZE, 1)
    ]
    assert table["embedding"][0].shape == (6,)
    np.testing.assert_array_equal(np.stack(table["embedding"]), found.embedding)
    assert repr(found).startswith("<PhotoFaces: 3 faces of 3 photos, 0 photos left out; columns")


@pytest.mark.skipif(haar_file() is None, reason="this OpenCV has no Haar cascade")
def test_photos_give_the_faces_that_each_gives_alone(embedder):
    person = skimage.data.astronaut()[:320, 80:400]
    photos = [person, np.full((90, 90, 3), 128, np.uint8), person[:, ::-1]]
    found = embedder.embed_photos(iter(photos), "haar", batch_size=2)
    alone = [embedder.embed_photo(photo, "haar") for photo in photos]
    assert found.left_out == {"photo 1": "no face was found"} and alone[1] == []
    expected = [
        (f"photo {number}", face, box.left, box.top, box.right, box.bottom, score)
        for number, faces in enumerate(alone)
        for face, (box, score, _) in enumerate(faces)
    ]
    numbers = zip(found.path, found.face.tolist(), *found.box.T.tolist(), found.score.tolist())
    assert list(numbers) == expected and len(expected) >= 2
    vectors = np.concatenate([[vector for _, _, vector in faces] for faces in alone if faces])
    np.testing.assert_allclose(found.embedding, vectors, atol=1e-5)


def test_a_photo_that_cannot_be_read_stops_unless_it_is_skipped(embedder, tmp_path):
    (tmp_path / "notes.txt").write_text("no picture")
    photos = [tmp_path / "notes.txt", some_faces(1)[0]]
    with pytest.raises(UserError, match=r"notes\.txt"):
        embedder.embed_photos(photos, "none")
    found = embedder.embed_photos(photos, "none", on_unreadable="skip")
    assert found.path == ["photo 1"] and found.n_photos == 2
    assert "Give JPEG" in found.left_out[str(tmp_path / "notes.txt")]
    with pytest.raises(ValueError, match="must be 'raise' or 'skip', found 'ignore'"):
        embedder.embed_photos(photos, on_unreadable="ignore")


def test_no_photos_give_an_empty_table(embedder):
    found = embedder.embed_photos([], "none")
    assert len(found) == 0 and found.embedding.shape == (0, 6)
    assert found.to_pandas().shape == (0, 8)


def test_the_text_of_an_embedder_names_its_run_and_sizes(embedder, run):
    assert repr(embedder) == f"<Embedder of {run}, step 12: 16 px faces to 6-d>"


def test_the_identity_names_the_run_and_changes_with_any_weight(embedder, run, tmp_path):
    assert embedder.identity.path == str(run) and embedder.identity.step == 12
    arrays, meta = checkpoint.load(run / "best.npz")
    info = json.loads((run / "run.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps(info | {"dataset": "mine"}))
    checkpoint.save(tmp_path / "best.npz", arrays, {**meta, "step": 7})
    same = Embedder.load(tmp_path).identity
    assert (same.digest, same.step, same.dataset) == (embedder.identity.digest, 7, "mine")
    name = max(name for name in arrays if name.startswith("weights/"))
    checkpoint.save(tmp_path / "best.npz", {**arrays, name: arrays[name] + 1e-6}, meta)
    assert Embedder.load(tmp_path).identity.digest != same.digest


def test_an_identity_is_read_back_from_json():
    identity = RunIdentity("ab" * 32, "runs/one", 12, "fec")
    assert RunIdentity.from_json(json.loads(json.dumps(identity.as_json()))) == identity
    assert str(identity) == "run runs/one, step 12 (weights abababababab)"
    for wrong in (
        *(None, [], {}, {"digest": "ab"}, identity.as_json() | {"step": "12"}),
        *(identity.as_json() | {"step": True}, identity.as_json() | {"more": 1}),
    ):
        with pytest.raises(ValueError, match=r"of a run is|a run must have"):
            RunIdentity.from_json(wrong)


def test_a_pipeline_learns_from_faces(run, embedder):
    faces, labels = some_faces(40), np.arange(40) % 2
    faces[labels == 1] //= 4  # dark and light faces
    steps = FaceEmbedding(run=run, batch_size=16), LogisticRegression(C=1e4, max_iter=1000)
    pipeline = make_pipeline(*steps).fit(faces, labels)
    by_hand = LogisticRegression(C=1e4, max_iter=1000).fit(embedder.embed(faces, 16), labels)
    np.testing.assert_allclose(
        pipeline.predict_proba(faces), by_hand.predict_proba(embedder.embed(faces, 16)), rtol=1e-6
    )
    assert pipeline.score(faces, labels) > 0.9
    again = pickle.loads(pickle.dumps(pipeline))
    np.testing.assert_array_equal(again.predict_proba(faces), pipeline.predict_proba(faces))


def test_the_transformer_is_cloned_named_and_gives_tables(run, embedder, tmp_path):
    transformer = FaceEmbedding(run=run)
    assert clone(transformer).get_params() == {"run": run, "batch_size": 256}
    names = [f"faceembedding{column}" for column in range(6)]
    assert transformer.get_feature_names_out().tolist() == names  # without fit
    faces = some_faces(3)
    table = transformer.set_output(transform="pandas").fit_transform(faces)
    assert list(table) == names
    np.testing.assert_array_equal(table.to_numpy(), embedder.embed(faces))
    paths = [tmp_path / f"{number}.png" for number in range(3)]
    for path, face in zip(paths, faces):
        Image.fromarray(face).save(path)
    plain = FaceEmbedding(run=run)
    for many in (paths, np.array(list(map(str, paths))), pandas.Series(paths)):
        np.testing.assert_array_equal(plain.transform(many), embedder.embed(faces))


def test_the_transformer_refuses_a_run_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match="no such run directory"):
        FaceEmbedding(run=tmp_path / "gone").fit(some_faces(2))
    with pytest.raises(UserError, match="the run is ''"):
        FaceEmbedding().fit(some_faces(2))


def test_the_transformer_loads_the_run_again_when_its_parameter_changes(run, tmp_path):
    transformer = FaceEmbedding(run=run).fit()
    with pytest.raises(UserError, match="no such run directory"):
        transformer.set_params(run=tmp_path / "gone").transform(some_faces(2))
