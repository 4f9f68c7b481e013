"""YuNet's adapter, on small ONNX files with YuNet's signature, which this file writes itself."""

# Over 350 lines: the writer of those ONNX files is needed here only.

import hashlib
import os
import struct
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
import skimage.data

from imagefec.errors import UserError
from imagefec.faces.detectors import auto_choice, make_detector, yunet
from imagefec.faces.detectors.model_files import ModelFile
from imagefec.maths.geometry import Box, iou

pytestmark = pytest.mark.skipif(
    not hasattr(cv2, "FaceDetectorYN"), reason="this OpenCV has no FaceDetectorYN"
)
STRIDES, HEADS = (8, 16, 32), {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}


def varint(n):
    n &= 2**64 - 1
    out = b""
    while n > 127:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


def message(*fields):
    """Encodes (number, value) fields as protobuf: ints, texts, or bytes of an inner message."""
    out = b""
    for number, value in fields:
        if isinstance(value, int):
            out += varint(number << 3) + varint(value)
        else:
            value = value.encode() if isinstance(value, str) else value
            out += varint(number << 3 | 2) + varint(len(value)) + value
    return out


def tensor(name, array):
    kind = {"float32": 1, "int64": 7}[array.dtype.name]
    return message(*((1, n) for n in array.shape), (2, kind), (8, name), (9, array.tobytes()))


def node(kind, inputs, output, **ints):
    attributes = [
        (5, message((1, name), *((8, n) for n in values), (20, 7))) for name, values in ints.items()
    ]
    return message(
        *((1, name) for name in inputs), (2, output), (3, output), (4, kind), *attributes
    )


def value_info(name, shape):
    dims = [(1, message((1, n))) for n in shape]
    return message((1, name), (2, message((1, message((1, 1), (2, message(*dims)))))))


def onnx(weights):
    """A model with YuNet's outputs, each one convolution of kernel and stride `stride`.

    Args:
      weights: (head, stride) -> (weight of each input channel, bias of each output); zeros by
        default.
    """
    nodes, tensors, outputs = [], [], []
    for head, n in HEADS.items():
        for stride in STRIDES:
            channels, bias = weights.get((head, stride), ((0, 0, 0), (0,) * n))
            kernel = np.zeros((n, 3, stride, stride), np.float32)
            kernel += np.array(channels, np.float32)[None, :, None, None] / stride**2
            name = f"{head}_{stride}"
            tensors += [
                tensor(f"{name}.w", kernel),
                tensor(f"{name}.b", np.array(bias, np.float32)),
                tensor(f"{name}.s", np.array([1, -1, n], np.int64)),
            ]
            side = [stride, stride]
            nodes += [
                node(
                    "Conv",
                    ["input", f"{name}.w", f"{name}.b"],
                    f"{name}.c",
                    kernel_shape=side,
                    strides=side,
                ),
                node("Transpose", [f"{name}.c"], f"{name}.t", perm=[0, 2, 3, 1]),
                node("Reshape", [f"{name}.t", f"{name}.s"], name),
            ]
            outputs.append(value_info(name, (1, (640 // stride) ** 2, n)))
    graph = message(
        *((1, each) for each in nodes),
        (2, "heads"),
        *((5, each) for each in tensors),
        (11, value_info("input", (1, 3, 640, 640))),
        *((12, each) for each in outputs),
    )
    return message((1, 7), (7, graph), (8, message((1, ""), (2, 11))))


# At stride 8 a cell's redness is its probability of a face (OpenCV feeds BGR); the face has 6 x 8
# cells and is centred on the cell.
RED_CELLS = onnx(
    {
        ("cls", 8): ((0, 0, 1 / 255), (0,)),
        ("obj", 8): ((0, 0, 0), (1,)),
        ("bbox", 8): ((0, 0, 0), (0.5, 0.5, np.log(6), np.log(8))),
    }
)


def write_model(folder, monkeypatch, data=RED_CELLS):
    """Writes a model in place of the real one, and expects its digest."""
    folder.mkdir(exist_ok=True)
    (folder / yunet.FILE.name).write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    monkeypatch.setattr(
        yunet, "FILE", ModelFile(yunet.FILE.name, yunet.FILE.page, "MIT", len(data), digest)
    )
    return folder


@pytest.fixture
def models(tmp_path, monkeypatch):
    return write_model(tmp_path / "models", monkeypatch)


def cells(width, height, reds):
    """A black photo with red cells of 8 px: (column, row) -> red."""
    photo = np.zeros((height, width, 3), np.uint8)
    for (column, row), red in reds.items():
        photo[8 * row : 8 * row + 8, 8 * column : 8 * column + 8, 0] = red
    return photo


def test_the_real_file_is_recognised_by_its_sha256():
    assert yunet.FILE.n_bytes == 232_589
    assert yunet.FILE.sha256 == "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"


def test_a_face_is_reported_where_the_network_finds_it(models):
    # Cell (10, 6) has centre (84, 52); 6 x 8 cells are 48 x 64 px; the score is sqrt(1 * 1).
    [found] = make_detector("yunet", model_dir=models).detect(cells(160, 120, {(10, 6): 255}))
    box = found.box
    np.testing.assert_allclose(
        (box.left, box.right, box.top, box.bottom), (60, 108, 20, 84), atol=1e-3
    )
    assert found.score == pytest.approx(1, abs=1e-6)


def test_the_network_sees_red_and_blue_in_their_own_channels(models):
    photo = cells(160, 120, {(10, 6): 255})
    detector = make_detector("yunet", model_dir=models)
    assert detector.detect(np.ascontiguousarray(photo[:, :, ::-1])) == []


def test_the_score_is_a_geometric_mean_and_the_default_minimum_is_seven_tenths(models):
    # sqrt(150 / 255) = .767, sqrt(120 / 255) = .686
    photo = cells(320, 160, {(5, 10): 150, (30, 10): 120})
    assert [
        round(each.score, 3) for each in make_detector("yunet", model_dir=models).detect(photo)
    ] == [0.767]
    found = make_detector("yunet", 0.5, models).detect(photo)
    assert [round(each.score, 3) for each in found] == [0.767, 0.686]


def test_overlapping_faces_are_reported_once_and_boxes_are_clipped(models):
    # Columns 20 and 22 of a row: 48 px wide and 16 px apart, IoU 32 / 64 = .5. Cell (0, 0) has
    # centre (4, 4), so its box of 48 x 64 px begins outside of the photo.
    detector = make_detector("yunet", model_dir=models)
    found = detector.detect(cells(320, 160, {(20, 10): 255, (22, 10): 250, (0, 0): 240}))
    assert len(found) == 2
    assert found[0].box.left == pytest.approx(20 * 8 + 4 - 24, abs=1e-3)
    corner = found[1].box
    np.testing.assert_allclose(
        (corner.left, corner.right, corner.top, corner.bottom), (0, 28, 0, 36), atol=1e-3
    )


def test_a_large_photo_is_shrunk_and_boxes_are_in_its_own_pixels(models):
    # The shorter side of 640 px shrinks to 32 / .1 = 320, so blocks of 16 px become cells of 8 px.
    # Cell (10, 6) gives the box of 48 x 64 px of the small photo, doubled.
    photo = np.kron(cells(640, 320, {(10, 6): 255}), np.ones((2, 2, 1), np.uint8))
    [found] = make_detector("yunet", model_dir=models).detect(photo)
    box = found.box
    np.testing.assert_allclose(
        (box.left, box.right, box.top, box.bottom), (120, 216, 40, 168), atol=1e-2
    )


def test_faces_below_the_smallest_size_are_left_out(models):
    photo = cells(160, 120, {(10, 6): 255})  # its longer side is 64 px of 120
    detector = make_detector("yunet", model_dir=models)
    assert len(detector.detect(photo, smallest=0.53)) == 1
    assert detector.detect(photo, smallest=0.54) == []


@pytest.mark.parametrize("shape", [(1, 1, 3), (3, 400, 3), (33, 31, 3)])
def test_photos_of_any_size_are_accepted(models, shape):
    assert (
        make_detector("yunet", model_dir=models).detect(np.zeros(shape, np.uint8), smallest=0.5)
        == []
    )


def test_the_version_names_the_file(models):
    assert make_detector("yunet", model_dir=models).version == f"{yunet.FILE.sha256[:12]}-1"


def test_only_one_folder_is_searched_the_argument_first(tmp_path, models, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("IMAGEFEC_MODELS", raising=False)
    cache = tmp_path / "home/.cache/imagefec/models"
    with pytest.raises(UserError, match=str(cache)):
        make_detector("yunet")
    cache.parent.mkdir(parents=True)
    models.rename(cache)
    assert make_detector("yunet").name == "yunet" and auto_choice() == "yunet"
    monkeypatch.setenv("IMAGEFEC_MODELS", str(tmp_path / "elsewhere"))
    with pytest.raises(UserError, match=str(tmp_path / "elsewhere")):
        make_detector("yunet")
    assert make_detector("auto").name != "yunet"
    assert make_detector("yunet", model_dir=cache).name == "yunet"
    with pytest.raises(UserError, match=str(tmp_path / "third")):
        make_detector("yunet", model_dir=tmp_path / "third")


def test_a_missing_file_is_an_error_that_says_where_to_get_it_and_put_it(tmp_path):
    with pytest.raises(UserError) as caught:
        make_detector("yunet", model_dir=tmp_path)
    for part in (
        yunet.FILE.name,
        str(tmp_path),
        yunet.FILE.page,
        yunet.FILE.sha256,
        "--model_dir",
        "MIT",
    ):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:8f23\nsize 232589\n",
            "pointer of Git LFS",
        ),
        (b"\n<!DOCTYPE html><html>", "HTML"),
        (b"", "0 bytes"),
        (RED_CELLS, "sha256 " + hashlib.sha256(RED_CELLS).hexdigest()),
    ],
)
def test_a_wrong_file_is_described_and_auto_does_not_fall_back_to_another_detector(
    tmp_path, data, what
):
    (tmp_path / yunet.FILE.name).write_bytes(data)
    for name in ("yunet", "auto"):
        with pytest.raises(UserError, match="not the model of detector yunet") as caught:
            make_detector(name, model_dir=tmp_path)
        assert what in str(caught.value) and yunet.FILE.page in str(caught.value)


def test_an_opencv_without_facedetectoryn_is_an_error(models, monkeypatch):
    monkeypatch.delattr(cv2, "FaceDetectorYN")
    with pytest.raises(UserError, match=r"no FaceDetectorYN.*--detector haar or lbp"):
        make_detector("yunet", model_dir=models)
    assert auto_choice(models) != "yunet"


def test_a_file_that_opencv_cannot_read_is_a_user_error(tmp_path, monkeypatch):
    folder = write_model(tmp_path / "models", monkeypatch, struct.pack("<I", 7) * 100)
    with pytest.raises(UserError, match="cannot read it"):
        make_detector("yunet", model_dir=folder)


@pytest.mark.parametrize("score", [-0.1, 1.1, float("nan")])
def test_a_min_score_outside_its_scale_is_refused(models, score):
    with pytest.raises(UserError, match="detector yunet scores from 0 to 1"):
        make_detector("yunet", score, models)


def test_eight_threads_get_the_faces_that_one_gets(models):
    sizes = [(160, 120), (320, 160), (248, 400)]  # the network is set to each photo's size
    photos = [
        cells(*sizes[n % 3], {(5 + n % 7, 6): 255 - n, (12, 7 + n % 5): 200 + n}) for n in range(40)
    ]
    detector = make_detector("yunet", model_dir=models)
    alone = [detector.detect(photo) for photo in photos]
    assert sum(map(len, alone)) >= 40 and len(set(map(str, alone))) > 20
    with ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            assert list(pool.map(detector.detect, photos)) == alone


def test_the_model_is_the_one_whose_digest_was_checked_even_if_its_file_changes(models):
    detector = make_detector("yunet", model_dir=models)
    (models / yunet.FILE.name).write_bytes(b"another model")
    photos = [cells(160, 120, {(10, 6): 255})] * 16
    with ThreadPoolExecutor(8) as pool:  # makes more networks
        assert {len(found) for found in pool.map(detector.detect, photos)} == {1}


@pytest.mark.parametrize("length", [1000, len(RED_CELLS) - 1])
def test_a_truncated_file_is_refused_even_if_its_digest_is_expected(tmp_path, monkeypatch, length):
    folder = write_model(tmp_path / "models", monkeypatch, RED_CELLS[:length])
    with pytest.raises(UserError, match="cannot read it"):
        make_detector("yunet", model_dir=folder)


def test_a_network_that_gives_nan_finds_no_face(tmp_path, monkeypatch):
    nan = float("nan")
    for head in ("bbox", "obj"):
        weights = {
            ("cls", 8): ((0, 0, 1 / 255), (0,)),
            ("obj", 8): ((0, 0, 0), (nan if head == "obj" else 1,)),
            ("bbox", 8): ((0, 0, 0), (nan,) * 4 if head == "bbox" else (0.5, 0.5, 1, 1)),
        }
        folder = write_model(tmp_path / head, monkeypatch, onnx(weights))
        detector = make_detector("yunet", model_dir=folder)
        assert detector.detect(cells(160, 120, {(10, 6): 255})) == []


def test_the_home_and_variables_are_resolved_in_the_folder(models, monkeypatch):
    monkeypatch.setenv("HOME", str(models.parent))
    monkeypatch.setenv("MODELS_ARE_IN", str(models))
    for folder in ("~/models", "$MODELS_ARE_IN", "$HOME/models"):
        assert make_detector("yunet", model_dir=folder).name == "yunet"
        monkeypatch.setenv("IMAGEFEC_MODELS", folder)
        assert make_detector("yunet").name == "yunet"
    with pytest.raises(UserError, match=r"--model_dir is '', which is not a path"):
        make_detector("yunet", model_dir="")


def test_a_home_that_cannot_be_looked_into_is_one_without_models(monkeypatch):
    monkeypatch.delenv("IMAGEFEC_MODELS", raising=False)
    monkeypatch.setenv("HOME", "/" + "x" * 300)  # an OSError even for root: name too long
    assert make_detector("auto").name == "blazeface"


@pytest.mark.skipif(
    "IMAGEFEC_TEST_MODELS" not in os.environ,
    reason="IMAGEFEC_TEST_MODELS names no folder of real models",
)
def test_the_real_model_finds_the_astronaut():
    found = make_detector("yunet", model_dir=os.environ["IMAGEFEC_TEST_MODELS"]).detect(
        skimage.data.astronaut()
    )
    assert iou(found[0].box, Box(170, 275, 60, 180)) > 0.5
