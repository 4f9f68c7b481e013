"""Renders shapes in head units on a canvas of pixels with OpenCV; head.py says which shapes."""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

CANVAS_PX = 208  # side of the square canvas
UNIT_PX = 78.0  # pixels per head unit, half of a head's height
CENTRE = (104.0, 112.0)  # pixel of the head's (0, 0)
SHIFT = 4  # OpenCV takes sub-pixel points in units of 1/16 px

Colour = Sequence[float] | np.ndarray  # RGB, or gray; 0 to 255, clipped


class Brush:
    """Renders shapes, given in head units, on a canvas.

    Args:
      canvas: uint8 [h, w, 3] or [h, w], changed in place.
      centre: pixel of the head's (0, 0).
      unit_px: pixels per head unit.
    """

    def __init__(self, canvas: np.ndarray, centre: tuple[float, float], unit_px: float) -> None:
        self.canvas, self._centre, self._unit = canvas, np.array(centre), unit_px

    def points(self, xy: npt.ArrayLike) -> np.ndarray:
        """Converts head units to int32 sub-pixels, as OpenCV takes them with SHIFT."""
        return np.round((np.asarray(xy) * self._unit + self._centre) * 2**SHIFT).astype(np.int32)

    def fill(self, xy: npt.ArrayLike, colour: Colour) -> None:
        """Fills the polygon of points [n, 2]."""
        cv2.fillPoly(self.canvas, [self.points(xy)], _scalar(colour), cv2.LINE_AA, SHIFT)

    def line(self, xy: npt.ArrayLike, colour: Colour, width: float) -> None:
        """Renders an open line through points [n, 2]; the width is in head units."""
        thickness = max(1, round(width * self._unit))
        cv2.polylines(
            self.canvas, [self.points(xy)], False, _scalar(colour), thickness, cv2.LINE_AA, SHIFT
        )

    def oval(
        self,
        centre: tuple[float, float],
        radii: tuple[float, float],
        colour: Colour,
        arc: tuple[int, int] = (0, 360),
        width: float | None = None,
    ) -> None:
        """Fills an upright ellipse or, given a width, renders its outline.

        Args:
          centre: (x, y) in head units.
          radii: (horizontal, vertical) in head units.
          colour: of the ellipse.
          arc: first and last angle of the outline, degrees.
          width: of the outline, head units; None to fill.
        """
        x, y = (int(v) for v in self.points(centre))
        rx, ry = (int(r * self._unit * 2**SHIFT) for r in radii)
        thickness = -1 if width is None else max(1, round(width * self._unit))
        cv2.ellipse(
            self.canvas,
            (x, y),
            (rx, ry),
            0.0,
            arc[0],
            arc[1],
            _scalar(colour),
            thickness,
            cv2.LINE_AA,
            SHIFT,
        )


def darker(colour: np.ndarray, strength: float) -> np.ndarray:
    """The colour of a crease in skin of a colour: `strength` 0 is the skin's own, 1 deep shadow."""
    return colour * (1 - np.clip(strength, 0, 1) * np.array([0.45, 0.55, 0.55]))


def _scalar(colour: Colour) -> tuple[float, ...]:
    return tuple(float(min(255.0, max(0.0, v))) for v in colour)
