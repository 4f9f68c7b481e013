"""Things in front of a face: what each hides, and what it leaves visible."""

import dataclasses

import numpy as np
import pytest

from imagefec.faces.synthetic.heads.expressions import CONTROLS
from imagefec.faces.synthetic.heads.head import HeadVariation, render_head
from imagefec.faces.synthetic.heads.occluders import KINDS, VARIED, Occluder, sample_occluders
from imagefec.faces.synthetic.heads.people import sample_person

REST = np.zeros(len(CONTROLS), np.float32)
BLUE = np.array([0.0, 0.0, 255.0])
PERSON = dataclasses.replace(
    sample_person(np.random.default_rng(0)),
    hair_style=1,
    glasses=0,
    beard=0,
    shirt=np.full(3, 99.0),
)


def visible(part, kind, side=1):
    """Share of the pixels of a feature that an occluder leaves visible."""
    person = dataclasses.replace(PERSON, **{part: BLUE})
    occluder = Occluder(kind, side, (120.0, 120.0, 120.0))

    def count(variation):
        image = render_head(person, REST, variation=variation)[0].astype(int)
        return (image[..., 2] > image[..., :2].max(2) + 50).sum()

    return count(HeadVariation(occluders=(occluder,))) / count(HeadVariation())


@pytest.mark.parametrize("side", [-1, 1])
@pytest.mark.parametrize("kind", KINDS)
def test_each_occluder_covers_part_of_the_head(kind, side):
    plain, _ = render_head(PERSON, REST)
    variation = HeadVariation(occluders=(Occluder(kind, side, (30.0, 200.0, 90.0)),))
    covered, mask = render_head(PERSON, REST, variation=variation)
    changed = (np.abs(plain.astype(int) - covered).max(2) > 20) & (mask > 128)
    assert 0.01 < changed.mean() < 0.35


@pytest.mark.parametrize("kind", VARIED)
def test_occluders_of_the_varied_world_leave_most_of_eyes_and_mouth(kind):
    assert visible("lips", kind) > 0.6
    assert visible("iris", kind) >= (0.45 if kind == "lock" else 0.9)  # hair hides one of two eyes


@pytest.mark.parametrize(
    ("kind", "part", "most"),
    [("mask", "lips", 0), ("sunglasses", "iris", 0), ("hand_on_mouth", "lips", 0.7)],
)
def test_those_of_the_hard_world_hide_a_feature(kind, part, most):
    assert visible(part, kind) <= most


def test_the_varied_world_has_at_most_one_and_the_hard_one_or_two():
    rng = np.random.default_rng(0)
    varied = [sample_occluders(rng, PERSON, hard=False) for _ in range(300)]
    hard = [sample_occluders(rng, PERSON, hard=True) for _ in range(300)]
    assert {len(found) for found in varied} == {0, 1} and {len(found) for found in hard} == {1, 2}
    assert {one.kind for found in varied for one in found} == set(VARIED)
    assert {one.kind for found in hard for one in found} == set(KINDS)


def test_bald_heads_have_no_lock_of_hair():
    bald = dataclasses.replace(PERSON, hair_style=0)
    rng = np.random.default_rng(0)
    found = [one for _ in range(200) for one in sample_occluders(rng, bald, hard=True)]
    assert len(found) > 200 and all(one.kind != "lock" for one in found)
