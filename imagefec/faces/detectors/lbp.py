"""scikit-image's cascade of local binary patterns, which its package ships."""

import numpy as np

from imagefec.faces.detectors.cascade import detect_in_gray
from imagefec.faces.detectors.protocol import SMALLEST, Detection, checked_min_score
from imagefec.maths.geometry import Box


class LbpDetector:
    """Frontal faces by local binary patterns; the cascade has no scores, so all are 1."""

    name = "lbp"
    version = "lbpcascade_frontalface-1"

    def __init__(self, min_score: float | None = None) -> None:
        # Slow to import, and only needed here.
        from skimage.data import lbp_frontal_face_cascade_filename
        from skimage.feature import Cascade

        self.min_score = checked_min_score(self.name, min_score, 0.0, 1.0)
        self._cascade = Cascade(lbp_frontal_face_cascade_filename())

    def detect(self, photo: np.ndarray, smallest: float = SMALLEST) -> list[Detection]:
        """As `Detector.detect`."""
        return detect_in_gray(self._find, photo, smallest, self.min_score)

    def _find(self, gray: np.ndarray, smallest_px: int) -> list[tuple[Box, float]]:
        largest_px = min(gray.shape)
        found = self._cascade.detect_multi_scale(
            gray,
            scale_factor=1.1,
            step_ratio=1,
            min_size=(smallest_px, smallest_px),
            max_size=(largest_px, largest_px),
            min_neighbor_number=2,
        )
        return [(_box(f["c"], f["r"], f["width"], f["height"]), 1.0) for f in found]


def _box(left: int, top: int, width: int, height: int) -> Box:
    return Box(float(left), float(left + width), float(top), float(top + height))
