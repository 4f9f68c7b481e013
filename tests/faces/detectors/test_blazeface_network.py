"""BlazeFace's networks in OpenCV, against TensorFlow Lite and naive loops."""

import numpy as np
import pytest
import skimage.data

from imagefec.faces import opencv
from imagefec.faces.detectors.blazeface import CLOSE, FAR, package_folder
from imagefec.faces.detectors.blazeface_network import BlazefaceNetwork, anchor_points, decode

SIDE_PX = {CLOSE: 128, FAR: 256}  # the size for which Google made the graph


def model(search):
    return (package_folder() / search.file).read_bytes()


def run_by_tensorflow_lite(search, image):
    """(scores, 16 values) of each candidate, as Google's own runtime computes them."""
    import tensorflow as tf

    interpreter = tf.lite.Interpreter(model_content=model(search))
    interpreter.allocate_tensors()
    interpreter.set_tensor(
        interpreter.get_input_details()[0]["index"], (image[None] / 127.5 - 1).astype(np.float32)
    )
    interpreter.invoke()
    values, logits = (
        interpreter.get_tensor(each["index"])[0].astype(float)
        for each in interpreter.get_output_details()
    )
    return 1 / (1 + np.exp(-logits[:, 0].clip(-80))), values


@pytest.mark.parametrize("search", [CLOSE, FAR], ids=["close", "far"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_candidates_are_those_of_tensorflow_lite(search):
    side = SIDE_PX[search]
    image = opencv.resize(skimage.data.astronaut()[20:240, 100:320], side, side)
    scores, values = run_by_tensorflow_lite(search, image)
    # Naive: the first feature map has two candidates at each place, the second six.
    expected = []
    index = 0
    for stride, n_each in zip(search.strides, (2, 6)):
        for row in range(side // stride):
            for column in range(side // stride):
                for _ in range(n_each):
                    x, y = (column + 0.5) * stride, (row + 0.5) * stride
                    cx, cy, w, h, *rest = values[index]
                    expected.append(
                        [
                            (x + cx - w / 2, y + cy - h / 2),
                            (x + cx + w / 2, y + cy + h / 2),
                            *((x + rest[2 * n], y + rest[2 * n + 1]) for n in range(6)),
                        ]
                    )
                    index += 1
    assert index == len(scores) == 896
    chosen = scores >= 0.3
    points, found = BlazefaceNetwork(model(search), search.strides).candidates(image, 0.3)
    assert chosen.sum() >= 4  # a face has several candidates
    np.testing.assert_allclose(found, scores[chosen], atol=1e-3)
    np.testing.assert_allclose(points, np.array(expected)[chosen], atol=0.05)  # pixels


def test_anchors_are_the_middles_of_places_row_by_row():
    # 32 x 16 px: 4 x 2 places of 8 px with two candidates each, 2 x 1 of 16 px with six.
    found = anchor_points(32, 16, (8, 16))
    assert found[[0, 1, 2, 8, 15]].tolist() == [[4, 4], [4, 4], [12, 4], [4, 12], [28, 12]]
    assert found[16:].tolist() == [[8, 8]] * 6 + [[24, 8]] * 6


def test_values_are_relative_to_the_anchor():
    values = np.array([[1, 2, 10, 20, *range(12)]], float)
    points = decode(values, np.array([[100, 200]], float))[0]
    assert points[:2].tolist() == [[96, 192], [106, 212]]  # centre (101, 202)
    assert points[2:].tolist() == [[100 + 2 * n, 201 + 2 * n] for n in range(6)]


def test_an_image_that_is_not_square_moves_candidates_with_its_faces():
    # The network is convolutional: 32 px, a multiple of all strides, are four or two places. Both
    # images have the same surroundings of the face, so that only far places see a difference.
    face = opencv.resize(skimage.data.astronaut()[20:240, 100:320], 96, 96)
    images = [np.zeros((128, 256, 3), np.uint8) for _ in range(2)]
    images[0][16:112, 64:160] = face
    images[1][16:112, 96:192] = face
    network = BlazefaceNetwork(model(CLOSE), CLOSE.strides)
    (here, score), (there, other) = (network.candidates(image, 0.3) for image in images)
    assert len(score) == len(other) > 0
    np.testing.assert_allclose(score, other, atol=0.02)
    np.testing.assert_allclose(there - here, np.broadcast_to([32, 0], here.shape), atol=0.5)
