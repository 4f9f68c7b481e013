"""Asymmetric expressions: the expression is weaker on one side of the face."""

import numpy as np

from imagefec.faces.synthetic.heads.expressions import CONTROLS

# One jaw, one nose and two eyes that look the same way: only these have sides.
SIDED = (
    "inner_brow_raise",
    "outer_brow_raise",
    "brow_furrow",
    "lid_opening",
    "cheek_raise",
    "smile",
)
_SIDED = np.isin(CONTROLS, SIDED)


def sample_asymmetry(rng: np.random.Generator, hard: bool) -> float:
    """Samples how much weaker the right (+) or left (-) side is: to 0.5, hard 0.5 to 0.9."""
    side = rng.choice([-1, 1])
    return float(side * (rng.uniform(0.5, 0.9) if hard else rng.uniform(0, 0.5)))


def sides_of(expression: np.ndarray, asymmetry: float) -> np.ndarray:
    """The expressions of the two halves of a face.

    Args:
      expression: float32 [controls].
      asymmetry: in [-1, 1]; 1: no expression on the right of the photo, -1: none on the left.

    Returns:
      float32 [2, controls], of the left and of the right half.
    """
    sides = np.stack([expression, expression])
    sides[:, _SIDED] *= np.array([[1 - max(-asymmetry, 0)], [1 - max(asymmetry, 0)]], np.float32)
    return sides
