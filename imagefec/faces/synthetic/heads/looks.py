"""Looks beyond those of people.py: wider ranges of skin, hair, proportions, and ages."""

from __future__ import annotations

import dataclasses

import numpy as np

from imagefec.faces.synthetic.heads.brush import Brush, darker
from imagefec.faces.synthetic.heads.people import SyntheticPerson

# From pale to deep; people.py has those between the second and the last but one.
_SKINS = np.array(
    [[255, 236, 222], [250, 216, 190], [214, 160, 115], [150, 98, 66], [98, 62, 44], [76, 48, 37]],
    float,
)
_HAIRS = np.array(
    [[18, 15, 14], [60, 38, 26], [120, 82, 50], [214, 188, 130], [165, 62, 28], [92, 88, 86]], float
)
_DYES = np.array([[70, 90, 170], [190, 70, 120], [60, 140, 90], [235, 225, 205]], float)
_GREY = np.array([196.0, 194.0, 192.0])
# Relative deviations of a person's measures, times 1 in the varied and 1.6 in the hard world.
_MEASURES = {
    "face_width": 0.04,
    "jaw_width": 0.07,
    "eye_distance": 0.04,
    "eye_width": 0.07,
    "eye_height": 0.10,
    "brow_thickness": 0.30,
    "nose_width": 0.15,
    "mouth_width": 0.07,
    "lip_thickness": 0.20,
}


def vary_looks(rng: np.random.Generator, person: SyntheticPerson, hard: bool) -> SyntheticPerson:
    """Another skin, hair, proportions and age for a person.

    Args:
      rng: source of randomness.
      person: as people.py samples them.
      hard: half of the skins at the ends of the range, dyed hair, ages of 0.5 to 1.
    """
    skin = _tone(rng, hard) + rng.normal(0, 6, 3)
    age = float(rng.uniform(0.5, 1) if hard else rng.uniform(0, 0.8))
    dyed = rng.random() < (0.35 if hard else 0)
    hair = (_DYES if dyed else _HAIRS)[rng.integers(len(_DYES) if dyed else len(_HAIRS))]
    if not dyed:
        hair = hair + (_GREY - hair) * max(age - 0.45, 0) * rng.uniform(0, 1.8)
    spread = 1.6 if hard else 1.0
    measures = {
        name: getattr(person, name) * float(np.exp(spread * rng.uniform(-1, 1) * deviation))
        for name, deviation in _MEASURES.items()
    }
    return dataclasses.replace(
        person,
        skin=skin.clip(20, 255),
        hair=hair.clip(0, 255),
        lips=(skin * [0.85, 0.6, 0.6] + rng.normal(0, 10, 3)).clip(0, 255),
        age=age,
        **measures,
    )


def _tone(rng: np.random.Generator, hard: bool) -> np.ndarray:
    at = rng.uniform(0, len(_SKINS) - 1.001)
    if hard and rng.random() < 0.5:
        at = rng.choice([0.0, len(_SKINS) - 2.0]) + rng.uniform(0, 0.999)
    low = int(at)
    return _SKINS[low] + (at - low) * (_SKINS[low + 1] - _SKINS[low])


def draw_wrinkles(brush: Brush, person: SyntheticPerson) -> None:
    """Renders the lines of age, which a face has at rest too; none at age 0."""
    age = person.age
    if age < 0.15:
        return
    for row, width in ((-0.62, 0.30), (-0.55, 0.34), (-0.48, 0.28)):
        line = np.linspace(-1, 1, 9)
        bent = np.stack([line * width, row + 0.02 * np.cos(3 * line)], 1)
        brush.line(bent, darker(person.skin, 0.42 * age), 0.014)
    for side in (-1, 1):
        x, y = side * person.eye_distance, person.eye_row
        outer = x + side * (person.eye_width + 0.04)
        for rise in (-0.05, 0.01, 0.07):
            foot = [[outer, y + 0.4 * rise], [outer + side * 0.08, y + rise]]
            brush.line(foot, darker(person.skin, 0.45 * age), 0.014)
        along = np.linspace(-1, 1, 9)
        bag = np.stack([x + along * person.eye_width * 0.9, y + 0.19 - 0.06 * along**2], 1)
        brush.line(bag, darker(person.skin, 0.5 * age), 0.016)
        fold = [
            [side * (person.nose_width + 0.05), person.nose_row],
            [side * 0.30, 0.40],
            [side * (person.mouth_width + 0.06), person.mouth_row + 0.02],
        ]
        brush.line(fold, darker(person.skin, 0.5 * age), 0.02)
        jowl = [[side * 0.30, person.mouth_row + 0.12], [side * 0.33, person.mouth_row + 0.26]]
        brush.line(jowl, darker(person.skin, 0.35 * age), 0.016)
