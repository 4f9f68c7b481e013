"""Prepares photos for the cascades of haar.py and lbp.py: gray, shrunk and with a border."""

from collections.abc import Callable

import cv2
import numpy as np

from imagefec.faces import opencv
from imagefec.faces.detectors.protocol import Detection, check_photo, clip_to_photo
from imagefec.maths.geometry import Box

# The photo is shrunk until the smallest face searched for has this side; the cascades' windows are
# 20 and 24 px.
_SMALLEST_FACE_PX = 28
# Width of the repeated edge pixels around the photo, as a share of the smallest face's side. A
# tight box excludes chin and brow, and a cascade requires a little of both: haar found the face in
# 65 % of tight crops of real faces without a border and in 97 % with it.
_BORDER = 0.5


def detect_in_gray(
    find: Callable[[np.ndarray, int], list[tuple[Box, float]]],
    photo: np.ndarray,
    smallest: float,
    min_score: float,
) -> list[Detection]:
    """Runs a cascade on a gray, shrunk and bordered copy of a photo.

    Args:
      find: the cascade: (gray image uint8 [h, w], side of the smallest face in pixels) -> boxes in
        pixels, each with a score.
      photo: as for `Detector.detect`.
      smallest: as for `Detector.detect`.
      min_score: lowest score reported.

    Returns:
      As `Detector.detect`, boxes in pixels of the photo.
    """
    check_photo(photo, smallest)
    height, width = photo.shape[:2]
    gray = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)
    scale = min(_SMALLEST_FACE_PX / (smallest * min(height, width)), 1.0)
    if scale < 1.0:
        gray = opencv.resize(gray, max(round(width * scale), 1), max(round(height * scale), 1))
    face_px = max(int(smallest * min(gray.shape)), 24)
    border = round(_BORDER * face_px)
    gray = cv2.copyMakeBorder(gray, border, border, border, border, cv2.BORDER_REPLICATE)
    found = [
        Detection(Box(*((side - border) / scale for side in box.sides)), score)
        for box, score in find(gray, face_px)
        if score >= min_score
    ]
    return clip_to_photo(found, width, height)
