"""Renders a photo of synthetic heads: background, pose, light, occlusion, camera, face boxes."""

import cv2
import numpy as np

from imagefec.faces.synthetic.heads.brush import CENTRE, UNIT_PX
from imagefec.faces.synthetic.heads.expressions import CONTROLS
from imagefec.faces.synthetic.heads.head import render_head
from imagefec.faces.synthetic.heads.people import SyntheticPerson
from imagefec.faces.synthetic.variations import NOTHING, Variations
from imagefec.maths.geometry import Box

CELL_PX = 216  # width and height of one head's part of a photo
ROLL = 4.0  # default standard deviation of a head's roll, degrees


def render_photo(
    rng: np.random.Generator,
    heads: list[tuple[SyntheticPerson, np.ndarray]],
    roll: float = ROLL,
    variations: Variations = NOTHING,
) -> tuple[np.ndarray, list[Box]]:
    """Renders one photo.

    Args:
      rng: source of randomness for everything but identity and expression.
      heads: (person, expression float32 [controls]) from left to right.
      roll: standard deviation of the angle by which a head leans to a shoulder, degrees.
      variations: the aspects of the world, with random numbers of their own.

    Returns:
      uint8 RGB [h, w, 3] and one face box per head, in fractions of the photo: from hairline to
      chin and from cheek to cheek, as loose as FEC's.
    """
    height, width = CELL_PX, int(CELL_PX * (0.16 + 0.84 * len(heads)))
    photo = _background(rng, height, width)
    boxes = []
    step = width / len(heads)
    for i, (person, expression) in enumerate(heads):
        middle = (i + 0.5) * step, height * 0.5
        box = _place(rng, photo, person, expression, middle, roll, variations)
        boxes.append(variations.box(box))
    return variations.photo(_camera(rng, photo)), boxes


def encode_jpeg(
    rng: np.random.Generator, photo: np.ndarray, variations: Variations = NOTHING
) -> bytes:
    """Encodes a uint8 RGB photo as a JPEG of quality 82 to 95, or of the world's."""
    quality = variations.jpeg_quality(int(rng.integers(82, 96)))
    done, data = cv2.imencode(".jpg", photo[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise RuntimeError("OpenCV could not encode a JPEG; is it built with libjpeg?")
    return data.tobytes()


def _background(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    corners = rng.uniform(30, 225, (2, 2, 3)).astype(np.float32)
    photo = cv2.resize(corners, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.uint8)
    for _ in range(rng.integers(2, 7)):
        colour = tuple(float(v) for v in rng.uniform(20, 235, 3))
        x, y = rng.integers(0, width), rng.integers(0, height)
        rx, ry = (int(v) for v in rng.integers(8, 90, 2))
        if rng.random() < 0.5:
            cv2.rectangle(photo, (int(x), int(y)), (int(x) + rx, int(y) + ry), colour, -1)
        else:
            cv2.ellipse(
                photo, (int(x), int(y)), (rx, ry), float(rng.uniform(0, 180)), 0, 360, colour, -1
            )
    return cv2.blur(photo, (int(rng.integers(3, 14)),) * 2)


def _place(
    rng: np.random.Generator,
    photo: np.ndarray,
    person: SyntheticPerson,
    expression: np.ndarray,
    middle: tuple[float, float],
    roll_deviation: float,
    variations: Variations,
) -> Box:
    """Puts one head into the photo and returns its box in fractions."""
    turn = rng.normal(0, 0.02, 2).clip(-0.06, 0.06)
    image, mask = render_head(
        person, expression, (turn[0], turn[1]), variations.head(person, expression)
    )
    _light(rng, image)
    variations.shine(image)
    scale, roll = rng.uniform(0.80, 1.02), rng.normal(0, roll_deviation)
    at = np.array(middle) + rng.normal(0, 5, 2)
    matrix = cv2.getRotationMatrix2D(CENTRE, roll, scale)
    matrix[:, 2] = matrix[:, 2] + (at - CENTRE)
    height, width = photo.shape[:2]
    mask = cv2.warpAffine(mask, matrix, (width, height), flags=cv2.INTER_LINEAR)
    image = cv2.warpAffine(
        image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    cv2.copyTo(image, mask, photo)  # hard edges where the mask is 0; the lens blur softens them
    if rng.random() < 0.05:
        _occlude(rng, photo, at, scale)
    half_width = person.face_width * UNIT_PX * scale * rng.uniform(0.96, 1.04)
    top, bottom = (-0.80, 1.02 + 0.13 * float(expression[CONTROLS.index("jaw_drop")]))
    top, bottom = (v * UNIT_PX * scale * rng.uniform(0.98, 1.03) for v in (top, bottom))
    lean = -np.sin(np.radians(-roll))
    left, right = at[0] - half_width, at[0] + half_width
    shift = lean * 0.1 * UNIT_PX * scale
    return Box(
        *(
            float(np.clip(v, 0, 1))
            for v in (
                (left + shift) / width,
                (right + shift) / width,
                (at[1] + top) / height,
                (at[1] + bottom) / height,
            )
        )
    )


def _light(rng: np.random.Generator, image: np.ndarray) -> None:
    """Lights the head from one side: a linear ramp over its canvas."""
    ramp = 1 + rng.uniform(-0.22, 0.22, 2) @ np.array([[-1, 1, -1, 1], [-1, -1, 1, 1]])
    field = cv2.resize(
        (ramp.reshape(2, 2) * 150).clip(0, 255).astype(np.uint8),
        image.shape[1::-1],
        interpolation=cv2.INTER_LINEAR,
    )
    cv2.multiply(image, cv2.merge([field] * 3), dst=image, scale=1 / 150)


def _occlude(rng: np.random.Generator, photo: np.ndarray, at: np.ndarray, scale: float) -> None:
    """Covers part of the face's rim, as a hand or microphone does; the middle stays visible."""
    angle = rng.uniform(0, 2 * np.pi)
    radius = 0.86 * UNIT_PX * scale
    centre = (at + radius * np.array([np.cos(angle), np.sin(angle)])).astype(int)
    axes = tuple(int(v) for v in rng.uniform(14, 30, 2))
    cv2.ellipse(
        photo,
        tuple(int(v) for v in centre),
        axes,
        float(np.degrees(angle)),
        0,
        360,
        tuple(float(v) for v in rng.uniform(20, 220, 3)),
        -1,
        cv2.LINE_AA,
    )


def _camera(rng: np.random.Generator, photo: np.ndarray) -> np.ndarray:
    """Lens blur, exposure with a colour cast, and sensor noise."""
    photo = cv2.GaussianBlur(photo, (0, 0), float(rng.uniform(0.45, 1.1)))
    gain = rng.uniform(0.8, 1.15) * rng.uniform(0.95, 1.05, 3)
    noise = np.empty(photo.shape, np.int16)
    cv2.setRNGSeed(int(rng.integers(2**31 - 1)))
    cv2.randn(noise, np.zeros(3), np.full(3, rng.uniform(1, 5)))
    levels = (np.arange(256)[:, None] * gain + rng.uniform(-8, 8)).clip(0, 255).astype(np.uint8)
    exposed = cv2.LUT(photo, levels.reshape(1, 256, 3))
    return cv2.add(exposed, noise, dtype=cv2.CV_8U)
