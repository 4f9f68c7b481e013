"""Head pose beyond roll: features turn with the surface of an ellipsoid; its outline stays."""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from imagefec.faces.synthetic.heads.brush import Brush, Colour

if TYPE_CHECKING:
    from imagefec.faces.synthetic.heads.people import SyntheticPerson

DEPTH = 0.8  # of the ellipsoid, relative to its width and height: a face is flatter than a ball
_NOSE = 0.2  # how far the nose's tip stands out of the ellipsoid
_NOSE_WIDTH, _NOSE_LENGTH = 0.16, 0.24  # of that bump
_OVAL_POINTS = 24
_NO_MAP = np.empty(0, np.float32)  # OpenCV then takes x and y from the first map
_GRID_EDGE, _GRID_STEP = 1.6, 0.05  # head units; the canvas ends at 1.44


@dataclasses.dataclass(frozen=True)
class Pose:
    """How a head is turned, degrees.

    Attributes:
      yaw: to the right of the photo (+) or to the left (-).
      pitch: down (+) or up (-).
    """

    yaw: float = 0.0
    pitch: float = 0.0


@dataclasses.dataclass(frozen=True)
class HeadShape:
    """The outline of a head, head units; see SyntheticPerson."""

    face_width: float
    jaw_width: float
    chin: float
    nose_row: float

    @classmethod
    def of(cls, person: SyntheticPerson, chin: float) -> HeadShape:
        """The shape of a person's head whose chin is at this row."""
        return cls(person.face_width, person.jaw_width, chin, person.nose_row)


UPRIGHT = Pose()


def sample_pose(rng: np.random.Generator, hard: bool) -> Pose:
    """Samples a pose: up to 30 and 18 degrees; in the hard world one of 30 to 50 or 18 to 30."""
    yaw, pitch = rng.uniform(-30, 30), rng.uniform(-18, 18)
    if hard and rng.random() < 0.65:
        yaw = np.sign(yaw) * rng.uniform(30, 50)
    elif hard:
        pitch = np.sign(pitch) * rng.uniform(18, 30)
    return Pose(float(yaw), float(pitch))


def turned(xy: npt.ArrayLike, shape: HeadShape, pose: Pose) -> np.ndarray:
    """Where points of an upright face are when the head is turned.

    Args:
      xy: points [n, 2] of the upright face, head units.
      shape: of the head.
      pose: of the head.

    Returns:
      float [n, 2], head units. Points on the far side are moved to the head's outline.
    """
    points = np.asarray(xy, float)
    if pose == UPRIGHT:
        return points
    x, y = points.T
    below = np.maximum(y, 0) * (1 - 1 / shape.chin)
    solid = np.empty((3, len(points)))  # right, down, to the camera; the head is an ellipsoid
    solid[1] = y - below
    solid[0] = x / _half_widths(solid[1], shape)
    height = 1 - solid[0] ** 2 - solid[1] ** 2
    away = solid[0] ** 2 / _NOSE_WIDTH**2 + (y - shape.nose_row) ** 2 / _NOSE_LENGTH**2
    solid[2] = DEPTH * np.sqrt(np.maximum(height, 0)) + _NOSE * np.exp(-away)
    solid = _rotation(pose) @ solid
    if solid[2].min() < 0:
        _move_to_outline(solid)
    across, down = solid[0], solid[1]
    rows = down + np.maximum(down, 0) * (shape.chin - 1)
    return np.stack([across * _half_widths(down, shape), rows], 1)


def _half_widths(down: np.ndarray, shape: HeadShape) -> np.ndarray:
    """Half the head's width at heights of its outline, of which 0 is the middle and 1 the chin."""
    low = np.minimum(np.maximum(down, 0), 1)
    return shape.face_width + (shape.jaw_width - shape.face_width) * low**2.2


@functools.lru_cache(8)
def _rotation(pose: Pose) -> np.ndarray:
    yaw, pitch = math.radians(pose.yaw), math.radians(pose.pitch)
    side = [[math.cos(yaw), 0, math.sin(yaw)], [0, 1, 0], [-math.sin(yaw), 0, math.cos(yaw)]]
    nod = [[1, 0, 0], [0, math.cos(pitch), math.sin(pitch)], [0, -math.sin(pitch), math.cos(pitch)]]
    return np.array(nod) @ side


def _move_to_outline(solid: np.ndarray) -> None:
    """Moves points of the far side, which the head hides, to its outline, in place."""
    radius = np.hypot(solid[0], solid[1])
    hidden = (solid[2] < 0) & (radius > 0.5) & (radius < 1)
    solid[:2, hidden] /= radius[hidden]


class TurnedBrush(Brush):
    """A brush on the surface of a turned head.

    Args:
      canvas: uint8 [h, w, 3] or [h, w], changed in place.
      centre: pixel of the head's (0, 0).
      unit_px: pixels per head unit.
      shape: of the head.
      pose: of the head.
    """

    def __init__(
        self,
        canvas: np.ndarray,
        centre: tuple[float, float],
        unit_px: float,
        shape: HeadShape,
        pose: Pose,
    ) -> None:
        super().__init__(canvas, centre, unit_px)
        self._grid = _turned_grid(shape, pose)

    def points(self, xy: npt.ArrayLike) -> np.ndarray:
        """Converts head units of the upright face to int32 sub-pixels."""
        if np.ndim(xy) == 1:
            return self.points(np.asarray(xy)[None])[0]
        at = ((np.asarray(xy) + _GRID_EDGE) / _GRID_STEP).astype(np.float32)[:, None]
        found = cv2.remap(
            self._grid, at, _NO_MAP, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        return super().points(found[:, 0])

    def oval(
        self,
        centre: tuple[float, float],
        radii: tuple[float, float],
        colour: Colour,
        arc: tuple[int, int] = (0, 360),
        width: float | None = None,
    ) -> None:
        """Fills an ellipse or renders its outline, foreshortened."""
        around = _arc(*arc) * radii + centre
        if width is None:
            self.fill(around, colour)
        else:
            self.line(around, colour, width)


@functools.lru_cache(1)
def _turned_grid(shape: HeadShape, pose: Pose) -> np.ndarray:
    """float32 [rows, columns, 2], `turned` for a grid of points: a brush has many short lines."""
    steps = np.arange(-_GRID_EDGE, _GRID_EDGE + _GRID_STEP / 2, _GRID_STEP)
    points = np.stack(np.meshgrid(steps, steps), -1)
    return turned(points.reshape(-1, 2), shape, pose).reshape(points.shape).astype(np.float32)


@functools.cache
def _arc(first: int, last: int) -> np.ndarray:
    angle = np.radians(np.linspace(first, last, _OVAL_POINTS))
    return np.stack([np.cos(angle), np.sin(angle)], 1)


def make_brush(
    canvas: np.ndarray,
    centre: tuple[float, float],
    unit_px: float,
    shape: HeadShape,
    pose: Pose,
) -> Brush:
    """A brush on the surface of a head."""
    if pose == UPRIGHT:
        return Brush(canvas, centre, unit_px)
    return TurnedBrush(canvas, centre, unit_px, shape, pose)
