"""A box turns as the pixels do, for every EXIF orientation."""

import numpy as np
import pytest

from imagefec.faces.orientation import turn, turn_box
from imagefec.maths.geometry import Box


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_box_turns_with_its_pixels(orientation):
    pixels = np.zeros((40, 20, 3), np.uint8)
    pixels[4:12, 5:15] = 255  # left 5, right 15, top 4, bottom 12
    turned = turn(pixels, orientation)
    height, width = turned.shape[:2]
    rows, columns = (np.flatnonzero(turned.any(axis=(axis, 2))) for axis in (1, 0))
    expected = (
        columns[0] / width,
        (columns[-1] + 1) / width,
        rows[0] / height,
        (rows[-1] + 1) / height,
    )
    box = turn_box(Box(5 / 20, 15 / 20, 4 / 40, 12 / 40), orientation)
    np.testing.assert_allclose(box.sides, expected)
