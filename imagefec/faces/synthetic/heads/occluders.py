"""Things in front of a face: thick glasses, hat, hair, microphone, hand, mask, sunglasses."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from imagefec.faces.synthetic.heads.brush import Brush, Colour

if TYPE_CHECKING:
    from imagefec.faces.synthetic.heads.people import SyntheticPerson

# These leave eyes and mouth mostly visible; the hard world has the others too.
VARIED = ("rims", "hat", "lock", "microphone", "hand")
KINDS = (*VARIED, "mask", "sunglasses", "hand_on_mouth")
_WHITE = (255,) * 3


@dataclasses.dataclass(frozen=True)
class Occluder:
    """One thing in front of a face.

    Attributes:
      kind: one of KINDS.
      side: of the face, -1 left or 1 right of the photo.
      colour: RGB, 0 to 255; hands and hair have the person's.
      size: 1 is usual.
    """

    kind: str
    side: int
    colour: tuple[float, float, float]
    size: float = 1.0


def sample_occluders(
    rng: np.random.Generator, person: SyntheticPerson, hard: bool
) -> tuple[Occluder, ...]:
    """Samples what is in front of a face: nothing or one thing; in the hard world one or two."""
    kinds = [kind for kind in (KINDS if hard else VARIED) if kind != "lock" or person.hair_style]
    n = int(rng.integers(1, 3)) if hard else int(rng.random() < 0.6)
    return tuple(
        Occluder(
            str(kind),
            int(rng.choice([-1, 1])),
            tuple(float(v) for v in rng.uniform(15, 225, 3)),  # type: ignore[arg-type]
            float(rng.uniform(0.85, 1.15)),
        )
        for kind in rng.choice(kinds, n, replace=False)
    )


def draw_occluder(
    head: Brush, silhouette: Brush, person: SyntheticPerson, occluder: Occluder
) -> None:
    """Renders a thing in front of a face.

    Args:
      head: on the head's canvas.
      silhouette: on its mask.
      person: whose face it is.
      occluder: what to render.
    """
    both = _Both(head, silhouette)
    {
        "rims": _rims,
        "hat": _hat,
        "lock": _lock,
        "microphone": _microphone,
        "hand": _hand_on_cheek,
        "mask": _mask,
        "sunglasses": _sunglasses,
        "hand_on_mouth": _hand_on_mouth,
    }[occluder.kind](both, person, occluder)


class _Both:
    """Renders the same shapes on the canvas and, in white, on the mask."""

    def __init__(self, head: Brush, silhouette: Brush) -> None:
        self._head, self._silhouette = head, silhouette

    def fill(self, xy: npt.ArrayLike, colour: Colour) -> None:
        self._head.fill(xy, colour)
        self._silhouette.fill(xy, _WHITE)

    def line(self, xy: npt.ArrayLike, colour: Colour, width: float) -> None:
        self._head.line(xy, colour, width)
        self._silhouette.line(xy, _WHITE, width)

    def oval(self, centre: tuple[float, float], radii: tuple[float, float], colour: Colour) -> None:
        self._head.oval(centre, radii, colour)
        self._silhouette.oval(centre, radii, _WHITE)


def _frames(brush: _Both, person: SyntheticPerson, colour: Colour, width: float) -> None:
    """The bridge and the temple arms of glasses."""
    inner, outer, row = person.eye_distance - 0.24, person.eye_distance + 0.25, person.eye_row
    brush.line([[-inner, row - 0.04], [0, row - 0.07], [inner, row - 0.04]], colour, width)
    for side in (-1, 1):
        arm = [[side * outer, row - 0.06], [side * person.face_width, row - 0.07]]
        brush.line(arm, colour, width)


def _lens(person: SyntheticPerson, side: int, size: float) -> np.ndarray:
    """The rounded square of a lens, [n, 2]."""
    angle = np.linspace(0, 2 * np.pi, 33)
    corner = np.abs(np.stack([np.cos(angle), np.sin(angle)], 1)) ** 0.6
    corner = corner * np.sign(np.stack([np.cos(angle), np.sin(angle)], 1))
    middle = np.array([side * person.eye_distance, person.eye_row + 0.01])
    return middle + corner * np.array([0.25, 0.20]) * size


def _rims(brush: _Both, person: SyntheticPerson, occluder: Occluder) -> None:
    colour = np.array(occluder.colour) * 0.4
    _frames(brush, person, colour, 0.06)
    for side in (-1, 1):
        brush.line(_lens(person, side, min(occluder.size, 1.05)), colour, 0.07)


def _sunglasses(brush: _Both, person: SyntheticPerson, occluder: Occluder) -> None:
    colour = np.array(occluder.colour) * 0.22
    _frames(brush, person, colour, 0.05)
    for side in (-1, 1):
        brush.fill(_lens(person, side, 1.05), colour)
        x, y = side * person.eye_distance, person.eye_row
        brush.line([[x - 0.14, y - 0.02], [x - 0.05, y - 0.12]], colour + 60, 0.03)


def _hat(brush: _Both, person: SyntheticPerson, occluder: Occluder) -> None:
    """A cap or a beanie down to the brows, with a brim on one side in the cap's case."""
    colour = np.array(occluder.colour)
    width = person.face_width + 0.10
    line = -0.60 - 0.04 * occluder.size
    angle = np.linspace(-np.pi / 2, np.pi / 2, 24)
    dome = np.stack([np.sin(angle) * width, line + 0.14 - np.cos(angle) * 0.70], 1)
    across = np.linspace(1, -1, 16)
    rim = np.stack([across * width, line + 0.06 + 0.14 * across**2], 1)
    brush.fill(np.concatenate([dome, rim]), colour)
    band = np.stack([across * width, line + 0.02 + 0.14 * across**2], 1)
    brush.line(band, colour * 0.6, 0.12)
    for x in (-0.45, 0.0, 0.45):
        brush.line([[x, line - 0.08], [x * 0.6, -1.16]], colour * 0.85, 0.02)


def _lock(brush: _Both, person: SyntheticPerson, occluder: Occluder) -> None:
    """Hair over most of one eye."""
    side, hair = occluder.side, person.hair
    end = person.eye_row + 0.24 * occluder.size
    lock = [
        [side * 0.02, -0.92],
        [side * 0.12, -0.55],
        [side * 0.24, -0.25],
        [side * 0.36, end - 0.06],
        [side * 0.50, end + 0.06],
        [side * 0.60, end - 0.04],
        [side * 0.74, -0.25],
        [side * 0.70, -0.70],
        [side * 0.45, -0.95],
    ]
    brush.fill(lock, hair)
    for shift in (0.0, 0.14, 0.28):
        strand = [[side * (0.1 + shift), -0.8], [side * (0.28 + shift), -0.3], [side * 0.5, end]]
        brush.line(strand, hair * 0.75 + 12, 0.02)


def _microphone(brush: _Both, person: SyntheticPerson, occluder: Occluder) -> None:
    """A microphone from below, at one corner of the mouth."""
    side = occluder.side
    x, y = side * (person.mouth_width + 0.02), person.mouth_row + 0.24
    radius = 0.17 * occluder.size
    brush.line([[x + side * 0.05, y + 0.1], [x + side * 0.3, y + 0.95]], (40, 40, 44), 0.15)
    brush.oval((x, y), (radius, radius * 1.1), (52, 52, 58))
    brush.oval((x - 0.05, y - 0.06), (radius * 0.45, radius * 0.4), (112, 112, 118))
    brush.line([[x - radius, y + 0.07], [x + radius, y + 0.07]], (160, 160, 160), 0.03)


def _fingers(
    brush: _Both, person: SyntheticPerson, roots: np.ndarray, tips: np.ndarray, width: float
) -> None:
    skin = person.skin * 0.93
    for root, tip in zip(roots, tips):
        brush.line([root, tip], skin * 0.62, width + 0.025)
        brush.line([root, tip], skin, width)


def _hand_on_cheek(brush: _Both, person: SyntheticPerson, occluder: Occluder) -> None:
    """A hand that holds the chin and one cheek; eyes and most of the mouth stay visible."""
    side = occluder.side
    palm = np.array([side * 0.74, 0.98])
    skin = person.skin * 0.93
    arm = palm + np.array([[side * 0.05, 0.1], [side * 0.35, 0.7]])
    brush.line(arm, skin * 0.96, 0.40)
    brush.oval((float(palm[0]), float(palm[1])), (0.26, 0.26), skin)
    roots = palm + np.array([[side * 0.18, -0.1], [side * 0.06, -0.14], [-side * 0.08, -0.12]])
    tips = np.array([[side * 0.86, 0.30], [side * 0.73, 0.20], [side * 0.59, 0.32]])
    _fingers(brush, person, roots, tips, 0.13)
    _fingers(brush, person, palm[None] - [side * 0.1, 0], np.array([[side * 0.2, 0.93]]), 0.14)


def _hand_on_mouth(brush: _Both, person: SyntheticPerson, occluder: Occluder) -> None:
    """A hand over half of the mouth."""
    side = occluder.side
    row = person.mouth_row + 0.06
    skin = person.skin * 0.93
    palm = np.array([side * 0.80, row + 0.28])
    brush.line(palm + np.array([[0, 0], [side * 0.45, 0.6]]), skin * 0.96, 0.40)
    brush.oval((float(palm[0]), float(palm[1])), (0.28, 0.30), skin)
    rise = np.array([-0.18, -0.03, 0.12, 0.27])
    roots = np.stack([np.full(4, side * 0.66), row + 0.06 + rise], 1)
    tips = np.stack([side * np.array([0.10, 0.02, 0.04, 0.16]), row + rise], 1)
    _fingers(brush, person, roots, tips, 0.13)


def _mask(brush: _Both, person: SyntheticPerson, occluder: Occluder) -> None:
    """A mask over chin and mouth, worn below the nose."""
    colour = np.array(occluder.colour) * 0.5 + 115
    top = person.nose_row + 0.16
    across = np.linspace(-1, 1, 15)
    width = person.face_width * 0.93
    upper = np.stack([across * width, top + 0.06 * across**2], 1)
    lower = np.stack([across[::-1] * width * 0.86, 1.06 - 0.42 * np.abs(across) ** 2.5], 1)
    brush.fill(np.concatenate([upper, lower]), colour)
    for fold in (0.2, 0.32, 0.44):
        line = np.stack([across * width * 0.72, top + fold + 0.03 * across**2], 1)
        brush.line(line, colour * 0.85, 0.016)
    for side in (-1, 1):
        strap = [[side * width, top + 0.07], [side * (person.face_width + 0.02), 0.05]]
        brush.line(strap, colour, 0.03)
