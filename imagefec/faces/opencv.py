"""OpenCV's settings that every caller must choose alike: how to resize, and on how many threads."""

import contextlib
from collections.abc import Iterator

import cv2
import numpy as np


def resize(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """Resizes an image: averaged by area if it shrinks, bicubic if it grows; unchanged at its own size.

    INTER_AREA only repeats pixels when it enlarges, and bicubic skips pixels when it shrinks.

    Args:
      image: uint8 [h, w, 3].
      width: of the result, pixels.
      height: of the result, pixels.

    Returns:
      uint8 [height, width, 3].
    """
    if image.shape[:2] == (height, width):
        return image
    shrinks = max(width, height) < max(image.shape[:2])
    method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return cv2.resize(image, (width, height), interpolation=method)


@contextlib.contextmanager
def single_thread() -> Iterator[None]:
    """Keeps OpenCV on one thread meanwhile: a face is too small to share, starting threads costs more."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)
