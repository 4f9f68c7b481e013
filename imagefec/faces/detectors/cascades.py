"""The two cascades that come with packages: OpenCV's of Haar features and scikit-image's of binary patterns."""

import math
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from imagefec.errors import UserError
from imagefec.faces.detectors.protocol import (
    SMALLEST,
    Detection,
    check_photo,
    checked_min_score,
    inside_photo,
)
from imagefec.maths.geometry import Box


class HaarDetector:
    """OpenCV's boosted cascade of Haar features, frontal faces.

    The score is the sum of the votes in the cascade's last stage (OpenCV's "level weight"): 54 to
      58 for what
    passes at all, 56.6 the median of real faces. The default takes all that pass.

    The cascade "alt2" finds more of the real faces at crop size than "default" does (94.3 % against
    92.5 %) in less time, and reports fewer non-faces in whole photos: docs/detectors.md.

    Source: Viola & Jones 2001; Lienhart & Maydt 2002 (the cascade file, part of OpenCV 4).
    """

    name = "haar"
    version = "frontalface_alt2-1"

    def __init__(self, min_score: float | None = None) -> None:
        path = haar_file()
        if path is None:
            raise UserError(
                f"detector haar: this OpenCV ({cv2.__version__}) has no Haar cascade; OpenCV 4 has, OpenCV 5 "
                "has not. Use --detector lbp, or pip install 'opencv-python-headless<5'."
            )
        self.min_score = checked_min_score(self.name, min_score, 0.0, math.inf)
        self._cascade = cv2.CascadeClassifier(str(path))

    def detect(self, photo: np.ndarray, smallest: float = SMALLEST) -> list[Detection]:
        return _detect_in_gray(self._find, photo, smallest, self.min_score)

    def _find(self, gray: np.ndarray, least_px: int) -> list[tuple[Box, float]]:
        boxes, _, weights = self._cascade.detectMultiScale3(
            gray,
            scaleFactor=1.1,
            minNeighbors=2,
            minSize=(least_px, least_px),
            outputRejectLevels=True,
        )
        return [
            (Box(float(x), float(x + w), float(y), float(y + h)), float(weight))
            for (x, y, w, h), weight in zip(boxes, np.ravel(weights))
        ]


class LbpDetector:
    """scikit-image's cascade of local binary patterns, frontal faces; it knows no score, so all are 1."""

    name = "lbp"
    version = "lbpcascade_frontalface-1"

    def __init__(self, min_score: float | None = None) -> None:
        # Only who asks for it pays for the import.
        from skimage.data import lbp_frontal_face_cascade_filename
        from skimage.feature import Cascade

        self.min_score = checked_min_score(self.name, min_score, 0.0, 1.0)
        self._cascade = Cascade(lbp_frontal_face_cascade_filename())

    def detect(self, photo: np.ndarray, smallest: float = SMALLEST) -> list[Detection]:
        return _detect_in_gray(self._find, photo, smallest, self.min_score)

    def _find(self, gray: np.ndarray, least_px: int) -> list[tuple[Box, float]]:
        most_px = min(gray.shape)
        found = self._cascade.detect_multi_scale(
            gray,
            scale_factor=1.1,
            step_ratio=1,
            min_size=(least_px, least_px),
            max_size=(most_px, most_px),
            min_neighbor_number=2,
        )
        return [
            (
                Box(
                    float(f["c"]),
                    float(f["c"] + f["width"]),
                    float(f["r"]),
                    float(f["r"] + f["height"]),
                ),
                1.0,
            )
            for f in found
        ]


def haar_file() -> Path | None:
    """The cascade file of this OpenCV; None where it has no cascades, as from version 5 on."""
    if not hasattr(cv2, "CascadeClassifier") or not hasattr(cv2, "data"):
        return None
    path = Path(cv2.data.haarcascades) / "haarcascade_frontalface_alt2.xml"
    return path if path.is_file() else None


# The photo is shrunk until the smallest face wanted has this side; the cascades' windows are 20 and
# 24 px.
_SMALLEST_FACE_PX = 28
# Edge pixels repeated around the photo, as a share of the smallest face's side. A box drawn tightly
# cuts chin and brow, and a cascade wants to see a little of both: of tight crops of real faces haar
# found 65 % without a border and 97 % with it.
_BORDER = 0.5


def _detect_in_gray(
    find: Callable[[np.ndarray, int], list[tuple[Box, float]]],
    photo: np.ndarray,
    smallest: float,
    min_score: float,
) -> list[Detection]:
    check_photo(photo, smallest)
    height, width = photo.shape[:2]
    gray = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)
    scale = min(_SMALLEST_FACE_PX / (smallest * min(height, width)), 1.0)
    if scale < 1.0:
        size = max(round(width * scale), 1), max(round(height * scale), 1)
        gray = cv2.resize(gray, size, interpolation=cv2.INTER_AREA)
    face_px = max(int(smallest * min(gray.shape)), 24)
    border = round(_BORDER * face_px)
    gray = cv2.copyMakeBorder(gray, border, border, border, border, cv2.BORDER_REPLICATE)
    found = [
        Detection(
            Box(*((side - border) / scale for side in box.sides)),
            score,
        )
        for box, score in find(gray, face_px)
        if score >= min_score
    ]
    return inside_photo(found, width, height)
