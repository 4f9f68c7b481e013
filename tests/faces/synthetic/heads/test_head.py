"""One rendered head: its identity, its expression, and the effect of each control."""

import dataclasses
import functools

import cv2
import numpy as np
import pytest

from imagefec.faces.synthetic.heads.brush import CANVAS_PX, CENTRE, UNIT_PX
from imagefec.faces.synthetic.heads.expressions import (
    CONTROLS,
    PROTOTYPES,
    SALIENCE,
    WORDS,
    sample_expression,
)
from imagefec.faces.synthetic.heads.head import render_head
from imagefec.faces.synthetic.heads.people import sample_person

# Where most of a control's change must be: (top row, bottom row, left, right) in head units from
# the middle.
UPPER, LOWER, MIDDLE = (-2, 0.1, -2, 2), (0.1, 2, -2, 2), (-0.35, 0.4, -2, 2)
EXTREMES = {
    ("inner_brow_raise", 1): UPPER,
    ("outer_brow_raise", 1): UPPER,
    ("brow_furrow", 1): UPPER,
    ("lid_opening", 1): UPPER,
    ("lid_opening", -1): UPPER,
    ("cheek_raise", 1): MIDDLE,
    ("nose_wrinkle", 1): MIDDLE,
    ("upper_lip_raise", 1): LOWER,
    ("smile", 1): LOWER,
    ("smile", -1): LOWER,
    ("lip_stretch", 1): LOWER,
    ("pucker", 1): LOWER,
    ("jaw_drop", 1): LOWER,
    ("lip_press", 1): LOWER,
    ("one_sided", 1): (0.1, 2, -2, 0),
    ("one_sided", -1): (0.1, 2, 0, 2),
    ("gaze_right", 1): UPPER,
    ("gaze_right", -1): UPPER,
    ("gaze_down", 1): UPPER,
    ("gaze_down", -1): UPPER,
}
# No skin, hair or mouth is blue, so features of this colour can be located.
BLUE = np.array([0.0, 0.0, 255.0])
# arXiv:1811.11283, section 3
FEC_WORDS = """
amusement anger awe boredom concentration confusion contemplation contempt contentment desire
disappointment disgust distress doubt ecstasy elation embarrassment fear interest love neutral
pain pride realization relief sadness shame surprise sympathy triumph"""


def pose(**controls):
    return np.array([controls.get(name, 0) for name in CONTROLS], np.float32)


@functools.cache
def people():
    """Five people without beard, glasses or blue clothes: nothing hides a feature."""
    found = [sample_person(np.random.default_rng(seed)) for seed in range(5)]
    grey = np.full(3, 120.0)
    return [
        dataclasses.replace(person, glasses=0, beard=0, hair_style=1, shirt=grey)
        for person in found
    ]


def blue_pixels(person, expression, turn=(0.0, 0.0)):
    """(x, y) of the blue pixels of a head, in head units."""
    image = render_head(person, expression, turn)[0].astype(int)
    rows, columns = np.nonzero(image[..., 2] > image[..., :2].max(2) + 50)
    return (columns - CENTRE[0]) / UNIT_PX, (rows - CENTRE[1]) / UNIT_PX


def lips(expression, person, turn=(0.0, 0.0)):
    """Measures of the lips, in head units."""
    x, y = blue_pixels(dataclasses.replace(person, lips=BLUE), expression, turn)
    ends = [y[np.abs(x - x.min()) < 0.02].mean(), y[np.abs(x - x.max()) < 0.02].mean()]
    return {
        "width": x.max() - x.min(),
        "area": x.size,
        "top": y.min(),
        "bottom": y.max(),
        "middle": x.mean(),
        "left_corner": ends[0],
        "right_corner": ends[1],
    }


def irises(expression, person):
    x, y = blue_pixels(dataclasses.replace(person, iris=BLUE), expression)
    return {
        "area": x.size,
        "x": x.mean() if x.size else np.nan,
        "y": y.mean() if x.size else np.nan,
    }


def test_a_face_has_at_least_ten_controls_each_with_a_weight():
    assert len(CONTROLS) == len(set(CONTROLS)) >= 10
    assert len(SALIENCE) == len(CONTROLS) and (SALIENCE > 0).all()


def test_every_control_is_in_the_table_of_this_file():
    assert {name for name, _ in EXTREMES} == set(CONTROLS)


def test_the_prototypes_are_the_thirty_words_of_fec():
    assert sorted(WORDS) == FEC_WORDS.split() and tuple(PROTOTYPES) == WORDS


def test_the_neutral_face_is_at_rest():
    np.testing.assert_array_equal(PROTOTYPES["neutral"], 0)


def test_no_two_prototypes_look_alike():
    images = [
        render_head(people()[0], expression)[0].astype(int) for expression in PROTOTYPES.values()
    ]
    least = min(np.abs(a - b).mean() for i, a in enumerate(images) for b in images[:i])
    # Mean over the canvas, in levels of 255; the weakest single control changes about as much.
    assert least > 0.4


def test_prototypes_and_samples_stay_within_each_controls_range():
    rng = np.random.default_rng(0)
    sampled = [sample_expression(rng, i % len(WORDS)) for i in range(600)]
    both = np.concatenate([np.stack(list(PROTOTYPES.values())), np.stack(sampled)])
    lowest = np.array([-1 if (name, -1) in EXTREMES else 0 for name in CONTROLS])
    assert (both >= lowest).all() and (both <= 1).all()
    assert both.dtype == np.float32


def test_samples_of_a_word_vary_about_its_prototype():
    rng = np.random.default_rng(1)
    prototypes = np.stack(list(PROTOTYPES.values()))
    nearest = []
    for word in range(len(WORDS)):
        samples = np.stack([sample_expression(rng, word) for _ in range(20)])
        assert samples.std(0).max() > 0.03
        nearest.append(np.linalg.norm(prototypes - samples.mean(0), axis=1).argmin() == word)
    assert np.mean(nearest) > 0.8


@pytest.mark.parametrize(("control", "extreme"), EXTREMES)
def test_each_control_changes_the_image_where_it_should(control, extreme):
    top, bottom, left, right = EXTREMES[control, extreme]
    across = (np.arange(CANVAS_PX) - CENTRE[0]) / UNIT_PX
    down = (np.arange(CANVAS_PX) - CENTRE[1]) / UNIT_PX
    inside = np.outer((down >= top) & (down <= bottom), (across >= left) & (across <= right))
    for person in people():
        rest, moved = (render_head(person, pose(**{control: value}))[0] for value in (0, extreme))
        change = np.abs(rest.astype(int) - moved).mean(2)
        assert change.mean() > 0.15
        assert change[inside].sum() > 0.55 * change.sum()


@pytest.mark.parametrize(("control", "extreme"), EXTREMES)
def test_each_control_is_visible_at_the_size_of_training(control, extreme):
    for person in people():
        heads = [render_head(person, pose(**{control: value}))[0] for value in (0, extreme)]
        rest, moved = (cv2.resize(head, (64, 64), interpolation=cv2.INTER_AREA) for head in heads)
        assert np.abs(rest.astype(int) - moved).max() > 25  # well above the camera's noise


@pytest.mark.parametrize(
    ("control", "extreme", "measure", "sign"),
    [
        ("smile", 1, "left_corner", -1),  # rows count downwards: up is less
        ("smile", 1, "right_corner", -1),
        ("smile", -1, "left_corner", 1),
        ("smile", -1, "right_corner", 1),
        ("one_sided", 1, "left_corner", -1),
        ("one_sided", -1, "right_corner", -1),
        ("lip_stretch", 1, "width", 1),
        ("pucker", 1, "width", -1),
        ("lip_press", 1, "area", -1),
        ("upper_lip_raise", 1, "top", -1),
        ("jaw_drop", 1, "bottom", 1),
    ],
)
def test_lips_move_as_the_controls_name_says(control, extreme, measure, sign):
    for person in people():
        rest, moved = (lips(pose(**{control: value}), person)[measure] for value in (0, extreme))
        assert sign * (moved - rest) > 0


@pytest.mark.parametrize(
    ("control", "extreme", "measure", "sign"),
    [
        ("gaze_right", 1, "x", 1),
        ("gaze_right", -1, "x", -1),
        ("gaze_down", 1, "y", 1),
        ("gaze_down", -1, "y", -1),
        ("lid_opening", 1, "area", 1),
    ],
)
def test_irises_move_as_the_controls_name_says(control, extreme, measure, sign):
    for person in people():
        rest, moved = (irises(pose(**{control: value}), person)[measure] for value in (0, extreme))
        assert sign * (moved - rest) > 0


def test_closed_lids_hide_the_irises():
    assert all(irises(pose(lid_opening=-1), person)["area"] == 0 for person in people())


def test_a_turn_moves_the_features():
    for person in people():
        ahead, aside = (lips(pose(), person, turn)["middle"] for turn in ((0, 0), (0.08, 0)))
        assert aside - ahead == pytest.approx(0.08, abs=0.02)


def test_an_identity_looks_the_same_each_time_and_different_from_others():
    first, again, other = (
        render_head(sample_person(np.random.default_rng(seed)), pose())[0] for seed in (5, 5, 6)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first.astype(int) - other).mean() > 5


def test_rendering_does_not_change_its_arguments():
    person, expression = sample_person(np.random.default_rng(7)), pose(smile=0.5, jaw_drop=0.5)
    before = [np.copy(value) for value in dataclasses.astuple(person)], expression.copy()
    render_head(person, expression)
    for was, value in zip(before[0], dataclasses.astuple(person)):
        np.testing.assert_array_equal(was, value)
    np.testing.assert_array_equal(before[1], expression)


def test_any_expression_within_range_can_be_rendered():
    rng = np.random.default_rng(2)
    for _ in range(150):
        person = sample_person(rng)
        image, mask = render_head(person, rng.choice([-1, 1, 0], len(CONTROLS)).astype(np.float32))
        assert image.shape == (CANVAS_PX, CANVAS_PX, 3) and image.dtype == np.uint8
        assert 0.2 < (mask > 0).mean() < 0.9 and set(np.unique(mask)) <= set(range(256))
        assert mask[int(CENTRE[1]), int(CENTRE[0])] == 255
