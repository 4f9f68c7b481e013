"""The embedder: loading runs, kinds of input, batches and padding, photos, and refusals."""

# Over 350 lines: every kind of input goes through one class and one run.

import copy
import json
import multiprocessing
import os
import pickle
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import cv2
import jax
import numpy as np
import pytest
import skimage.data
from PIL import Image

from imagefec.compat import ShapeDtype
from imagefec.errors import UserError
from imagefec.faces import crop
from imagefec.faces.detectors import haar_file
from imagefec.model import Embedder, ImageFEC, checkpoint
from imagefec.model.run import Run

SETTINGS = {
    "d_hidden": 4,
    "d_embedding": 6,
    "fc_widths": [8],
    "block": "basic",
    "stage_blocks": [1, 1],
    "stem": "conv3",
    "pool": "flatten",
}
SIZE = 32


def write_run(run_dir, model, settings=SETTINGS):
    run_dir.mkdir(exist_ok=True)
    info = {"format": 1, "model": settings, "image_size": SIZE, "dataset": "fec", "step": 12}
    (run_dir / "run.json").write_text(json.dumps(info))
    checkpoint.save(run_dir / "best.npz", checkpoint.named_weights(model), {"step": 12})
    return run_dir


@pytest.fixture(scope="module")
def model():
    trained = ImageFEC(**SETTINGS)
    trained.init(ShapeDtype((1, SIZE, SIZE, 3), np.uint8), rng=jax.random.PRNGKey(0))
    trained(some_faces(8, SIZE))  # updates the running statistics
    return trained


@pytest.fixture(scope="module")
def run(model, tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("runs") / "small", model)


@pytest.fixture(scope="module")
def embedder(run):
    return Embedder.load(run)


def some_faces(n, height, width=None):
    return np.random.default_rng(n).integers(
        0, 256, (n, height, width or height, 3), dtype=np.uint8
    )


@pytest.fixture(scope="module")
def expected(model):
    """Embeddings by the run's weights in eval mode, without the embedder."""
    network = ImageFEC(**SETTINGS, mode="eval")
    return lambda faces: np.asarray(network(faces, weights=model.weights, state=model.state))


def test_embeddings_are_those_of_the_runs_weights_in_evaluation_mode(embedder, expected):
    faces = some_faces(5, SIZE)
    found = embedder.embed(faces)
    assert found.dtype == np.float32 and found.shape == (5, 6) == (5, embedder.d_embedding)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(found, expected(faces), atol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 2, 4, 7, 100])
def test_the_batch_size_and_its_padding_change_nothing(embedder, batch_size):
    faces = some_faces(7, SIZE)
    np.testing.assert_allclose(embedder.embed(faces, batch_size), embedder.embed(faces), atol=1e-5)


def test_a_short_last_batch_is_padded_instead_of_compiled_anew(run):
    fresh = Embedder.load(run)
    fresh.embed(some_faces(11, SIZE), batch_size=4)
    fresh.embed(some_faces(6, SIZE), batch_size=4)
    assert fresh._apply._cache_size() == 1


def test_paths_pil_images_arrays_and_generators_give_the_same_embeddings(embedder, tmp_path):
    faces = some_faces(3, SIZE)
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    for path, face in zip(paths, faces):
        Image.fromarray(face).save(path)
    expected_vectors = embedder.embed(faces)
    for same in (
        paths,
        [str(path) for path in paths],
        [Image.fromarray(face) for face in faces],
        list(faces),
        (face for face in faces),
        [paths[0], Image.fromarray(faces[1]), faces[2]],
    ):
        np.testing.assert_allclose(embedder.embed(same), expected_vectors, atol=1e-6)
    for one in (paths[0], str(paths[0]), Image.fromarray(faces[0])):
        np.testing.assert_allclose(embedder.embed(one), expected_vectors[:1], atol=1e-6)


def test_an_iterator_is_read_at_most_one_batch_ahead(embedder):
    yielded = []

    def endless():
        for i in range(6):
            if i == 5:
                raise RuntimeError(f"asked for a sixth after {yielded}")
            yielded.append(i)
            yield some_faces(1, SIZE)[0]

    with pytest.raises(RuntimeError, match="sixth"):
        embedder.embed(endless(), batch_size=2)
    assert len(yielded) == 5


def test_no_faces_give_no_embeddings(embedder):
    for nothing in ([], np.zeros((0, SIZE, SIZE, 3), np.uint8), iter(())):
        found = embedder.embed(nothing)
        assert found.shape == (0, 6) and found.dtype == np.float32


def test_faces_of_the_datasets_size_are_resized_by_area(embedder, expected):
    faces = some_faces(2, 128)
    by_hand = faces.reshape(2, SIZE, 4, SIZE, 4, 3).mean((2, 4)).round().astype(np.uint8)
    np.testing.assert_allclose(embedder.embed(faces), expected(by_hand), atol=0.02)
    exact = np.stack(
        [cv2.resize(face, (SIZE, SIZE), interpolation=cv2.INTER_AREA) for face in faces]
    )
    np.testing.assert_allclose(embedder.embed(faces), expected(exact), atol=1e-5)


def test_faces_that_are_not_square_are_letterboxed_as_in_the_dataset(embedder):
    tall = some_faces(1, 90, 60)[0]
    padded, _ = crop.letterbox(tall)
    np.testing.assert_allclose(embedder.embed([tall]), embedder.embed(padded[None]), atol=1e-6)


def test_smaller_faces_are_enlarged_as_in_the_dataset(embedder, expected):
    small = some_faces(3, SIZE // 2)
    smooth = np.stack(
        [cv2.resize(face, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC) for face in small]
    )
    np.testing.assert_allclose(embedder.embed(small), expected(smooth), atol=1e-5)


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((2, SIZE, SIZE, 3), np.float32),
        np.zeros((SIZE, SIZE, 3), np.uint8),
        np.zeros((2, SIZE, SIZE, 4), np.uint8),
        [np.zeros((SIZE, SIZE), np.uint8)],
        [3.0],
        7,
    ],
)
def test_inputs_other_than_faces_are_refused(embedder, wrong):
    with pytest.raises(ValueError, match="must be uint8"):
        embedder.embed(wrong)


@pytest.mark.parametrize("batch_size", [1.5, "3", None, True])
def test_a_batch_size_that_is_no_whole_number_is_refused(embedder, batch_size):
    with pytest.raises(ValueError, match="batch_size must be a whole number, found"):
        embedder.embed(some_faces(1, SIZE), batch_size=batch_size)


def test_a_batch_size_below_one_is_refused(embedder):
    with pytest.raises(ValueError, match="batch_size must be 1 or more, found 0"):
        embedder.embed(some_faces(1, SIZE), batch_size=0)


def test_a_path_that_is_not_an_image_is_named(embedder, tmp_path):
    (tmp_path / "notes.txt").write_text("not an image")
    with pytest.raises(UserError, match=r"notes\.txt"):
        embedder.embed([tmp_path / "notes.txt"])
    with pytest.raises(UserError, match=r"gone\.png"):
        embedder.embed([tmp_path / "gone.png"])


def test_photos_are_cropped_as_in_the_dataset(embedder):
    photo = some_faces(1, 90, 120)[0]
    [(box, score, vector)] = embedder.embed_photo(photo, detector="none")
    assert (box.left, box.right, box.top, box.bottom) == (0, 120, 0, 90) and score == 1
    face, _ = crop.letterbox(photo)
    np.testing.assert_allclose(vector, embedder.embed(face[None])[0], atol=1e-6)


def test_a_photo_without_faces_gives_an_empty_list(embedder):
    assert embedder.embed_photo(np.full((120, 160, 3), 128, np.uint8)) == []


@pytest.mark.parametrize("detector", ["haar", pytest.param("lbp", marks=pytest.mark.slow)])
def test_eight_threads_get_the_answers_of_one(embedder, detector):
    if detector == "haar" and haar_file() is None:
        pytest.skip("this OpenCV has no Haar cascade")
    person = skimage.data.astronaut()[:320, 80:400]
    photos = [
        cv2.resize(np.roll(person, 5 * i, axis=i % 2), (320 >> i % 3, 320 >> i % 3))
        for i in range(40)
    ]

    def answer(photo):
        found = embedder.embed_photo(photo, detector)
        return [(box, score, vector.tobytes()) for box, score, vector in found]

    alone = [answer(photo) for photo in photos]
    assert sum(map(len, alone)) >= 20
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(answer, photos)) == alone


def test_faces_embedded_in_eight_threads_are_those_of_one(embedder):
    batches = [some_faces(1 + n % 5, SIZE + n % 3) for n in range(24)]
    alone = [embedder.embed(faces) for faces in batches]
    with ThreadPoolExecutor(8) as pool:
        for found, expected in zip(pool.map(embedder.embed, batches), alone, strict=True):
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((5,), "a detector's name must be a text"),
        ((["haar"],), "a detector's name must be a text"),
        (("lbp", "high"), "min_score must be a number"),
        (("lbp", [0.5]), "min_score must be a number"),
    ],
)
def test_a_detector_or_min_score_of_another_type_is_refused(embedder, arguments, text):
    with pytest.raises(ValueError, match=text):
        embedder.embed_photo(np.zeros((40, 40, 3), np.uint8), *arguments)


def test_a_pickled_embedder_gives_the_same_vectors(embedder, run, monkeypatch):
    faces = some_faces(3, SIZE)
    monkeypatch.chdir(run.parent)
    pickled = pickle.dumps(Embedder.load(run.name))
    monkeypatch.chdir("/")  # the run is found from another folder
    assert len(pickled) < 1000  # no weights
    loaded = pickle.loads(pickled)
    assert loaded.info == embedder.info
    np.testing.assert_array_equal(loaded.embed(faces), embedder.embed(faces))
    np.testing.assert_array_equal(copy.deepcopy(loaded).embed(faces), embedder.embed(faces))


def test_a_pickle_whose_run_has_other_weights_by_now_is_refused(run, tmp_path):
    copied = shutil.copytree(run, tmp_path / "run")
    pickled = pickle.dumps(Embedder.load(copied))
    arrays, _ = checkpoint.load(copied / "best.npz")
    name = min(name for name in arrays if name.startswith("weights/"))
    checkpoint.save(copied / "best.npz", {**arrays, name: arrays[name] + 1e-6}, {"step": 13})
    with pytest.raises(UserError, match=r"\(step 13\) are not those .* \(step 12\)"):
        pickle.loads(pickled)
    shutil.rmtree(copied)
    with pytest.raises(UserError, match="no such run directory"):
        pickle.loads(pickled)


def test_an_embedder_of_a_network_in_memory_says_why_it_cannot_be_pickled(model):
    in_memory = Embedder(model, SIZE)
    with pytest.raises(pickle.PicklingError, match=r"only an Embedder of Embedder\.load"):
        pickle.dumps(in_memory)


def test_a_spawned_process_embeds_with_a_pickled_embedder(embedder):
    faces = some_faces(3, SIZE)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found = pool.apply(embedder.embed, (faces,))
    np.testing.assert_array_equal(found, embedder.embed(faces))


IN_A_FORK = """
import os, sys
import numpy as np
import imagefec
from imagefec.errors import UserError

faces = np.zeros((2, 32, 32, 3), np.uint8)
embedder = imagefec.Embedder.load(sys.argv[1])
child = os.fork()
if child == 0:
    photo = faces[0]
    for use in (
        lambda: embedder.embed(faces),
        lambda: embedder.embed_photo(photo, "none"),
        lambda: imagefec.Embedder.load(sys.argv[1]),
    ):
        try:
            use()
        except UserError as error:
            print(error, flush=True)
    os._exit(0)
os.waitpid(child, 0)
print(embedder.embed(faces).shape)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_process_is_told_to_be_spawned_instead_of_hanging(run):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", IN_A_FORK, str(run)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    *child, parent = done.stdout.splitlines()
    assert len(child) == 3 and parent == "(2, 6)"
    for text in child:
        assert "was forked from one that had used JAX" in text and "get_context('spawn')" in text


def test_a_vector_that_is_not_of_unit_length_is_refused(run, tmp_path):
    broken = shutil.copytree(run, tmp_path / "diverged")
    arrays, meta = checkpoint.load(broken / "best.npz")
    grown = {name: np.full_like(array, 1e30) for name, array in arrays.items()}
    checkpoint.save(broken / "best.npz", grown, meta)
    with pytest.raises(UserError, match=r"diverged: a face's vector has length \S+, not 1: the"):
        Embedder.load(broken).embed(some_faces(2, SIZE))


def test_an_opened_run_is_loaded_as_well(run, embedder):
    faces = some_faces(2, SIZE)
    loaded = Embedder.load(Run.open(run))
    np.testing.assert_array_equal(loaded.embed(faces), embedder.embed(faces))


def test_the_home_and_variables_are_resolved_in_the_path_of_a_run(run, monkeypatch):
    monkeypatch.setenv("HOME", str(run.parent))
    for path in (f"~/{run.name}", f"$HOME/{run.name}"):
        assert Embedder.load(path).info["step"] == 12
    with pytest.raises(UserError, match="the run is '', which is not a path"):
        Embedder.load("")
    for wrong in (None, 5, b"run"):
        with pytest.raises(ValueError, match="run_dir must be a path or a Run, found"):
            Embedder.load(wrong)


def test_the_best_checkpoint_is_preferred_to_the_latest(run, embedder, tmp_path):
    copied = tmp_path / "copied"
    shutil.copytree(run, copied)
    other = ImageFEC(**SETTINGS)
    other.init(ShapeDtype((1, SIZE, SIZE, 3), np.uint8), rng=jax.random.PRNGKey(9))
    arrays = {**checkpoint.named_weights(other), "slots/0": np.ones(1)}
    checkpoint.save(copied / "model.npz", arrays, {"step": 99})
    faces = some_faces(2, SIZE)
    assert Embedder.load(copied).info["step"] == 12
    np.testing.assert_array_equal(Embedder.load(copied).embed(faces), embedder.embed(faces))
    (copied / "best.npz").unlink()
    latest = Embedder.load(copied)
    assert (latest.info["checkpoint"], latest.info["step"]) == ("model.npz", 99)
    assert np.abs(latest.embed(faces) - embedder.embed(faces)).max() > 1e-3


def test_a_directory_that_is_not_a_run_is_refused_with_what_is_missing(run, tmp_path):
    with pytest.raises(UserError, match="no such run directory"):
        Embedder.load(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"no run\.json"):
        Embedder.load(tmp_path)
    shutil.copy(run / "run.json", tmp_path)
    with pytest.raises(UserError, match=r"no checkpoint .*\(best\.npz or model\.npz\)"):
        Embedder.load(tmp_path)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{broken", "broken"),
        ("[1, 2]", "broken"),
        ('{"format": 2}', "format 2; this version reads format 1"),
        ('{"format": 1}', "image_size"),
        ('{"format": 1, "image_size": "64", "model": {}}', "image_size"),
        (
            '{"format": 1, "image_size": 32, "model": {}, "channel_order": "bgr"}',
            r"run\.json: channel_order 'bgr'; faces are 'rgb'",
        ),
        (
            '{"format": 1, "image_size": 32, "model": {}, "channel_order": null}',
            "channel_order None",
        ),
        ('{"format": 1, "image_size": 32, "model": {"layers": 9}}', "fit no model of this version"),
        ('{"format": 1, "image_size": 32, "model": {"block": "wide"}}', "bottleneck, basic"),
    ],
)
def test_a_broken_or_foreign_run_json_is_explained(run, tmp_path, text, reason):
    shutil.copy(run / "best.npz", tmp_path)
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(UserError, match=reason):
        Embedder.load(tmp_path)


def test_a_checkpoint_of_another_model_is_refused_with_the_first_array_that_differs(
    model, tmp_path
):
    run_dir = write_run(tmp_path / "run", model, settings={**SETTINGS, "d_embedding": 16})
    text = r"best\.npz: array weights/.*\.Dense/0 is of shape \[8, 6\].*\[8, 16\]"
    with pytest.raises(UserError, match=text):
        Embedder.load(run_dir)


def test_importing_the_package_loads_neither_trax_nor_jax():
    program = (
        "import sys, imagefec.model\n"
        "print([name for name in ('trax', 'jax', 'tensorflow') if name in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"


def test_a_name_the_package_lacks_is_an_attribute_error():
    import imagefec.model

    with pytest.raises(AttributeError, match="Classifier"):
        _ = imagefec.model.Classifier
    assert {"ImageFEC", "Embedder"} <= set(dir(imagefec.model))
