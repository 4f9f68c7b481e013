"""Face boxes: growing, clipping, squaring and comparing them. No photos and no detectors."""

from dataclasses import dataclass

GROWTH = 0.15  # in total per axis: 7.5 % of the box on each side


@dataclass(frozen=True)
class Box:
    """A face's box in FEC's column order: fractions of the image, or pixels where documented.

    Values are not checked: the csv reader refuses bad boxes and names their line.
    """

    left: float
    right: float
    top: float
    bottom: float

    @property
    def width(self) -> float:
        """Horizontal extent, in the box's units."""
        return self.right - self.left

    @property
    def height(self) -> float:
        """Vertical extent, in the box's units."""
        return self.bottom - self.top

    @property
    def centre(self) -> tuple[float, float]:
        """The centre as (column, row)."""
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2

    @property
    def sides(self) -> tuple[float, float, float, float]:
        """(left, right, top, bottom), the order of FEC's csv columns."""
        return self.left, self.right, self.top, self.bottom


def grow(box: Box, fraction: float = GROWTH) -> Box:
    """Adds `fraction` of the box's own width and height, half of it on each side; any units.

    Example:
      >>> grow(Box(left=100, right=200, top=100, bottom=300), fraction=0.1)
      Box(left=95.0, right=205.0, top=90.0, bottom=310.0)
    """
    dx, dy = box.width * fraction / 2, box.height * fraction / 2
    return Box(box.left - dx, box.right + dx, box.top - dy, box.bottom + dy)


def to_pixels(box: Box, width: int, height: int) -> Box:
    """Converts fractions of an image to pixels, unrounded."""
    return Box(box.left * width, box.right * width, box.top * height, box.bottom * height)


def to_fractions(box: Box, width: int, height: int) -> Box:
    """Converts pixels of an image to fractions of it."""
    return Box(box.left / width, box.right / width, box.top / height, box.bottom / height)


def clip(box: Box, width: float, height: float) -> Box:
    """Clips a box to the image; a box completely outside becomes an empty one on the border.

    Args:
      box: in the units of `width` and `height` (pixels; or fractions with width = height = 1).
      width: of the image.
      height: of the image.
    """
    return Box(
        min(max(box.left, 0), width),
        min(max(box.right, 0), width),
        min(max(box.top, 0), height),
        min(max(box.bottom, 0), height),
    )


def square(box: Box, width: float, height: float) -> Box:
    """Extends the shorter side about the centre, and shifts the result to stay inside the image.

    Where the image is narrower (or lower) than the box's longer side, no such square exists. The
    box then spans the image on that axis and keeps its longer side on the other.

    Args:
      box: pixels, inside the image (`clip` first).
      width: of the image, pixels.
      height: of the image, pixels.

    Returns:
      Box in pixels that lies inside the image and contains `box`.
    """
    side = max(box.width, box.height)
    left, right = _span(box.left, box.right, side, width)
    top, bottom = _span(box.top, box.bottom, side, height)
    return Box(left, right, top, bottom)


def whole_pixels(box: Box, width: int, height: int) -> Box:
    """Rounds a box inside the image to integer pixels; equal sides stay equal, each 1 or more."""
    left, right = _integer_span(box.left, box.width, width)
    top, bottom = _integer_span(box.top, box.height, height)
    return Box(left, right, top, bottom)


def iou(a: Box, b: Box) -> float:
    """Intersection over union of two boxes in the same units, in [0, 1]; 0 where both are empty."""
    width = min(a.right, b.right) - max(a.left, b.left)
    height = min(a.bottom, b.bottom) - max(a.top, b.top)
    intersection = max(width, 0) * max(height, 0)
    union = a.width * a.height + b.width * b.height - intersection
    # Rounding may leave the quotient of two equal boxes slightly above 1.
    return min(float(intersection / union), 1.0) if union > 0 else 0.0


def _span(start: float, stop: float, side: float, limit: float) -> tuple[float, float]:
    if stop - start >= side:  # the longer axis stays unchanged, to the last bit
        return start, stop
    side = min(side, limit)
    low = min(max((start + stop - side) / 2, 0), limit - side)
    return low, low + side


def _integer_span(start: float, side: float, limit: int) -> tuple[int, int]:
    # Half a pixel always rounds up: Python's round() would make equal sides differ by parity.
    side = min(max(int(side + 0.5), 1), limit)
    low = min(max(int(start + 0.5), 0), limit - side)
    return low, low + side
