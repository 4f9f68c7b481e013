"""Maps a detector's boxes to those of a dataset: offsets and scale, fitted on pairs of boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from imagefec.maths.geometry import Box

FEWEST_PAIRS = 20  # of which medians are taken


@dataclass(frozen=True)
class BoxMapping:
    """How a dataset's boxes differ from those that a detector finds for the same faces.

    Attributes:
      dx: how far the dataset's box has its centre to the right, in widths of the detector's box.
      dy: how far below, in heights of the detector's box.
      scale: longer side of the dataset's box / longer side of the detector's.
      n: number of faces that it was fitted on.
    """

    dx: float
    dy: float
    scale: float
    n: int

    def apply(self, box: Box) -> Box:
        """The square that the dataset's box of a face would be grown from.

        Args:
          box: that the detector found, in pixels.
        """
        column, row = box.centre
        column, row = column + self.dx * box.width, row + self.dy * box.height
        half = self.scale * max(box.width, box.height) / 2
        return Box(column - half, column + half, row - half, row + half)


def fit_mapping(pairs: Sequence[tuple[Box, Box]]) -> BoxMapping | None:
    """Fits a mapping: the medians, which some boxes of other faces do not move.

    Args:
      pairs: (box that the detector found, box of the dataset) of each face, in pixels.

    Returns:
      The mapping; None if there are fewer than FEWEST_PAIRS.
    """
    if len(pairs) < FEWEST_PAIRS:
        return None
    return BoxMapping(
        dx=round(median((to.centre[0] - box.centre[0]) / box.width for box, to in pairs), 4),
        dy=round(median((to.centre[1] - box.centre[1]) / box.height for box, to in pairs), 4),
        scale=round(
            median(max(to.width, to.height) / max(box.width, box.height) for box, to in pairs), 4
        ),
        n=len(pairs),
    )
