"""Face detectors behind one small interface; cropping lives in `crop`, files are opened elsewhere.

Every detector here works with what pip installs: no weights are fetched.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from imagefec.errors import UserError
from imagefec.maths.geometry import Box, clip

SMALLEST = 0.1  # of the shorter side: the smallest face looked for in a whole photo


@dataclass(frozen=True)
class Detection:
    """A face found: its box in pixels of the photo and the detector's own score, higher is surer."""

    box: Box
    score: float


class Detector(Protocol):
    """What finds faces.

    `name` and `version` tell results apart that must not be mixed in one folder: `version` changes when the
    same photo may give another answer. `min_score` is the least score that `detect` reports.
    """

    name: str
    version: str
    min_score: float

    def detect(self, photo: np.ndarray, smallest: float = SMALLEST) -> list[Detection]:
        """Finds the faces of a photo, best score first.

        Args:
          photo: uint8 [height, width, 3] RGB.
          smallest: side of the smallest face looked for, as a share of the photo's shorter side, in (0, 1].

        Raises:
          ValueError: photo is not uint8 [height, width, 3], or smallest not in (0, 1].
        """
        ...


class HaarDetector:
    """OpenCV's boosted cascade of Haar features, frontal faces.

    The score is the sum of the votes in the cascade's last stage (OpenCV's "level weight"): 54 to 58 for what
    passes at all, 56.6 the median of real faces. The default takes all that pass.

    The cascade "alt2" found more of the real faces at crop size than "default" did (97 % against 95 %), took
    two thirds of its time and reported fewer non-faces in crowded photos.

    Source: Viola & Jones 2001; Lienhart & Maydt 2002 (the cascade file, part of OpenCV 4).
    """

    name = "haar"
    version = "frontalface_alt2-1"

    def __init__(self, min_score: float | None = None):
        path = haar_file()
        if path is None:
            raise UserError(
                f"detector haar: this OpenCV ({cv2.__version__}) has no Haar cascade; OpenCV 4 has, OpenCV 5 "
                "has not. Use --detector lbp, or pip install 'opencv-python-headless<5'.")
        self.min_score = _checked_min_score(self.name, min_score, 0.0, math.inf)
        self._cascade = cv2.CascadeClassifier(str(path))

    def detect(self, photo: np.ndarray, smallest: float = SMALLEST) -> list[Detection]:
        return _detect_in_gray(self._find, photo, smallest, self.min_score)

    def _find(self, gray: np.ndarray, least_px: int) -> list[tuple[Box, float]]:
        boxes, _, weights = self._cascade.detectMultiScale3(
            gray, scaleFactor=1.1, minNeighbors=2, minSize=(least_px, least_px), outputRejectLevels=True)
        return [
            (Box(float(x), float(x + w), float(y), float(y + h)), float(weight))
            for (x, y, w, h), weight in zip(boxes, np.ravel(weights))
        ]


class LbpDetector:
    """scikit-image's cascade of local binary patterns, frontal faces; it knows no score, so all are 1."""

    name = "lbp"
    version = "lbpcascade_frontalface-1"

    def __init__(self, min_score: float | None = None):
        # Only who asks for it pays for the import.
        from skimage.data import lbp_frontal_face_cascade_filename
        from skimage.feature import Cascade

        self.min_score = _checked_min_score(self.name, min_score, 0.0, 1.0)
        self._cascade = Cascade(lbp_frontal_face_cascade_filename())

    def detect(self, photo: np.ndarray, smallest: float = SMALLEST) -> list[Detection]:
        return _detect_in_gray(self._find, photo, smallest, self.min_score)

    def _find(self, gray: np.ndarray, least_px: int) -> list[tuple[Box, float]]:
        most_px = min(gray.shape)
        found = self._cascade.detect_multi_scale(
            gray, scale_factor=1.1, step_ratio=1, min_size=(least_px, least_px), max_size=(most_px, most_px),
            min_neighbor_number=2)
        return [
            (Box(float(f["c"]), float(f["c"] + f["width"]), float(f["r"]), float(f["r"] + f["height"])), 1.0)
            for f in found
        ]


class NoDetector:
    """Takes every photo for one face that fills it, with score 1: for boxes that are trusted as they are."""

    name = "none"
    version = "1"

    def __init__(self, min_score: float | None = None):
        self.min_score = _checked_min_score(self.name, min_score, 0.0, 1.0)

    def detect(self, photo: np.ndarray, smallest: float = SMALLEST) -> list[Detection]:
        _check(photo, smallest)
        height, width = photo.shape[:2]
        return [Detection(Box(0.0, float(width), 0.0, float(height)), 1.0)]


def make_detector(name: str = "auto", min_score: float | None = None) -> Detector:
    """Makes a detector by name.

    Args:
      name: "haar", "lbp", "none"; or "auto": haar where this OpenCV has it, else lbp.
      min_score: faces scored lower are not reported, in the detector's own scale; None for its default.

    Raises:
      UserError: there is no such detector, it is not available here, or min_score is outside its scale.
    """
    if name == "auto":
        name = "haar" if haar_file() is not None else "lbp"
    if name not in _DETECTORS:
        raise UserError(
            f"--detector {name}: there is no such detector; allowed are auto, {', '.join(_DETECTORS)}.")
    return _DETECTORS[name](min_score)


def haar_file() -> Path | None:
    """The cascade file of this OpenCV; None where it has no cascades, as from version 5 on."""
    if not hasattr(cv2, "CascadeClassifier") or not hasattr(cv2, "data"):
        return None
    path = Path(cv2.data.haarcascades) / "haarcascade_frontalface_alt2.xml"
    return path if path.is_file() else None


_DETECTORS: dict[str, Callable[[float | None], Detector]] = {
    "haar": HaarDetector,
    "lbp": LbpDetector,
    "none": NoDetector,
}

# The photo is shrunk until the smallest face wanted has this side; the cascades' windows are 20 and 24 px.
_SMALLEST_FACE_PX = 28
# Edge pixels repeated around the photo, as a share of the smallest face's side. A box drawn tightly cuts chin
# and brow, and a cascade wants to see a little of both: of tight crops of real faces haar found 65 % without
# a border and 97 % with it.
_BORDER = 0.5


def _detect_in_gray(
    find: Callable[[np.ndarray, int], list[tuple[Box, float]]],
    photo: np.ndarray,
    smallest: float,
    min_score: float,
) -> list[Detection]:
    _check(photo, smallest)
    height, width = photo.shape[:2]
    gray = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)
    scale = min(_SMALLEST_FACE_PX / (smallest * min(height, width)), 1.0)
    if scale < 1.0:
        size = max(round(width * scale), 1), max(round(height * scale), 1)
        gray = cv2.resize(gray, size, interpolation=cv2.INTER_AREA)
    face_px = max(int(smallest * min(gray.shape)), 24)
    border = round(_BORDER * face_px)
    gray = cv2.copyMakeBorder(gray, border, border, border, border, cv2.BORDER_REPLICATE)
    detections = []
    for box, score in find(gray, face_px):
        sides = ((side - border) / scale for side in (box.left, box.right, box.top, box.bottom))
        inside = clip(Box(*sides), width, height)
        if score >= min_score and inside.width > 0 and inside.height > 0:
            detections.append(Detection(inside, score))
    # Equal scores in a fixed order, whatever order the threads of a cascade found them in.
    return sorted(detections, key=lambda d: (-d.score, -d.box.width, d.box.left, d.box.top))


def _check(photo: np.ndarray, smallest: float) -> None:
    if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3 or 0 in photo.shape:
        raise ValueError(f"photo must be uint8 [height, width, 3], found {photo.dtype} {list(photo.shape)}")
    if not 0 < smallest <= 1:
        raise ValueError(f"smallest must be a share of the shorter side in (0, 1], found {smallest}")


def _checked_min_score(name: str, min_score: float | None, least: float, most: float) -> float:
    if min_score is None:
        return least
    if not least <= min_score <= most:  # NaN is refused too
        raise UserError(
            f"--min_score {min_score}: detector {name} scores from {least:g} to {most:g}; give a number in "
            "there, or leave it out for the default.")
    return float(min_score)
