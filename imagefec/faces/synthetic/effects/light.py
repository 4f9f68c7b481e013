"""Lighting: one lamp from a direction, with a shadow side and a colour temperature."""

import dataclasses

import cv2
import numpy as np

_FIELD_PX = 52  # light is soft, so a quarter of the canvas's resolution is enough
_WRAP = 0.3  # how far light goes round the head: a soft edge of the shadow
_LAMP = 1.45  # brightness of a lamp, so that the mean of a face stays about the same
WARM = np.array([1.0, -0.1, -1.0])  # change of R, G, B per unit of warmth


@dataclasses.dataclass(frozen=True)
class Light:
    """A lamp.

    Attributes:
      direction: from the head to the lamp, [x, y, z] of unit length: right, down, to the camera.
      strength: share of the light that comes from the lamp, 0 to 1; the rest has no direction.
      warmth: -1 blue to 1 orange.
    """

    direction: tuple[float, float, float] = (0.0, 0.0, 1.0)
    strength: float = 0.0
    warmth: float = 0.0


def sample_light(rng: np.random.Generator, hard: bool) -> Light:
    """Samples a lamp: strength to 0.6 from the front; hard 0.6 to 0.85, from the side or below."""
    angle = rng.uniform(0, 2 * np.pi) if hard else rng.uniform(-np.pi, 0)  # above
    front = rng.uniform(0.05, 0.35) if hard else rng.uniform(0.35, 0.9)
    side = np.sqrt(1 - front**2)
    strength = rng.uniform(0.6, 0.85) if hard else rng.uniform(0, 0.6)
    warmth = rng.choice([-1, 1]) * (rng.uniform(0.2, 0.35) if hard else rng.uniform(0, 0.2))
    direction = (float(side * np.cos(angle)), float(side * np.sin(angle)), float(front))
    return Light(direction, float(strength), float(warmth))


def shine(image: np.ndarray, light: Light, centre: tuple[float, float], unit_px: float) -> None:
    """Lights a head, as if it were a ball, in place.

    Args:
      image: uint8 RGB [h, w, 3].
      light: the lamp.
      centre: pixel of the head's (0, 0).
      unit_px: pixels per head unit.
    """
    if light == Light():
        return
    height, width = image.shape[:2]
    scale = np.array([width, height]) / _FIELD_PX
    columns = ((np.arange(_FIELD_PX) + 0.5) * scale[0] - centre[0]) / unit_px / 0.95
    rows = ((np.arange(_FIELD_PX) + 0.5) * scale[1] - centre[1]) / unit_px / 1.2
    x, y = np.meshgrid(columns, rows)
    radius = np.maximum(np.hypot(x, y), 1)  # outside of the ball: as on its rim
    x, y = x / radius, y / radius
    z = np.sqrt((1 - x**2 - y**2).clip(0))
    lamp = np.stack([x, y, z], -1) @ np.array(light.direction)
    lamp = ((lamp + _WRAP) / (1 + _WRAP)).clip(0)
    field = 1 - light.strength + light.strength * lamp * _LAMP
    tinted = field[..., None] * (1 + light.warmth * WARM)
    enlarged = cv2.resize(
        (tinted * 120).clip(0, 255).astype(np.uint8),
        (width, height),
        interpolation=cv2.INTER_LINEAR,
    )
    cv2.multiply(image, enlarged, dst=image, scale=1 / 120)
