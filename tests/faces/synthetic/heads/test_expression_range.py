"""Asymmetric and partial expressions, and looks: identity at strength 0, and what they change."""

import dataclasses

import numpy as np
import pytest

from imagefec.faces.synthetic.heads.asymmetry import SIDED, sample_asymmetry, sides_of
from imagefec.faces.synthetic.heads.brush import CENTRE
from imagefec.faces.synthetic.heads.expressions import CONTROLS, PROTOTYPES
from imagefec.faces.synthetic.heads.head import HeadVariation, render_head
from imagefec.faces.synthetic.heads.looks import vary_looks
from imagefec.faces.synthetic.heads.partial import UPPER, sample_partial, weaken
from imagefec.faces.synthetic.heads.people import sample_person

PERSON = dataclasses.replace(
    sample_person(np.random.default_rng(3)), hair_style=1, glasses=0, beard=0
)
FULL = np.ones(len(CONTROLS), np.float32)


@pytest.mark.parametrize("word", ["elation", "anger", "contempt"])
def test_no_asymmetry_renders_the_same_pixels(word):
    expression = PROTOTYPES[word]
    plain, _ = render_head(PERSON, expression)
    sides = HeadVariation(sides=sides_of(expression, 0.0))
    np.testing.assert_array_equal(render_head(PERSON, expression, variation=sides)[0], plain)


@pytest.mark.parametrize(("asymmetry", "weaker"), [(0.75, 1), (-0.75, 0)])
def test_asymmetry_weakens_the_sided_controls_of_one_half(asymmetry, weaker):
    sides = sides_of(FULL, asymmetry)
    expected = [0.25 if name in SIDED else 1.0 for name in CONTROLS]
    np.testing.assert_allclose(sides[weaker], expected)
    np.testing.assert_array_equal(sides[1 - weaker], FULL)


@pytest.mark.parametrize(("asymmetry", "sign"), [(0.8, 1), (-0.8, -1)])
def test_the_picture_changes_on_the_weaker_side_alone(asymmetry, sign):
    expression = PROTOTYPES["sadness"]
    plain, _ = render_head(PERSON, expression)
    variation = HeadVariation(sides=sides_of(expression, asymmetry))
    other, _ = render_head(PERSON, expression, variation=variation)
    columns = np.nonzero(np.abs(plain.astype(int) - other).max(2) > 25)[1] - CENTRE[0]
    assert columns.size > 100 and (sign * columns > -6).all()


def test_a_whole_expression_is_unchanged_and_a_partial_one_weaker_in_its_half():
    expression = np.linspace(-1, 1, len(CONTROLS)).astype(np.float32)
    np.testing.assert_array_equal(weaken(expression, 1, 1, 1), expression)
    only_mouth = weaken(FULL, 0.0, 1.0, 0.5)
    np.testing.assert_allclose(only_mouth, [0 if name in UPPER else 0.5 for name in CONTROLS])


def test_strengths_stay_in_their_ranges_and_the_hard_ones_are_beyond():
    rng = np.random.default_rng(0)
    for _ in range(200):
        assert abs(sample_asymmetry(rng, False)) <= 0.5 <= abs(sample_asymmetry(rng, True)) <= 0.9
        (*halves, both), (*hard_halves, hard_both) = (
            sample_partial(rng, hard) for hard in (False, True)
        )
        assert max(halves) == max(hard_halves) == 1
        assert min(halves) >= 0.15 >= min(hard_halves) and both >= 0.7 >= hard_both >= 0.45


def test_wrinkles_come_with_age():
    rest = np.zeros(len(CONTROLS), np.float32)
    young, middle, old = (
        render_head(dataclasses.replace(PERSON, age=age), rest)[0].astype(int)
        for age in (0, 0.5, 1)
    )
    np.testing.assert_array_equal(young, render_head(PERSON, rest)[0])
    assert 0 < np.abs(young - middle).mean() < np.abs(young - old).mean()


@pytest.mark.parametrize("hard", [False, True])
def test_looks_keep_colours_in_range_and_the_person_a_person(hard):
    rng = np.random.default_rng(0)
    people = [vary_looks(rng, PERSON, hard) for _ in range(100)]
    for person in people:
        for colour in (person.skin, person.hair, person.lips):
            assert (colour >= 0).all() and (colour <= 255).all()
        assert 0 <= person.age <= 1 and 0.5 * PERSON.lip_thickness < person.lip_thickness
        assert person.hair_style == PERSON.hair_style and person.nose_row == PERSON.nose_row
    lightness = np.array([person.skin.mean() for person in people])
    assert lightness.min() < 75 and lightness.max() > 225  # people.py: 86 to 225
