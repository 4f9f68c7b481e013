"""Renders a head with one expression as an RGB image and a mask; photo.py adds the rest."""

import cv2
import numpy as np

from imagefec.faces.synthetic.brush import CANVAS_PX, CENTRE, UNIT_PX, Brush
from imagefec.faces.synthetic.expressions import CONTROLS
from imagefec.faces.synthetic.features import Controls, render_features
from imagefec.faces.synthetic.people import SyntheticPerson

_SHADE_PX = 52  # shading is soft, so a quarter of the resolution is enough
_WHITE = (255,) * 3


def render_head(
    person: SyntheticPerson, expression: np.ndarray, turn: tuple[float, float] = (0.0, 0.0)
) -> tuple[np.ndarray, np.ndarray]:
    """Renders one head.

    Args:
      person: identity of the head.
      expression: float32 [controls], see expressions.CONTROLS.
      turn: how far a small turn of the head moves the features to the right and down, head units.

    Returns:
      uint8 RGB [CANVAS_PX, CANVAS_PX, 3] and its uint8 mask [CANVAS_PX, CANVAS_PX], 255 inside the
      head.
    """
    controls = dict(zip(CONTROLS, (float(value) for value in expression)))
    image = np.empty((CANVAS_PX, CANVAS_PX, 3), np.uint8)
    image[:] = person.skin.clip(0, 255).astype(np.uint8)
    mask = np.zeros((CANVAS_PX, CANVAS_PX), np.uint8)
    chin = 1.0 + 0.13 * controls["jaw_drop"]
    head, outline = Brush(image, CENTRE, UNIT_PX), _outline(person, chin)
    silhouette = Brush(mask, CENTRE, UNIT_PX)

    _body_and_back_hair(head, silhouette, person)
    head.fill(outline, person.skin)
    silhouette.fill(outline, _WHITE)
    _shade(image, person, controls, chin, turn)

    features = Brush(image, (CENTRE[0] + turn[0] * UNIT_PX, CENTRE[1] + turn[1] * UNIT_PX), UNIT_PX)
    render_features(features, person, controls, chin)
    _front_hair(head, silhouette, person)
    return image, mask


def _outline(person: SyntheticPerson, chin: float) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    x, y = np.sin(angle), -np.cos(angle)
    low = y.clip(0)
    width = person.face_width + (person.jaw_width - person.face_width) * low**2.2
    return np.stack([x * width, np.where(y > 0, y * chin, y)], 1)


def _body_and_back_hair(head: Brush, silhouette: Brush, person: SyntheticPerson) -> None:
    shoulders = np.array(
        [[-1.5, 1.6], [-1.15, 1.15], [-0.35, 1.02], [0.35, 1.02], [1.15, 1.15], [1.5, 1.6]]
    )
    neck = np.array([[-0.36, 0.5], [0.36, 0.5], [0.42, 1.2], [-0.42, 1.2]])
    if person.hair_style == 3:
        for brush, colour in ((head, person.hair), (silhouette, _WHITE)):
            brush.oval((0, 0.05), (person.face_width + 0.2, 1.14), colour)
    for shape, colour in ((neck, person.skin * 0.82), (shoulders, person.shirt)):
        head.fill(shape, colour)
        silhouette.fill(shape, _WHITE)
    for side in (-1, 1):
        head.oval((side * person.face_width, 0.0), (0.09, 0.17), person.skin * 0.9)
        silhouette.oval((side * person.face_width, 0.0), (0.09, 0.17), _WHITE)


def _front_hair(head: Brush, silhouette: Brush, person: SyntheticPerson) -> None:
    if person.hair_style == 0:
        return
    fringe = {1: -0.66, 2: -0.56, 3: -0.68}[person.hair_style]
    width = person.face_width + 0.06
    angle = np.linspace(-np.pi / 2, np.pi / 2, 24)
    top = np.stack([np.sin(angle) * width, -0.28 - np.cos(angle) * 0.80], 1)
    line = np.linspace(1, -1, 12)
    bottom = np.stack([line * (width - 0.05), fringe + 0.34 * np.abs(line) ** 3], 1)
    for brush, colour in ((head, person.hair), (silhouette, _WHITE)):
        brush.fill(np.concatenate([top, bottom]), colour)
    for x in (-0.4, 0.0, 0.4):
        head.line([[x - 0.1, -1.0], [x, -0.85], [x + 0.06, -0.74]], person.hair * 1.15 + 6, 0.02)


def _shade(
    image: np.ndarray, person: SyntheticPerson, c: Controls, chin: float, turn: tuple[float, float]
) -> None:
    """Softly darkens eye sockets, temples and the sides of nose and mouth."""
    shade = np.full((_SHADE_PX, _SHADE_PX), 215, np.uint8)
    scale = _SHADE_PX / CANVAS_PX
    round_head = Brush(shade, (CENTRE[0] * scale, CENTRE[1] * scale), UNIT_PX * scale)
    round_head.oval((0, 0), (person.face_width * 0.92, 0.94 * chin), (238,))
    round_head.oval((0, -0.05), (person.face_width * 0.72, 0.78), (244,))
    soft = Brush(
        shade,
        ((CENTRE[0] + turn[0] * UNIT_PX) * scale, (CENTRE[1] + turn[1] * UNIT_PX) * scale),
        UNIT_PX * scale,
    )
    for side in (-1, 1):
        soft.oval(
            (side * person.eye_distance, person.eye_row - 0.03),
            (0.23, 0.14),
            (158 - 18 * c["brow_furrow"],),
        )
        soft.oval((side * 0.085, 0.02), (0.035, 0.2), (205,))
        bulge = max(c["cheek_raise"], 0.7 * c["smile"], 0)
        soft.oval((side * 0.44, 0.28 - 0.06 * bulge), (0.17, 0.12), (255,))
    soft.oval((0, person.nose_row + 0.07), (0.16, 0.05), (200,))
    soft.oval((0, person.mouth_row + 0.2 + 0.25 * c["jaw_drop"]), (0.16, 0.04), (214,))
    soft.line([[0, -0.2], [0, person.nose_row - 0.04]], (255,), 0.07)
    blurred = cv2.GaussianBlur(shade, (0, 0), 1.6)
    enlarged = cv2.resize(blurred, (CANVAS_PX, CANVAS_PX), interpolation=cv2.INTER_LINEAR)
    cv2.multiply(image, cv2.merge([enlarged] * 3), dst=image, scale=1 / 236)
