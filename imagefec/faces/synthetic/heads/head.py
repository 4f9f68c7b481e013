"""Renders a head with one expression as an RGB image and a mask; photo.py adds the rest."""

import dataclasses

import cv2
import numpy as np

from imagefec.faces.synthetic.heads.brush import CANVAS_PX, CENTRE, UNIT_PX, Brush
from imagefec.faces.synthetic.heads.expressions import CONTROLS
from imagefec.faces.synthetic.heads.features import Controls, render_features
from imagefec.faces.synthetic.heads.occluders import Occluder, draw_occluder
from imagefec.faces.synthetic.heads.people import SyntheticPerson
from imagefec.faces.synthetic.heads.pose import UPRIGHT, HeadShape, Pose, make_brush, turned

_SHADE_PX = 52  # shading is soft, so a quarter of the resolution is enough
_WHITE = (255,) * 3
_EAR_YAW = 10.0  # degrees; at smaller turns both ears stay where they are


@dataclasses.dataclass(frozen=True)
class HeadVariation:
    """What varies in how a head is rendered.

    Attributes:
      pose: how it is turned.
      sides: float32 [2, controls], the expressions of its left and right half; None if equal.
      occluders: what is in front of it.
    """

    pose: Pose = UPRIGHT
    sides: np.ndarray | None = None
    occluders: tuple[Occluder, ...] = ()


AS_IT_IS = HeadVariation()


def render_head(
    person: SyntheticPerson,
    expression: np.ndarray,
    turn: tuple[float, float] = (0.0, 0.0),
    variation: HeadVariation = AS_IT_IS,
) -> tuple[np.ndarray, np.ndarray]:
    """Renders one head.

    Args:
      person: identity of the head.
      expression: float32 [controls], see expressions.CONTROLS.
      turn: how far a small turn of the head moves the features to the right and down, head units.
      variation: pose beyond such a turn, asymmetry, occluders.

    Returns:
      uint8 RGB [CANVAS_PX, CANVAS_PX, 3] and its uint8 mask [CANVAS_PX, CANVAS_PX], 255 inside the
      head.
    """
    controls = _named(expression)
    image = np.empty((CANVAS_PX, CANVAS_PX, 3), np.uint8)
    image[:] = person.skin.clip(0, 255).astype(np.uint8)
    mask = np.zeros((CANVAS_PX, CANVAS_PX), np.uint8)
    chin = 1.0 + 0.13 * controls["jaw_drop"]
    head, outline = Brush(image, CENTRE, UNIT_PX), _outline(person, chin)
    silhouette = Brush(mask, CENTRE, UNIT_PX)

    pose, shape = variation.pose, HeadShape.of(person, chin)
    _body_and_back_hair(head, silhouette, person)
    _ears(head, silhouette, person, pose)
    head.fill(outline, person.skin)
    silhouette.fill(outline, _WHITE)
    _shade(image, person, controls, chin, turn, pose)

    middle = CENTRE[0] + turn[0] * UNIT_PX, CENTRE[1] + turn[1] * UNIT_PX
    features = make_brush(image, middle, UNIT_PX, shape, pose)
    _near_side(head, person, pose)
    sides = None if variation.sides is None else tuple(map(_named, variation.sides))
    render_features(features, person, controls, chin, sides)
    _front_hair(head, silhouette, person, shape, pose)
    for occluder in variation.occluders:
        on_face, on_mask = (
            make_brush(canvas, CENTRE, UNIT_PX, shape, pose) for canvas in (image, mask)
        )
        draw_occluder(on_face, on_mask, person, occluder)
    return image, mask


def _named(expression: np.ndarray) -> Controls:
    return dict(zip(CONTROLS, (float(value) for value in expression)))


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


def _ears(head: Brush, silhouette: Brush, person: SyntheticPerson, pose: Pose) -> None:
    """Renders the ears behind the face; _near_side has the one that a turn shows."""
    if abs(pose.yaw) > _EAR_YAW:
        return
    for side in (-1, 1):
        head.oval((side * person.face_width, 0.0), (0.09, 0.17), person.skin * 0.9)
        silhouette.oval((side * person.face_width, 0.0), (0.09, 0.17), _WHITE)


def _near_side(head: Brush, person: SyntheticPerson, pose: Pose) -> None:
    """Renders what a turn shows of the side of the head: the ear and the hair behind it."""
    if abs(pose.yaw) <= _EAR_YAW:
        return
    side = -int(np.sign(pose.yaw))
    yaw = np.radians(abs(pose.yaw))
    if person.hair_style:
        row = np.linspace(-0.95, 0.22, 12)
        rim = np.sqrt(1 - row**2) * person.face_width
        back = np.stack([side * rim, row], 1)
        front = np.stack([side * rim * (np.cos(yaw) - 0.04 - 0.1 * np.sin(yaw)), row], 1)
        head.fill(np.concatenate([back, front[::-1]]), person.hair)
    ear = side * (person.face_width * np.cos(yaw) - 0.02), 0.0
    radii = 0.08 + 0.08 * np.sin(yaw), 0.17
    head.oval(ear, radii, person.skin * 0.88)
    head.oval(ear, (radii[0] * 0.5, 0.10), person.skin * 0.74)


def _front_hair(
    head: Brush, silhouette: Brush, person: SyntheticPerson, shape: HeadShape, pose: Pose
) -> None:
    if person.hair_style == 0:
        return
    fringe = {1: -0.66, 2: -0.56, 3: -0.68}[person.hair_style]
    width = person.face_width + 0.06
    angle = np.linspace(-np.pi / 2, np.pi / 2, 24)
    top = np.stack([np.sin(angle) * width, -0.28 - np.cos(angle) * 0.80], 1)
    line = np.linspace(1, -1, 12)
    bottom = np.stack([line * (width - 0.05), fringe + 0.34 * np.abs(line) ** 3], 1)
    bottom = turned(bottom, shape, pose)
    for brush, colour in ((head, person.hair), (silhouette, _WHITE)):
        brush.fill(np.concatenate([top, bottom]), colour)
    for x in (-0.4, 0.0, 0.4):
        strand = turned([[x - 0.1, -1.0], [x, -0.85], [x + 0.06, -0.74]], shape, pose)
        head.line(strand, person.hair * 1.15 + 6, 0.02)


def _shade(
    image: np.ndarray,
    person: SyntheticPerson,
    c: Controls,
    chin: float,
    turn: tuple[float, float],
    pose: Pose,
) -> None:
    """Softly darkens eye sockets, temples and the sides of nose and mouth."""
    shade = np.full((_SHADE_PX, _SHADE_PX), 215, np.uint8)
    scale = _SHADE_PX / CANVAS_PX
    round_head = Brush(shade, (CENTRE[0] * scale, CENTRE[1] * scale), UNIT_PX * scale)
    round_head.oval((0, 0), (person.face_width * 0.92, 0.94 * chin), (238,))
    round_head.oval((0, -0.05), (person.face_width * 0.72, 0.78), (244,))
    soft = make_brush(
        shade,
        ((CENTRE[0] + turn[0] * UNIT_PX) * scale, (CENTRE[1] + turn[1] * UNIT_PX) * scale),
        UNIT_PX * scale,
        HeadShape.of(person, chin),
        pose,
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
