"""What every face detector shares: what it reports, how it is asked, and the checks of both; no detector lives here."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

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

    `name` and `version` tell results apart that must not be mixed in one folder: `version` changes
      when the
    same photo may give another answer. `min_score` is the least score that `detect` reports.
    """

    name: str
    version: str
    min_score: float

    def detect(self, photo: np.ndarray, smallest: float = SMALLEST) -> list[Detection]:
        """Finds the faces of a photo, best score first.

        Args:
          photo: uint8 [height, width, 3] RGB.
          smallest: side of the smallest face looked for, as a share of the photo's shorter side, in
            (0, 1].

        Raises:
          ValueError: photo is not uint8 [height, width, 3], or smallest not in (0, 1].
        """
        ...


def check_photo(photo: np.ndarray, smallest: float) -> None:
    """Raises ValueError where `detect` would be called wrongly."""
    if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3 or 0 in photo.shape:
        raise ValueError(
            f"photo must be uint8 [height, width, 3], found {photo.dtype} {list(photo.shape)}"
        )
    if not 0 < smallest <= 1:
        raise ValueError(
            f"smallest must be a share of the shorter side in (0, 1], found {smallest}"
        )


def checked_min_score(
    name: str, min_score: float | None, least: float, most: float, default: float | None = None
) -> float:
    """The least score to report: the one asked for, else the detector's default, else the least of its scale.

    Raises:
      UserError: the one asked for is outside the detector's scale.
    """
    if min_score is None:
        return least if default is None else default
    if not least <= min_score <= most:  # NaN is refused too
        raise UserError(
            f"--min_score {min_score}: detector {name} scores from {least:g} to {most:g}; give a number in "
            "there, or leave it out for the default."
        )
    return float(min_score)


def inside_photo(found: Iterable[Detection], width: int, height: int) -> list[Detection]:
    """Clips boxes to the photo, drops what is wholly outside, and puts the best score first."""
    clipped = (Detection(clip(each.box, width, height), each.score) for each in found)
    kept = [each for each in clipped if each.box.width > 0 and each.box.height > 0]
    # Equal scores in a fixed order, whatever order the threads of a cascade found them in.
    return sorted(kept, key=lambda d: (-d.score, -d.box.width, d.box.left, d.box.top))


def of_wanted_size(
    found: Iterable[Detection], smallest: float, width: int, height: int
) -> list[Detection]:
    """Those whose longer side is no smaller than the smallest face looked for; what is not finite is left out.

    For networks, which report every size they know; the cascades look for the wanted sizes only.
    """
    least = smallest * min(width, height)
    return [
        each
        for each in found
        if math.isfinite(
            each.box.width + each.box.height + each.box.left + each.box.top + each.score
        )
        and max(each.box.width, each.box.height) >= least
    ]
