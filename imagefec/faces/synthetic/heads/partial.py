"""Partial expressions: only the mouth or only the eyes take part, and weakly."""

import numpy as np

from imagefec.faces.synthetic.heads.expressions import CONTROLS

UPPER = (
    "inner_brow_raise",
    "outer_brow_raise",
    "brow_furrow",
    "lid_opening",
    "cheek_raise",
    "gaze_right",
    "gaze_down",
)
_UPPER = np.isin(CONTROLS, UPPER)


def sample_partial(rng: np.random.Generator, hard: bool) -> tuple[float, float, float]:
    """Samples strengths in [0, 1]: of the upper face, of the lower face, of both.

    In the varied world half of the faces are whole; in the others, and in all of the hard world,
    one half is weaker.
    """
    whole = not hard and rng.random() < 0.5
    weak = rng.uniform(0, 0.15) if hard else rng.uniform(0.15, 0.7)
    halves = (1.0, 1.0) if whole else (1.0, float(weak)) if rng.random() < 0.5 else (float(weak), 1)
    return (*halves, float(rng.uniform(0.45, 0.7) if hard else rng.uniform(0.7, 1)))


def weaken(expression: np.ndarray, upper: float, lower: float, both: float) -> np.ndarray:
    """Scales the two halves of an expression; it is still the expression that raters see.

    Args:
      expression: float32 [controls].
      upper: factor of brows, lids, cheeks and gaze.
      lower: factor of nose and mouth.
      both: factor of all.

    Returns:
      float32 [controls].
    """
    return (expression * np.where(_UPPER, upper, lower) * both).astype(np.float32)
