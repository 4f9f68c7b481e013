"""The interface of face detectors, and checks of their arguments and results."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from numbers import Real
from typing import Protocol

import numpy as np

from imagefec.errors import UserError
from imagefec.maths.geometry import Box, clip

SMALLEST = 0.1  # side of the smallest face searched for in a photo, as a share of its shorter side


@dataclass(frozen=True)
class Detection:
    """A detected face.

    Attributes:
      box: in pixels of the photo.
      score: in the detector's own scale; higher is more certain.
      keypoints: (column, row) in pixels of the photo, the two eyes first: the one further left in
        an upright face, then the other. Empty if the detector finds none.
    """

    box: Box
    score: float
    keypoints: tuple[tuple[float, float], ...] = ()


class Detector(Protocol):
    """Finds faces.

    Attributes:
      name: as for make_detector.
      version: changes when the same photo may give another result. Results of detectors with
        another name or version must not be mixed in one folder.
      min_score: lowest score that `detect` reports.
    """

    name: str
    version: str
    min_score: float

    def detect(self, photo: np.ndarray, smallest: float = SMALLEST) -> list[Detection]:
        """Finds the faces of a photo, highest score first.

        Args:
          photo: uint8 [height, width, 3] RGB.
          smallest: side of the smallest face searched for, as a share of the photo's shorter side,
            in (0, 1].

        Raises:
          ValueError: photo is not uint8 [height, width, 3], or smallest not in (0, 1].
        """
        ...


def check_photo(photo: np.ndarray, smallest: float) -> None:
    """Checks the arguments of `detect`.

    Raises:
      ValueError: as `Detector.detect`.
    """
    if not isinstance(photo, np.ndarray):
        raise ValueError(
            f"photo must be uint8 [height, width, 3], found {type(photo).__name__}; "
            "imagefec.faces.photos.read_photo reads files"
        )
    if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3 or 0 in photo.shape:
        raise ValueError(
            f"photo must be uint8 [height, width, 3], found {photo.dtype} {list(photo.shape)}"
        )
    if not is_number(smallest) or not 0 < smallest <= 1:
        raise ValueError(
            f"smallest must be a share of the shorter side in (0, 1], found {smallest!r}"
        )


def checked_min_score(
    name: str, min_score: float | None, least: float, most: float, default: float | None = None
) -> float:
    """Returns the lowest score to report: `min_score`, else the default, else the scale's lowest.

    Args:
      name: of the detector, for the message.
      min_score: what the user requested; None for nothing.
      least: lowest score of the detector's scale.
      most: highest score of the detector's scale.
      default: the detector's default; None for `least`.

    Raises:
      UserError: min_score is outside the detector's scale.
    """
    if min_score is None:
        return least if default is None else default
    if not (least <= min_score <= most and math.isfinite(min_score)):  # refuses NaN too
        scale = f"from {least:g} to {most:g}" if math.isfinite(most) else f"{least:g} or more"
        raise UserError(
            f"--min_score {min_score}: detector {name} scores {scale}. Give a finite number in "
            "this range, or omit it for the default."
        )
    return float(min_score)


def is_number(value: object) -> bool:
    """Whether a value is a real number; a boolean is not."""
    return isinstance(value, Real) and not isinstance(value, bool | np.bool_)


def clip_to_photo(found: Iterable[Detection], width: int, height: int) -> list[Detection]:
    """Clips boxes to the photo, drops those outside, and sorts by score, highest first."""
    clipped = (replace(each, box=clip(each.box, width, height)) for each in found)
    inside = [each for each in clipped if each.box.width > 0 and each.box.height > 0]
    # Equal scores get a fixed order, because a cascade's threads find them in any order.
    return sorted(inside, key=lambda d: (-d.score, -d.box.width, d.box.left, d.box.top))


def drop_small_or_invalid(
    found: Iterable[Detection], smallest: float, width: int, height: int
) -> list[Detection]:
    """Drops faces below the size searched for, and boxes or scores that are not finite.

    Networks report faces of every size; cascades search only for the requested sizes.

    Args:
      found: what a network reports.
      smallest: as for `Detector.detect`.
      width: of the photo, pixels.
      height: of the photo, pixels.
    """
    least = smallest * min(width, height)
    return [
        each
        for each in found
        if math.isfinite(sum(each.box.sides) + each.box.width + each.box.height + each.score)
        and max(each.box.width, each.box.height) >= least
    ]
