"""Blur of a lens that is out of focus, and of a head or camera that moves."""

import cv2
import numpy as np


def sample_blur(rng: np.random.Generator, hard: bool) -> tuple[float, float, float]:
    """Samples the lens's deviation and the length of the motion, pixels, and its angle, degrees.

    Varied: up to 1.6 and 7 px of a face of about 130 px. Hard: 1.6 to 3 or 7 to 14 px.
    """
    lens, length = rng.uniform(0, 1.6), rng.uniform(0, 7)
    if hard and rng.random() < 0.5:
        lens = rng.uniform(1.6, 3)
    elif hard:
        length = rng.uniform(7, 14)
    return float(lens), float(length), float(rng.uniform(0, 180))


def blur(photo: np.ndarray, lens: float, length: float, angle: float) -> np.ndarray:
    """Blurs a photo.

    Args:
      photo: uint8 RGB [h, w, 3].
      lens: standard deviation of the lens's blur, pixels; 0 for none.
      length: of the motion, pixels; below 1.5 for none.
      angle: of the motion, degrees.

    Returns:
      uint8 RGB [h, w, 3].
    """
    if lens > 0.3:
        photo = cv2.GaussianBlur(photo, (0, 0), lens)
    if length >= 1.5:
        photo = cv2.filter2D(photo, -1, motion_kernel(length, angle))
    return photo


def motion_kernel(length: float, angle: float) -> np.ndarray:
    """float32 [k, k], a line of this length and angle whose sum is 1."""
    size = int(np.ceil(length)) | 1
    kernel = np.zeros((size, size), np.uint8)
    half = length / 2 * np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
    ends = [np.round((size // 2 + sign * half) * 16).astype(int) for sign in (-1, 1)]
    cv2.line(kernel, ends[0].tolist(), ends[1].tolist(), 255, 1, cv2.LINE_AA, 4)
    return (kernel / kernel.sum(dtype=float)).astype(np.float32)
