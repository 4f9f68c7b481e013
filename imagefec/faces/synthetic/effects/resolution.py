"""Low resolution: small faces, enlarged again to the photo's size."""

import cv2
import numpy as np

_ENLARGE = (cv2.INTER_NEAREST, cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4)


def sample_resolution(rng: np.random.Generator, hard: bool) -> tuple[float, int]:
    """Samples the height of a face, pixels, and how it is enlarged.

    Varied: 32 to 128 px. Hard: 20 to 32 px, or blocks without interpolation.
    """
    low, high = (20, 32) if hard else (32, 128)
    face_px = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    first = 0 if hard else 1
    return face_px, int(rng.integers(first, len(_ENLARGE)))


def coarsen(photo: np.ndarray, factor: float, method: int) -> np.ndarray:
    """Shrinks a photo and enlarges it again.

    Args:
      photo: uint8 RGB [h, w, 3].
      factor: of the smaller size; 1 or more leaves the photo as it is.
      method: 0 to 3: blocks, linear, cubic, Lanczos.

    Returns:
      uint8 RGB [h, w, 3].
    """
    if factor >= 1:
        return photo
    height, width = photo.shape[:2]
    size = max(2, round(width * factor)), max(2, round(height * factor))
    small = cv2.resize(photo, size, interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (width, height), interpolation=_ENLARGE[method])
