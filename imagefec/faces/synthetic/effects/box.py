"""Boxes that raters drew closer or wider, or beside the middle; the photo does not change."""

import numpy as np

from imagefec.maths.geometry import Box


def sample_jitter(rng: np.random.Generator, hard: bool) -> tuple[float, float, float]:
    """Samples a factor of the sides, and shifts to the right and down in units of the sides.

    Varied: 0.87 to 1.25 and up to 0.06. Hard: 0.72 to 0.87 or 1.25 to 1.6, and up to 0.12.
    """
    low, high = (0.87, 1.25) if not hard else ((0.72, 0.87), (1.25, 1.6))[rng.integers(2)]
    shift = rng.uniform(-1, 1, 2) * (0.12 if hard else 0.06)
    return float(np.exp(rng.uniform(np.log(low), np.log(high)))), float(shift[0]), float(shift[1])


def jittered(box: Box, factor: float, right: float, down: float) -> Box:
    """Another box about the same face, within the photo.

    Args:
      box: in fractions of the photo.
      factor: of both sides.
      right: shift in units of the box's width.
      down: shift in units of the box's height.
    """
    x, y = (box.left + box.right) / 2 + right * box.width, (box.top + box.bottom) / 2
    y += down * box.height
    half_width, half_height = factor * box.width / 2, factor * box.height / 2
    sides = (x - half_width, x + half_width, y - half_height, y + half_height)
    return Box(*(float(np.clip(side, 0, 1)) for side in sides))
