"""Head pose beyond roll: features turn with the surface of an ellipsoid; its outline stays."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from imagefec.faces.synthetic.brush import Brush, Colour

if TYPE_CHECKING:
    from imagefec.faces.synthetic.people import SyntheticPerson

DEPTH = 0.8  # of the ellipsoid, relative to its width and height: a face is flatter than a ball
_NOSE = 0.2  # how far the nose's tip stands out of the ellipsoid
_NOSE_SIZE = np.array([0.16, 0.24])  # of that bump
_OVAL_POINTS = 24


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

    def widths(self, height: np.ndarray) -> np.ndarray:
        """Half the head's width at the point of its outline with this height in [-1, 1]."""
        low = height.clip(0, 1)
        return self.face_width + (self.jaw_width - self.face_width) * low**2.2

    def rows(self, height: np.ndarray) -> np.ndarray:
        """Rows, head units, of heights: -1 is the top of the head, 1 its chin."""
        return np.where(height > 0, height * self.chin, height)


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
    if pose == Pose():
        return np.asarray(xy, float)
    x, y = np.asarray(xy, float).reshape(-1, 2).T
    down = np.where(y > 0, y / shape.chin, y)
    across = x / shape.widths(down)
    out = DEPTH * np.sqrt((1 - across**2 - down**2).clip(0)) + _nose(across, y, shape)
    yaw, pitch = np.radians([pose.yaw, pose.pitch])
    across, out = (
        across * np.cos(yaw) + out * np.sin(yaw),
        out * np.cos(yaw) - across * np.sin(yaw),
    )
    down, out = (
        down * np.cos(pitch) + out * np.sin(pitch),
        out * np.cos(pitch) - down * np.sin(pitch),
    )
    radius = np.hypot(across, down)
    hidden = (out < 0) & (radius > 0.5) & (radius < 1)
    to_outline = np.where(hidden, 1 / np.maximum(radius, 0.5), 1)
    across, down = across * to_outline, down * to_outline
    return np.stack([across * shape.widths(down), shape.rows(down)], 1)


def _nose(across: np.ndarray, y: np.ndarray, shape: HeadShape) -> np.ndarray:
    away = (across / _NOSE_SIZE[0]) ** 2 + ((y - shape.nose_row) / _NOSE_SIZE[1]) ** 2
    return _NOSE * np.exp(-away)


class TurnedBrush(Brush):
    """A brush on the surface of a turned head; other arguments as for Brush."""

    def __init__(
        self,
        canvas: np.ndarray,
        centre: tuple[float, float],
        unit_px: float,
        shape: HeadShape,
        pose: Pose,
    ) -> None:
        super().__init__(canvas, centre, unit_px)
        self._shape, self._pose = shape, pose

    def points(self, xy: npt.ArrayLike) -> np.ndarray:
        """Converts head units of the upright face to int32 sub-pixels."""
        found = super().points(turned(xy, self._shape, self._pose))
        return found.reshape(np.shape(xy))

    def oval(
        self,
        centre: tuple[float, float],
        radii: tuple[float, float],
        colour: Colour,
        arc: tuple[int, int] = (0, 360),
        width: float | None = None,
    ) -> None:
        """Fills an ellipse or renders its outline, foreshortened."""
        angle = np.radians(np.linspace(*arc, _OVAL_POINTS))
        around = np.stack([np.cos(angle) * radii[0], np.sin(angle) * radii[1]], 1) + centre
        if width is None:
            self.fill(around, colour)
        else:
            self.line(around, colour, width)


def make_brush(
    canvas: np.ndarray,
    centre: tuple[float, float],
    unit_px: float,
    shape: HeadShape,
    pose: Pose,
) -> Brush:
    """A brush on the surface of a head."""
    if pose == Pose():
        return Brush(canvas, centre, unit_px)
    return TurnedBrush(canvas, centre, unit_px, shape, pose)
