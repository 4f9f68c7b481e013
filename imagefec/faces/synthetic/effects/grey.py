"""Grey photos: without colour, or in two tones as old prints are."""

import cv2
import numpy as np

SEPIA = (np.array([36.0, 24.0, 14.0]), np.array([250.0, 234.0, 204.0]))
_TONES = (SEPIA, (np.array([10.0, 22.0, 50.0]), np.array([228.0, 240.0, 250.0])))
_FADED = (np.full(3, 45.0), np.full(3, 215.0))


def sample_grey(rng: np.random.Generator, hard: bool) -> tuple[np.ndarray, np.ndarray] | None:
    """Samples the darkest and the lightest colour; None for a photo in colours.

    Varied: three in ten photos are grey. Hard: all are, in two tones or faded.
    """
    if not hard:
        return (np.zeros(3), np.full(3, 255.0)) if rng.random() < 0.3 else None
    return (*_TONES, _FADED)[rng.integers(len(_TONES) + 1)]


def without_colour(photo: np.ndarray, dark: np.ndarray, light: np.ndarray) -> np.ndarray:
    """Replaces colours by tones.

    Args:
      photo: uint8 RGB [h, w, 3].
      dark: RGB of black, 0 to 255.
      light: RGB of white.

    Returns:
      uint8 RGB [h, w, 3].
    """
    tones = dark + np.arange(256)[:, None] / 255 * (light - dark)
    grey = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)
    return cv2.LUT(cv2.merge([grey] * 3), np.round(tones).astype(np.uint8).reshape(1, 256, 3))
