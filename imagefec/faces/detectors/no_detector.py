"""The detector `none`, which uses every photo as one face."""

import numpy as np

from imagefec.faces.detectors.protocol import (
    SMALLEST,
    Detection,
    check_photo,
    checked_min_score,
)
from imagefec.maths.geometry import Box


class NoDetector:
    """Reports one face that fills the photo, with score 1: for boxes that are trusted."""

    name = "none"
    version = "1"

    def __init__(self, min_score: float | None = None) -> None:
        self.min_score = checked_min_score(self.name, min_score, 0.0, 1.0)

    def detect(self, photo: np.ndarray, smallest: float = SMALLEST) -> list[Detection]:
        """Reports the complete photo as a face."""
        check_photo(photo, smallest)
        height, width = photo.shape[:2]
        return [Detection(Box(0.0, float(width), 0.0, float(height)), 1.0)]
