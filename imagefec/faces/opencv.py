"""Settings of OpenCV that every caller must share: how to resize, and on how many threads."""

import contextlib
import threading
from collections.abc import Iterator

import cv2
import numpy as np


def resize(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """Resizes an image: averages by area if it shrinks, else interpolates bicubically.

    INTER_AREA only repeats pixels when it enlarges, and bicubic interpolation skips pixels when it
    shrinks. The longer side decides which of the two it is.

    Args:
      image: uint8 [h, w, 3] or [h, w].
      width: of the result, pixels.
      height: of the result, pixels.

    Returns:
      uint8 [height, width, 3] or [height, width]; the image itself if it has that size.
    """
    if image.shape[:2] == (height, width):
        return image
    shrinks = max(width, height) < max(image.shape[:2])
    method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return cv2.resize(image, (width, height), interpolation=method)


@contextlib.contextmanager
def single_thread() -> Iterator[None]:
    """Limits OpenCV to one thread in the block: for small images, starting threads costs more.

    The limit is the process's. If blocks of several threads overlap, the first sets it and the last
    restores the number from before.
    """
    _single.enter()
    try:
        yield
    finally:
        _single.leave()


class _SingleThread:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._blocks = self._before = 0

    def enter(self) -> None:
        with self._lock:
            if self._blocks == 0:
                self._before = cv2.getNumThreads()
                cv2.setNumThreads(1)
            self._blocks += 1

    def leave(self) -> None:
        with self._lock:
            self._blocks -= 1
            if self._blocks == 0:
                cv2.setNumThreads(self._before)


_single = _SingleThread()
