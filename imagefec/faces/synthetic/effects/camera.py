"""The camera: exposure, gamma, white balance, noise and vignetting."""

import dataclasses

import cv2
import numpy as np


@dataclasses.dataclass(frozen=True)
class Camera:
    """What a camera does to a photo.

    Attributes:
      stops: exposure, 1 doubles the light.
      gamma: exponent of the levels; below 1 flat and bright, above 1 dark.
      balance: change of the gains of red and blue, relative.
      noise: standard deviation, the same for R, G and B, levels of 255.
      vignette: how much darker the corners are, 0 to 1.
    """

    stops: float = 0.0
    gamma: float = 1.0
    balance: tuple[float, float] = (0.0, 0.0)
    noise: float = 0.0
    vignette: float = 0.0


def sample_camera(rng: np.random.Generator, hard: bool) -> Camera:
    """Samples a camera; each value of the hard world is beyond the varied world's."""
    spread = _outside if hard else _within
    return Camera(
        stops=spread(rng, 0.4, 0.8),
        gamma=float(np.exp(spread(rng, 0.3, 0.55))),
        balance=(spread(rng, 0.1, 0.25), spread(rng, 0.1, 0.25)),
        noise=abs(spread(rng, 10, 20)),
        vignette=abs(spread(rng, 0.35, 0.7)),
    )


def _within(rng: np.random.Generator, varied: float, _hard: float) -> float:
    return float(rng.uniform(-varied, varied))


def _outside(rng: np.random.Generator, varied: float, hard: float) -> float:
    return float(rng.choice([-1, 1]) * rng.uniform(varied, hard))


def expose(rng: np.random.Generator, photo: np.ndarray, camera: Camera) -> np.ndarray:
    """Takes a photo with a camera.

    Args:
      rng: source of the noise.
      photo: uint8 RGB [h, w, 3].
      camera: its settings.

    Returns:
      uint8 RGB [h, w, 3].
    """
    gains = 2**camera.stops * np.array([1 + camera.balance[0], 1, 1 + camera.balance[1]])
    light = (np.arange(256)[:, None] / 255) ** camera.gamma
    levels = np.round(light * gains * 255).clip(0, 255).astype(np.uint8)
    photo = cv2.LUT(photo, levels.reshape(1, 256, 3))
    if camera.vignette:
        photo = cv2.multiply(photo, _corners(photo.shape, camera.vignette), scale=1 / 255)
    if camera.noise:
        noise = np.empty(photo.shape[:2], np.int16)
        cv2.setRNGSeed(int(rng.integers(2**31 - 1)))
        cv2.randn(noise, np.zeros(1), np.full(1, camera.noise))
        photo = cv2.add(photo, cv2.merge([noise] * 3), dtype=cv2.CV_8U)
    return photo


def _corners(shape: tuple[int, ...], vignette: float) -> np.ndarray:
    """uint8 [h, w, 3], 255 in the middle and darker with the square of the distance."""
    y, x = (np.linspace(-1, 1, 33) ** 2,) * 2
    dark = 1 - vignette * (y[:, None] + x) / 2
    small = np.round(dark * 255).astype(np.uint8)
    return cv2.merge([cv2.resize(small, shape[1::-1], interpolation=cv2.INTER_LINEAR)] * 3)
