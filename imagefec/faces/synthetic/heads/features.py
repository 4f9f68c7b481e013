"""Renders the features of a synthetic face, which its expression moves; head.py has the rest."""

import cv2
import numpy as np

from imagefec.faces.synthetic.heads.brush import SHIFT, Brush, darker
from imagefec.faces.synthetic.heads.looks import draw_wrinkles
from imagefec.faces.synthetic.heads.people import SyntheticPerson

Controls = dict[str, float]  # by name, see expressions.CONTROLS


def render_features(
    brush: Brush,
    person: SyntheticPerson,
    controls: Controls,
    chin: float,
    sides: tuple[Controls, ...] | None = None,
) -> None:
    """Renders all features from back to front.

    Args:
      brush: on the head's canvas.
      person: identity of the face.
      controls: expression of the face.
      chin: row of the chin, head units.
      sides: expressions of the left and the right half, if they differ.
    """
    left, right = sides or (controls, controls)
    if person.beard == 2:
        _beard(brush, person, chin)
    draw_wrinkles(brush, person)
    _creases(brush, person, controls, left, right)
    _nose(brush, person, controls)
    _mouth(brush, person, controls, left, right)
    if person.beard:
        _moustache(brush, person, controls)
    for side, half in ((-1, left), (1, right)):
        _eye(brush, person, half, side)
        _brow(brush, person, half, side)
    if person.glasses:
        _glasses(brush, person)


def _creases(
    brush: Brush, person: SyntheticPerson, c: Controls, left: Controls, right: Controls
) -> None:
    _forehead_creases(brush, person, c)
    if c["nose_wrinkle"] > 0.1:
        for row in (-0.14, -0.05, 0.04):
            brush.line(
                [[-0.09, row], [0, row - 0.03], [0.09, row]],
                darker(person.skin, 0.9 * c["nose_wrinkle"]),
                0.022,
            )
    for side, half in ((-1, left), (1, right)):
        _cheek_creases(brush, person, half, side)


def _forehead_creases(brush: Brush, person: SyntheticPerson, c: Controls) -> None:
    raised = max(c["inner_brow_raise"], c["outer_brow_raise"])
    if raised > 0.15:
        for row in (-0.60, -0.52):
            line = np.linspace(-1, 1, 9)
            brush.line(
                np.stack([line * 0.36, row - 0.08 * raised + 0.03 * line**2], 1),
                darker(person.skin, 0.65 * raised),
                0.02,
            )
    if c["brow_furrow"] > 0.1:
        for side in (-1, 1):
            brush.line(
                [[side * 0.045, -0.40], [side * 0.06, -0.22]],
                darker(person.skin, c["brow_furrow"]),
                0.026,
            )


def _cheek_creases(brush: Brush, person: SyntheticPerson, c: Controls, side: int) -> None:
    pull = max(
        0.9 * (c["smile"] + max(-side * c["one_sided"], 0)),
        c["nose_wrinkle"],
        c["upper_lip_raise"],
        0,
    )
    if pull > 0.15:
        brush.line(
            [
                [side * (person.nose_width + 0.05), person.nose_row - 0.04],
                [side * 0.30, 0.34],
                [side * (person.mouth_width + 0.13), person.mouth_row - 0.02],
            ],
            darker(person.skin, 0.75 * pull),
            0.026,
        )
    if c["cheek_raise"] > 0.2:
        outer = side * (person.eye_distance + person.eye_width + 0.03)
        for rise in (-0.06, 0.0, 0.06):
            brush.line(
                [
                    [outer, person.eye_row + rise * 0.4],
                    [outer + side * 0.09, person.eye_row + rise],
                ],
                darker(person.skin, 0.7 * c["cheek_raise"]),
                0.018,
            )


def _nose(brush: Brush, person: SyntheticPerson, c: Controls) -> None:
    y = person.nose_row - 0.05 * c["nose_wrinkle"]
    w = person.nose_width * (1 + 0.18 * c["nose_wrinkle"] + 0.1 * max(c["smile"], 0))
    for side in (-1, 1):
        brush.oval(
            (side * w, y),
            (0.035, 0.055),
            darker(person.skin, 0.42),
            (-100 if side > 0 else 80, 100 if side > 0 else 280),
            width=0.022,
        )
        brush.oval((side * w * 0.5, y + 0.035), (0.038, 0.02), darker(person.skin, 0.95))
    brush.line(
        [[-0.05, y + 0.05], [0, y + 0.065], [0.05, y + 0.05]], darker(person.skin, 0.4), 0.02
    )


def _mouth(
    brush: Brush, person: SyntheticPerson, c: Controls, left: Controls, right: Controls
) -> None:
    y = person.mouth_row - 0.03 * c["upper_lip_raise"]
    w = person.mouth_width * (
        1
        + 0.22 * c["lip_stretch"]
        + 0.25 * max(c["smile"], 0)
        - 0.45 * c["pucker"]
        - 0.12 * c["jaw_drop"]
    )
    lip = person.lip_thickness * (1 + 0.7 * c["pucker"] - 0.75 * c["lip_press"])
    gap = 0.38 * c["jaw_drop"] + 0.05 * c["upper_lip_raise"] + 0.03 * max(c["lip_stretch"], 0)
    along = np.linspace(-1, 1, 17)
    arc = 1 - along**2
    smile = np.where(along < 0, left["smile"], right["smile"])
    rise = smile + np.where(along < 0, max(c["one_sided"], 0), max(-c["one_sided"], 0))
    corner = y + 0.25 * gap - 0.19 * rise * np.abs(along) ** 1.6
    upper = corner - arc * (0.25 * gap + 0.10 * c["upper_lip_raise"])
    lower = corner + arc * gap * 0.95
    x = along * w
    bow = lip * arc**0.6 * (1 - 0.25 * np.exp(-((along / 0.16) ** 2)))
    outer_top = upper - bow - 0.05 * c["upper_lip_raise"] * arc
    outer_bottom = lower + lip * 1.25 * arc**0.6
    shape = np.concatenate([np.stack([x, outer_top], 1), np.stack([x, outer_bottom], 1)[::-1]])
    brush.fill(shape, person.lips)
    if gap > 0.02:
        opening = np.concatenate([np.stack([x, upper], 1), np.stack([x, lower], 1)[::-1]])
        brush.fill(opening, (70, 22, 24))
        if gap > 0.12:
            brush.oval((0, y + gap * 0.82), (w * 0.5, gap * 0.22), (190, 92, 92))
        teeth = upper + np.minimum(0.06, gap * 0.45) * arc**0.35
        brush.fill(
            np.concatenate([np.stack([x * 0.88, upper], 1), np.stack([x * 0.88, teeth], 1)[::-1]]),
            (240, 238, 230),
        )
    else:
        brush.line(np.stack([x, upper], 1), person.lips * 0.35, 0.024 + 0.016 * c["lip_press"])
    for end in (0, -1):
        brush.oval((x[end], corner[end]), (0.022, 0.022), person.lips * 0.4)


def _moustache(brush: Brush, person: SyntheticPerson, c: Controls) -> None:
    y = person.nose_row + 0.13 - 0.04 * c["upper_lip_raise"]
    brush.fill(
        [
            [-0.24, y + 0.07],
            [-0.1, y - 0.02],
            [0, y],
            [0.1, y - 0.02],
            [0.24, y + 0.07],
            [0, y + 0.05],
        ],
        0.15 * person.skin + 0.85 * person.hair,
    )


def _eye(brush: Brush, person: SyntheticPerson, c: Controls, side: int) -> None:
    x, y, w = side * person.eye_distance, person.eye_row, person.eye_width
    lid = c["lid_opening"]
    upper = person.eye_height * (1.15 + (1.0 * lid if lid > 0 else 1.2 * lid))
    lower = person.eye_height * (
        0.75 + 0.35 * max(lid, 0) - 0.45 * max(c["cheek_raise"], 0) + 0.5 * min(lid, 0)
    )
    along = np.linspace(-1, 1, 13)
    arc = 1 - along**2
    lash = person.hair * 0.3
    upper_lid = np.stack([x + along * w, y - max(upper, -0.02) * arc], 1)
    lower_lid = np.stack([x + along * w, y + max(lower, 0.02) * arc], 1)
    if upper + lower > 0.035:
        opening = np.concatenate([upper_lid, lower_lid[::-1]])
        brush.fill(opening, (244, 242, 238))
        _iris(brush, person, c, x, y, opening)
        brush.line(lower_lid, darker(person.skin, 0.6), 0.016)
    brush.line(upper_lid if upper + lower > 0.035 else lower_lid, lash, 0.042)
    crease_row = y - max(upper, 0) * 1.05 - 0.055
    brush.line(
        np.stack([x + along * w * 0.95, crease_row + 0.05 * along**2], 1),
        darker(person.skin, 0.45),
        0.016,
    )


def _iris(
    brush: Brush, person: SyntheticPerson, c: Controls, x: float, y: float, opening: np.ndarray
) -> None:
    """Renders iris, pupil and glint, then restores the pixels outside of the lids."""
    corners = brush.points(opening) >> SHIFT
    left, top = corners.min(0) - 2
    right, bottom = corners.max(0) + 3
    patch = brush.canvas[top:bottom, left:right]
    before = patch.copy()
    gx = x + 0.075 * c["gaze_right"]
    gy = y - 0.01 + 0.045 * c["gaze_down"]
    brush.oval((gx, gy), (0.088, 0.088), person.iris)
    brush.oval((gx, gy), (0.042, 0.042), (12, 10, 10))
    brush.oval((gx - 0.03, gy - 0.035), (0.018, 0.018), (255, 255, 255))
    inside = np.zeros(patch.shape[:2], np.uint8)
    cv2.fillPoly(
        inside, [brush.points(opening) - (np.array([left, top]) << SHIFT)], 255, cv2.LINE_8, SHIFT
    )
    np.copyto(patch, before, where=(inside == 0)[..., None])


def _brow(brush: Brush, person: SyntheticPerson, c: Controls, side: int) -> None:
    inner = (
        person.eye_distance - 0.20 - 0.06 * c["brow_furrow"],
        person.brow_row
        - 0.18 * c["inner_brow_raise"]
        + 0.15 * c["brow_furrow"]
        + 0.03 * c["nose_wrinkle"],
    )
    outer = (person.eye_distance + 0.24, person.brow_row + 0.07 - 0.15 * c["outer_brow_raise"])
    middle = (
        person.eye_distance + 0.04,
        person.brow_row
        - 0.05
        - 0.06 * c["inner_brow_raise"]
        - 0.12 * c["outer_brow_raise"]
        + 0.07 * c["brow_furrow"],
    )
    t = np.linspace(0, 1, 10)[:, None]
    spine = (
        (1 - t) ** 2 * inner
        + 2 * t * (1 - t) * (2 * np.array(middle) - (np.array(inner) + outer) / 2)
        + t**2 * outer
    )
    half = person.brow_thickness * (0.62 - 0.42 * t)
    band = np.concatenate([spine - half * [0, 1], (spine + half * [0, 1])[::-1]]) * [side, 1]
    brush.fill(band, 0.5 * person.hair)


def _beard(brush: Brush, person: SyntheticPerson, chin: float) -> None:
    angle = np.linspace(-np.pi / 2, np.pi / 2, 24)
    width = (person.jaw_width + person.face_width) / 2
    edge = np.stack([np.sin(angle) * width * 0.98, 0.28 + np.cos(angle) * (chin - 0.29)], 1)
    inner = np.stack([np.sin(angle[::-1]) * width * 0.66, 0.30 + np.cos(angle[::-1]) * 0.12], 1)
    brush.fill(np.concatenate([edge, inner]), 0.35 * person.skin + 0.65 * person.hair)


def _glasses(brush: Brush, person: SyntheticPerson) -> None:
    colour = (38, 34, 34)
    for side in (-1, 1):
        x = side * person.eye_distance
        if person.glasses == 1:
            brush.oval((x, person.eye_row), (0.25, 0.22), colour, width=0.028)
        else:
            brush.line(
                [
                    [x - 0.25, person.eye_row - 0.17],
                    [x + 0.25, person.eye_row - 0.17],
                    [x + 0.23, person.eye_row + 0.18],
                    [x - 0.23, person.eye_row + 0.18],
                    [x - 0.25, person.eye_row - 0.17],
                ],
                colour,
                0.028,
            )
        brush.line(
            [
                [side * (person.eye_distance + 0.25), person.eye_row - 0.04],
                [side * person.face_width, person.eye_row - 0.06],
            ],
            colour,
            0.028,
        )
    bridge = person.eye_distance - 0.25
    brush.line(
        [
            [-bridge, person.eye_row - 0.02],
            [0, person.eye_row - 0.06],
            [bridge, person.eye_row - 0.02],
        ],
        colour,
        0.028,
    )
