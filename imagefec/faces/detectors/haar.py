"""OpenCV's cascade of Haar features, which its package ships up to version 4."""

import math
from pathlib import Path

import cv2
import numpy as np

from imagefec.errors import UserError
from imagefec.faces.detectors.cascade import detect_in_gray
from imagefec.faces.detectors.instances import Instances
from imagefec.faces.detectors.protocol import SMALLEST, Detection, checked_min_score
from imagefec.maths.geometry import Box


class HaarDetector:
    """Frontal faces by a boosted cascade of Haar features.

    The score is the sum of the weak classifiers in the cascade's last stage, OpenCV's "level
    weight": 54 to 58 for all windows that pass it, 56.6 the median of real faces. By default, all
    windows that pass are reported.

    The cascade "alt2" finds more real faces at crop size than "default" (94.3 % instead of 92.5 %)
    in less time, with fewer false detections in full photos: docs/detectors.md.

    Source: Viola & Jones 2001; Lienhart & Maydt 2002 (the cascade file, part of OpenCV 4).
    """

    name = "haar"
    version = "frontalface_alt2-1"

    def __init__(self, min_score: float | None = None) -> None:
        path = haar_file()
        if path is None:
            raise UserError(
                f"detector haar: this OpenCV ({cv2.__version__}) has no Haar cascade; OpenCV 4 has "
                "one, OpenCV 5 has not. Use --detector lbp, or pip install "
                "'opencv-python-headless<5'."
            )
        self.min_score = checked_min_score(self.name, min_score, 0.0, math.inf)
        self._cascades = Instances(lambda: cv2.CascadeClassifier(str(path)))

    def detect(self, photo: np.ndarray, smallest: float = SMALLEST) -> list[Detection]:
        """As `Detector.detect`."""
        return detect_in_gray(self._find, photo, smallest, self.min_score)

    def _find(self, gray: np.ndarray, smallest_px: int) -> list[tuple[Box, float]]:
        with self._cascades.lent() as cascade:
            boxes, _, weights = cascade.detectMultiScale3(
                gray,
                scaleFactor=1.1,
                minNeighbors=2,
                minSize=(smallest_px, smallest_px),
                outputRejectLevels=True,
            )
        return [
            (Box(float(x), float(x + w), float(y), float(y + h)), float(weight))
            for (x, y, w, h), weight in zip(boxes, np.ravel(weights))
        ]


def haar_file() -> Path | None:
    """The cascade file of this OpenCV; None from OpenCV 5 on, which has no cascades."""
    data = getattr(cv2, "data", None)
    if not hasattr(cv2, "CascadeClassifier") or data is None:
        return None
    path = Path(data.haarcascades) / "haarcascade_frontalface_alt2.xml"
    return path if path.is_file() else None
