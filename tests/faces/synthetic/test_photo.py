"""One synthetic photo: its boxes, its heads side by side, its JPEG."""

import dataclasses

import cv2
import numpy as np
import pytest

from imagefec.faces.synthetic.heads.expressions import CONTROLS
from imagefec.faces.synthetic.heads.people import sample_person
from imagefec.faces.synthetic.photo import encode_jpeg, render_photo
from imagefec.maths.geometry import iou, to_pixels


@pytest.mark.parametrize("seed", range(12))
def test_a_box_contains_the_face_and_little_else(seed):
    person = dataclasses.replace(
        sample_person(np.random.default_rng(seed)), hair_style=0, beard=0, glasses=0
    )
    rest, lively = np.zeros((2, len(CONTROLS)), np.float32)
    lively[
        [
            CONTROLS.index(name)
            for name in ("inner_brow_raise", "lid_opening", "smile", "upper_lip_raise")
        ]
    ] = 1
    darker = dataclasses.replace(person, skin=person.skin * 0.6)
    # The same random numbers each time, so photos differ only in expression or skin.
    (photo, boxes), (other, _), (shadow, _) = (
        render_photo(np.random.default_rng(seed), [head])
        for head in ((person, rest), (person, lively), (darker, rest))
    )
    height, width = photo.shape[:2]
    box = to_pixels(boxes[0], width, height)
    inside = np.zeros((height, width), bool)
    inside[round(box.top) : round(box.bottom), round(box.left) : round(box.right)] = True
    features = np.abs(photo.astype(int) - other).max(2) > 30
    skin = np.abs(photo.astype(int) - shadow).max(2) > 12
    assert features[inside].sum() > 0.97 * features.sum() > 0
    assert skin[inside].mean() > 0.6 and skin[inside].sum() > 0.7 * skin.sum()


def test_faces_of_one_photo_are_ordered_from_left_to_right_and_apart():
    for seed in range(10):
        rng = np.random.default_rng(seed)
        heads = [(sample_person(rng), np.zeros(len(CONTROLS), np.float32)) for _ in range(3)]
        photo, boxes = render_photo(rng, heads)
        assert photo.dtype == np.uint8 and photo.shape[1] > 1.5 * photo.shape[0]
        assert [box.left for box in boxes] == sorted(box.left for box in boxes)
        assert max(iou(boxes[0], boxes[1]), iou(boxes[1], boxes[2])) < 0.1


def test_a_photo_depends_on_the_random_numbers_alone():
    head = (sample_person(np.random.default_rng(0)), np.zeros(len(CONTROLS), np.float32))
    first, again, other = (
        render_photo(np.random.default_rng(seed), [head])[0] for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first.astype(int) - other).mean() > 5


def test_a_jpeg_preserves_the_photos_colours():
    rng = np.random.default_rng(0)
    photo, _ = render_photo(rng, [(sample_person(rng), np.zeros(len(CONTROLS), np.float32))])
    bgr = cv2.imdecode(np.frombuffer(encode_jpeg(rng, photo), np.uint8), cv2.IMREAD_COLOR)
    # Swapped channels would differ by about 20 levels.
    assert np.abs(bgr[..., ::-1].astype(int) - photo).mean() < 6


def test_heads_lean_in_proportion_to_the_roll_and_four_degrees_by_default():
    rest, winking = np.zeros((2, len(CONTROLS)), np.float32)
    winking[CONTROLS.index("lid_opening")] = -1

    def lean(seed, **roll):
        """The angle of the line through the eyes, where the two expressions differ, in degrees."""
        person = dataclasses.replace(
            sample_person(np.random.default_rng(seed)), hair_style=0, beard=0, glasses=0
        )
        (open_, _), (shut, _) = (
            render_photo(np.random.default_rng(seed), [(person, expression)], **roll)
            for expression in (rest, winking)
        )
        rows, columns = np.nonzero(np.abs(open_.astype(int) - shut).max(2) > 40)
        _, axes = np.linalg.eigh(np.cov(columns, rows))
        return np.degrees(np.arctan(axes[1, 1] / axes[0, 1]))

    leans = {roll: np.array([lean(seed, roll=roll) for seed in range(8)]) for roll in (0, 4, 20)}
    assert np.abs(leans[0]).max() < 2
    np.testing.assert_allclose(leans[20], 5 * leans[4], atol=8)
    assert np.abs(leans[20]).max() > 15
    assert [lean(seed) for seed in range(3)] == leans[4][:3].tolist()
