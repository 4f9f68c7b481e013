"""Detectors by name, and which of them "auto" means."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable

from imagefec.errors import UserError
from imagefec.faces.detectors import blazeface, faced, yunet
from imagefec.faces.detectors.blazeface import BlazefaceDetector
from imagefec.faces.detectors.faced import FacedDetector
from imagefec.faces.detectors.haar import HaarDetector, haar_file
from imagefec.faces.detectors.lbp import LbpDetector
from imagefec.faces.detectors.no_detector import NoDetector
from imagefec.faces.detectors.protocol import Detector, is_number
from imagefec.faces.detectors.yunet import YunetDetector

AUTO_ORDER = ("yunet", "blazeface", "faced", "haar", "lbp")  # "auto" is the first that is available

_MakeDetector = Callable[[float | None, str | os.PathLike[str] | None], Detector]
_DETECTORS: dict[str, _MakeDetector] = {
    "yunet": YunetDetector,
    "blazeface": lambda min_score, _: BlazefaceDetector(min_score),
    "faced": FacedDetector,
    "haar": lambda min_score, _: HaarDetector(min_score),
    "lbp": lambda min_score, _: LbpDetector(min_score),
    "none": lambda min_score, _: NoDetector(min_score),
}


def make_detector(
    name: str = "auto",
    min_score: float | None = None,
    model_dir: str | os.PathLike[str] | None = None,
) -> Detector:
    """Makes a detector by name.

    Args:
      name: "yunet", "blazeface", "faced", "haar", "lbp", "none"; or "auto" for `auto_choice`, which
        depends on the model files installed: name a detector if results must be repeatable. The
        result's `name` and `version` say which it is.
      min_score: lowest score reported, in the detector's own scale; None for its default.
      model_dir: the folder of yunet's and faced's files; None for $IMAGEFEC_MODELS or, if that is
        not set, ~/.cache/imagefec/models.

    Raises:
      ValueError: an argument is of another type.
      UserError: there is no such detector, it is not available (its files are missing or wrong), or
        min_score is outside its scale.
    """
    check_arguments(name, min_score, model_dir)
    if name == "auto":
        name = auto_choice(model_dir)
        _report_passed_over(name)
    if name not in _DETECTORS:
        raise UserError(
            f"--detector {name}: there is no such detector; allowed are auto, "
            f"{', '.join(_DETECTORS)}."
        )
    return _DETECTORS[name](min_score, model_dir)


def check_arguments(name: object, min_score: object, model_dir: object = None) -> None:
    """Checks the types of `make_detector`'s arguments.

    Raises:
      ValueError: one is of another type.
    """
    if not isinstance(name, str):
        raise ValueError(f"a detector's name must be a text, found {name!r}")
    if min_score is not None and not is_number(min_score):
        raise ValueError(f"min_score must be a number or None, found {min_score!r}")
    if not isinstance(model_dir, str | os.PathLike | None):
        raise ValueError(f"model_dir must be a path or None, found {model_dir!r}")


def auto_choice(model_dir: str | os.PathLike[str] | None = None) -> str:
    """The name of the detector that "auto" means: the first of `AUTO_ORDER` that is available.

    Files that users installed are checked only when the detector is made: a wrong file is then an
    error, and no other detector silently replaces it. blazeface's come with Image FEC; if they are
    missing or damaged, the next detector is used, and `make_detector` logs why.
    """
    available: dict[str, Callable[[], bool]] = {
        "yunet": lambda: yunet.runs_here() and yunet.find_file(model_dir) is not None,
        "blazeface": lambda: blazeface.why_not_available() is None,
        "faced": lambda: faced.find_files(model_dir) is not None,
        "haar": lambda: haar_file() is not None,
        "lbp": lambda: True,
    }
    return next(name for name in AUTO_ORDER if available[name]())


def _report_passed_over(name: str) -> None:
    """Logs why "auto" is a detector that comes after blazeface, which every installation has."""
    if AUTO_ORDER.index(name) > AUTO_ORDER.index("blazeface"):
        _log.warning("%s Until then, auto is detector %s.", blazeface.why_not_available(), name)


_log = logging.getLogger(__name__)
