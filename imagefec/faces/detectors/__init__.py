"""The face detectors by name; each lives in a file of its own, cropping in `crop`.

`haar`, `lbp` and `none` work with what pip installs. `yunet` and `faced` need files that the user
gets: none are fetched here, and `imagefec doctor` says where they are had.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np

from imagefec.errors import UserError
from imagefec.faces.detectors import faced, yunet
from imagefec.faces.detectors.cascades import HaarDetector, LbpDetector, haar_file
from imagefec.faces.detectors.faced import FacedDetector
from imagefec.faces.detectors.protocol import (
    SMALLEST,
    Detection,
    Detector,
    check_photo,
    checked_min_score,
)
from imagefec.faces.detectors.yunet import YunetDetector
from imagefec.maths.geometry import Box

__all__ = [
    "AUTO_ORDER",
    "SMALLEST",
    "Detection",
    "Detector",
    "FacedDetector",
    "HaarDetector",
    "LbpDetector",
    "NoDetector",
    "YunetDetector",
    "auto_choice",
    "haar_file",
    "make_detector",
]

AUTO_ORDER = ("yunet", "faced", "haar", "lbp")  # `auto` takes the first that is there


class NoDetector:
    """Takes every photo for one face that fills it, with score 1: for boxes that are trusted as they are."""

    name = "none"
    version = "1"

    def __init__(self, min_score: float | None = None) -> None:
        self.min_score = checked_min_score(self.name, min_score, 0.0, 1.0)

    def detect(self, photo: np.ndarray, smallest: float = SMALLEST) -> list[Detection]:
        check_photo(photo, smallest)
        height, width = photo.shape[:2]
        return [Detection(Box(0.0, float(width), 0.0, float(height)), 1.0)]


def make_detector(
    name: str = "auto", min_score: float | None = None, model_dir: str | os.PathLike | None = None
) -> Detector:
    """Makes a detector by name.

    Args:
      name: "faced", "yunet", "haar", "lbp", "none"; or "auto", which is `auto_choice`. What is
        asked for by name is the same on every machine; what auto gives depends on the files there,
        so ask by name where results must be repeatable. Either way the result's `name` and
        `version` say what it is.
      min_score: faces scored lower are not reported, in the detector's own scale; None for its
        default.
      model_dir: where yunet and faced look for their files; None for $IMAGEFEC_MODELS, or where
        that is not set ~/.cache/imagefec/models.

    Raises:
      UserError: there is no such detector, it is not available here (its files are missing or
        wrong), or min_score is outside its scale.
    """
    if name == "auto":
        name = auto_choice(model_dir)
    if name not in _DETECTORS:
        raise UserError(
            f"--detector {name}: there is no such detector; allowed are auto, {', '.join(_DETECTORS)}."
        )
    return _DETECTORS[name](min_score, model_dir)


def auto_choice(model_dir: str | os.PathLike | None = None) -> str:
    """The name of the detector that "auto" means here: the first of `AUTO_ORDER` that is there.

    Whether a model file is the right one is seen when the detector is made: a wrong one is an error
      then, and no
    reason to take another detector in silence.
    """
    there = {
        "yunet": yunet.runs_here() and yunet.find_file(model_dir) is not None,
        "faced": faced.find_files(model_dir) is not None,
        "haar": haar_file() is not None,
        "lbp": True,
    }
    return next(name for name in AUTO_ORDER if there[name])


_DETECTORS: dict[str, Callable[[float | None, str | os.PathLike | None], Detector]] = {
    "faced": FacedDetector,
    "yunet": YunetDetector,
    "haar": lambda min_score, model_dir: HaarDetector(min_score),
    "lbp": lambda min_score, model_dir: LbpDetector(min_score),
    "none": lambda min_score, model_dir: NoDetector(min_score),
}
