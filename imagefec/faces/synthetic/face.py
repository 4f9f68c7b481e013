"""One person's head doing one expression, as an RGB picture and a mask; no background, light or camera."""

import cv2
import numpy as np

from imagefec.faces.synthetic.expressions import CONTROLS
from imagefec.faces.synthetic.people import Person

CANVAS_PX = 208  # side of the square canvas
UNIT_PX = 78.0  # pixels of half a head's height on it
CENTRE = (104.0, 112.0)  # where the head's (0, 0) lies on it
_SHIFT = 4  # OpenCV draws with sub-pixel points given in 1/16
_SHADE_PX = 52  # shading is soft, so a quarter of the resolution serves


class _Brush:
    """Draws shapes given in head units on a canvas."""

    def __init__(self, canvas: np.ndarray, centre: tuple[float, float], unit_px: float) -> None:
        self.canvas, self._centre, self._unit = canvas, np.array(centre), unit_px

    def points(self, xy: np.ndarray) -> np.ndarray:
        return np.round((np.asarray(xy) * self._unit + self._centre) * 2**_SHIFT).astype(np.int32)

    def fill(self, xy, colour) -> None:
        cv2.fillPoly(self.canvas, [self.points(xy)], _colour(colour), cv2.LINE_AA, _SHIFT)

    def line(self, xy, colour, width: float) -> None:
        thickness = max(1, round(width * self._unit))
        cv2.polylines(
            self.canvas, [self.points(xy)], False, _colour(colour), thickness, cv2.LINE_AA, _SHIFT
        )

    def oval(self, x, y, rx, ry, colour, angle=0.0, start=0, end=360, width=None) -> None:
        centre = tuple(int(v) for v in self.points((x, y)))
        axes = tuple(int(r * self._unit * 2**_SHIFT) for r in (rx, ry))
        thickness = -1 if width is None else max(1, round(width * self._unit))
        cv2.ellipse(
            self.canvas,
            centre,
            axes,
            angle,
            start,
            end,
            _colour(colour),
            thickness,
            cv2.LINE_AA,
            _SHIFT,
        )


def render_head(
    person: Person, expression: np.ndarray, turn: tuple[float, float] = (0.0, 0.0)
) -> tuple[np.ndarray, np.ndarray]:
    """Draws one head.

    Args:
      person: who.
      expression: float32 [controls], see expressions.CONTROLS.
      turn: how far the features lie to the right and below the head's middle, in head units (a
        small turn).

    Returns:
      uint8 RGB [CANVAS_PX, CANVAS_PX, 3] and its uint8 mask [CANVAS_PX, CANVAS_PX], 255 where the
      head is.
    """
    c = dict(zip(CONTROLS, (float(value) for value in expression)))
    picture = np.empty((CANVAS_PX, CANVAS_PX, 3), np.uint8)
    picture[:] = person.skin.clip(0, 255).astype(np.uint8)
    mask = np.zeros((CANVAS_PX, CANVAS_PX), np.uint8)
    chin = 1.0 + 0.13 * c["jaw_drop"]
    head, outline = _Brush(picture, CENTRE, UNIT_PX), _outline(person, chin)
    silhouette = _Brush(mask, CENTRE, UNIT_PX)

    _body_and_back_hair(head, silhouette, person, outline)
    head.fill(outline, person.skin)
    silhouette.fill(outline, (255,) * 3)
    _shade(picture, person, c, chin, turn)

    features = _Brush(
        picture, (CENTRE[0] + turn[0] * UNIT_PX, CENTRE[1] + turn[1] * UNIT_PX), UNIT_PX
    )
    if person.beard == 2:
        _beard(features, person, chin)
    _creases(features, person, c)
    _nose(features, person, c)
    _mouth(features, person, c)
    if person.beard:
        _moustache(features, person, c)
    for side in (-1, 1):
        _eye(features, person, c, side)
        _brow(features, person, c, side)
    if person.glasses:
        _glasses(features, person)
    _front_hair(head, silhouette, person)
    return picture, mask


def _colour(colour) -> tuple[float, ...]:
    return tuple(float(min(255.0, max(0.0, v))) for v in colour)


def _darker(colour: np.ndarray, strength: float) -> np.ndarray:
    """The colour of a crease: `strength` 0 leaves the skin as it is, 1 gives deep shadow."""
    return colour * (1 - np.clip(strength, 0, 1) * np.array([0.45, 0.55, 0.55]))


def _outline(person: Person, chin: float) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    x, y = np.sin(angle), -np.cos(angle)
    low = y.clip(0)
    width = person.face_width + (person.jaw_width - person.face_width) * low**2.2
    return np.stack([x * width, np.where(y > 0, y * chin, y)], 1)


def _body_and_back_hair(
    head: _Brush, silhouette: _Brush, person: Person, outline: np.ndarray
) -> None:
    shoulders = np.array(
        [[-1.5, 1.6], [-1.15, 1.15], [-0.35, 1.02], [0.35, 1.02], [1.15, 1.15], [1.5, 1.6]]
    )
    neck = np.array([[-0.36, 0.5], [0.36, 0.5], [0.42, 1.2], [-0.42, 1.2]])
    if person.hair_style == 3:
        for brush, colour in ((head, person.hair), (silhouette, (255,) * 3)):
            brush.oval(0, 0.05, person.face_width + 0.2, 1.14, colour)
    for shape, colour in ((neck, person.skin * 0.82), (shoulders, person.shirt)):
        head.fill(shape, colour)
        silhouette.fill(shape, (255,) * 3)
    for side in (-1, 1):
        head.oval(side * person.face_width, 0.0, 0.09, 0.17, person.skin * 0.9)
        silhouette.oval(side * person.face_width, 0.0, 0.09, 0.17, (255,) * 3)


def _front_hair(head: _Brush, silhouette: _Brush, person: Person) -> None:
    if person.hair_style == 0:
        return
    fringe = {1: -0.66, 2: -0.56, 3: -0.68}[person.hair_style]
    width = person.face_width + 0.06
    angle = np.linspace(-np.pi / 2, np.pi / 2, 24)
    top = np.stack([np.sin(angle) * width, -0.28 - np.cos(angle) * 0.80], 1)
    line = np.linspace(1, -1, 12)
    bottom = np.stack([line * (width - 0.05), fringe + 0.34 * np.abs(line) ** 3], 1)
    for brush, colour in ((head, person.hair), (silhouette, (255,) * 3)):
        brush.fill(np.concatenate([top, bottom]), colour)
    for x in (-0.4, 0.0, 0.4):
        head.line([[x - 0.1, -1.0], [x, -0.85], [x + 0.06, -0.74]], person.hair * 1.15 + 6, 0.02)


def _shade(
    picture: np.ndarray, person: Person, c: dict, chin: float, turn: tuple[float, float]
) -> None:
    """Darkens sockets, temples and the sides of nose and mouth softly: what tells a face from a flat mask."""
    shade = np.full((_SHADE_PX, _SHADE_PX), 215, np.uint8)
    scale = _SHADE_PX / CANVAS_PX
    round_head = _Brush(shade, (CENTRE[0] * scale, CENTRE[1] * scale), UNIT_PX * scale)
    round_head.oval(0, 0, person.face_width * 0.92, 0.94 * chin, (238,))
    round_head.oval(0, -0.05, person.face_width * 0.72, 0.78, (244,))
    soft = _Brush(
        shade,
        ((CENTRE[0] + turn[0] * UNIT_PX) * scale, (CENTRE[1] + turn[1] * UNIT_PX) * scale),
        UNIT_PX * scale,
    )
    for side in (-1, 1):
        soft.oval(
            side * person.eye_distance,
            person.eye_row - 0.03,
            0.23,
            0.14,
            (158 - 18 * c["brow_furrow"],),
        )
        soft.oval(side * 0.085, 0.02, 0.035, 0.2, (205,))
        bulge = max(c["cheek_raise"], 0.7 * c["smile"], 0)
        soft.oval(side * 0.44, 0.28 - 0.06 * bulge, 0.17, 0.12, (255,))
    soft.oval(0, person.nose_row + 0.07, 0.16, 0.05, (200,))
    soft.oval(0, person.mouth_row + 0.2 + 0.25 * c["jaw_drop"], 0.16, 0.04, (214,))
    soft.line([[0, -0.2], [0, person.nose_row - 0.04]], (255,), 0.07)
    shade = cv2.resize(
        cv2.GaussianBlur(shade, (0, 0), 1.6), (CANVAS_PX, CANVAS_PX), interpolation=cv2.INTER_LINEAR
    )
    cv2.multiply(picture, cv2.merge([shade] * 3), dst=picture, scale=1 / 236)


def _creases(brush: _Brush, person: Person, c: dict) -> None:
    raised = max(c["inner_brow_raise"], c["outer_brow_raise"])
    if raised > 0.15:
        for row in (-0.60, -0.52):
            line = np.linspace(-1, 1, 9)
            brush.line(
                np.stack([line * 0.36, row - 0.08 * raised + 0.03 * line**2], 1),
                _darker(person.skin, 0.65 * raised),
                0.02,
            )
    if c["brow_furrow"] > 0.1:
        for side in (-1, 1):
            brush.line(
                [[side * 0.045, -0.40], [side * 0.06, -0.22]],
                _darker(person.skin, c["brow_furrow"]),
                0.026,
            )
    if c["nose_wrinkle"] > 0.1:
        for row in (-0.14, -0.05, 0.04):
            brush.line(
                [[-0.09, row], [0, row - 0.03], [0.09, row]],
                _darker(person.skin, 0.9 * c["nose_wrinkle"]),
                0.022,
            )
    for side in (-1, 1):
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
                _darker(person.skin, 0.75 * pull),
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
                    _darker(person.skin, 0.7 * c["cheek_raise"]),
                    0.018,
                )


def _eye(brush: _Brush, person: Person, c: dict, side: int) -> None:
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
        brush.line(lower_lid, _darker(person.skin, 0.6), 0.016)
    brush.line(upper_lid if upper + lower > 0.035 else lower_lid, lash, 0.042)
    crease_row = y - max(upper, 0) * 1.05 - 0.055
    brush.line(
        np.stack([x + along * w * 0.95, crease_row + 0.05 * along**2], 1),
        _darker(person.skin, 0.45),
        0.016,
    )


def _iris(brush: _Brush, person: Person, c: dict, x: float, y: float, opening: np.ndarray) -> None:
    """Paints iris, pupil and glint, then keeps of them what lies between the lids."""
    corners = brush.points(opening) >> _SHIFT
    left, top = corners.min(0) - 2
    right, bottom = corners.max(0) + 3
    patch = brush.canvas[top:bottom, left:right]
    before = patch.copy()
    gx = x + 0.075 * c["gaze_right"]
    gy = y - 0.01 + 0.045 * c["gaze_down"]
    brush.oval(gx, gy, 0.088, 0.088, person.iris)
    brush.oval(gx, gy, 0.042, 0.042, (12, 10, 10))
    brush.oval(gx - 0.03, gy - 0.035, 0.018, 0.018, (255, 255, 255))
    inside = np.zeros(patch.shape[:2], np.uint8)
    cv2.fillPoly(
        inside, [brush.points(opening) - (np.array([left, top]) << _SHIFT)], 255, cv2.LINE_8, _SHIFT
    )
    np.copyto(patch, before, where=(inside == 0)[..., None])


def _brow(brush: _Brush, person: Person, c: dict, side: int) -> None:
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


def _nose(brush: _Brush, person: Person, c: dict) -> None:
    y = person.nose_row - 0.05 * c["nose_wrinkle"]
    w = person.nose_width * (1 + 0.18 * c["nose_wrinkle"] + 0.1 * max(c["smile"], 0))
    for side in (-1, 1):
        brush.oval(
            side * w,
            y,
            0.035,
            0.055,
            _darker(person.skin, 0.42),
            0,
            -100 if side > 0 else 80,
            100 if side > 0 else 280,
            width=0.022,
        )
        brush.oval(side * w * 0.5, y + 0.035, 0.038, 0.02, _darker(person.skin, 0.95))
    brush.line(
        [[-0.05, y + 0.05], [0, y + 0.065], [0.05, y + 0.05]], _darker(person.skin, 0.4), 0.02
    )


def _mouth(brush: _Brush, person: Person, c: dict) -> None:
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
    rise = c["smile"] + np.where(along < 0, max(c["one_sided"], 0), max(-c["one_sided"], 0))
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
            brush.oval(0, y + gap * 0.82, w * 0.5, gap * 0.22, (190, 92, 92))
        teeth = upper + np.minimum(0.06, gap * 0.45) * arc**0.35
        brush.fill(
            np.concatenate([np.stack([x * 0.88, upper], 1), np.stack([x * 0.88, teeth], 1)[::-1]]),
            (240, 238, 230),
        )
    else:
        brush.line(np.stack([x, upper], 1), person.lips * 0.35, 0.024 + 0.016 * c["lip_press"])
    for end in (0, -1):
        brush.oval(x[end], corner[end], 0.022, 0.022, person.lips * 0.4)


def _beard(brush: _Brush, person: Person, chin: float) -> None:
    angle = np.linspace(-np.pi / 2, np.pi / 2, 24)
    width = (person.jaw_width + person.face_width) / 2
    edge = np.stack([np.sin(angle) * width * 0.98, 0.28 + np.cos(angle) * (chin - 0.29)], 1)
    inner = np.stack([np.sin(angle[::-1]) * width * 0.66, 0.30 + np.cos(angle[::-1]) * 0.12], 1)
    brush.fill(np.concatenate([edge, inner]), 0.35 * person.skin + 0.65 * person.hair)


def _moustache(brush: _Brush, person: Person, c: dict) -> None:
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


def _glasses(brush: _Brush, person: Person) -> None:
    colour = (38, 34, 34)
    for side in (-1, 1):
        x = side * person.eye_distance
        if person.glasses == 1:
            brush.oval(x, person.eye_row, 0.25, 0.22, colour, width=0.028)
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
