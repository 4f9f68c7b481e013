"""Random rotation, scale and translation of faces, resampled once together with crop and flip."""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class Motion(NamedTuple):
    """How each of n images is moved about the centre of its crop; `resample` applies it."""

    angle: jnp.ndarray  # float32 [n], radians, counter-clockwise as seen
    factor: jnp.ndarray  # float32 [n], magnification, above 0
    right: jnp.ndarray  # float32 [n], shift to the right as a share of the width
    down: jnp.ndarray  # float32 [n], shift downwards as a share of the height


def sample_motion(
    key: jax.Array, n: int, rotation: float, scale: float, translation: float
) -> Motion:
    """Samples a motion for each of n images.

    Args:
      key: JAX PRNG key.
      n: number of images.
      rotation: angles are uniform in -rotation to rotation, in degrees.
      scale: magnifications are uniform in 1 - scale to 1 + scale.
      translation: shifts are uniform in -translation to translation, as shares of the side.

    Returns:
      Motion of arrays [n].
    """
    keys = jax.random.split(key, 4)
    degrees = jax.random.uniform(keys[0], (n,), minval=-rotation, maxval=rotation)
    return Motion(
        angle=jnp.deg2rad(degrees),
        factor=jax.random.uniform(keys[1], (n,), minval=1 - scale, maxval=1 + scale),
        right=jax.random.uniform(keys[2], (n,), minval=-translation, maxval=translation),
        down=jax.random.uniform(keys[3], (n,), minval=-translation, maxval=translation),
    )


def resample(
    faces: jnp.ndarray,
    side: jnp.ndarray,
    top: jnp.ndarray,
    left: jnp.ndarray,
    flip: jnp.ndarray,
    motion: Motion,
) -> jnp.ndarray:
    """Crops each face, magnifies and rotates it about the crop's centre, shifts it and mirrors it.

    The border's pixels are repeated outwards.

    Args:
      faces: uint8 or float32 [n, h, w, 3].
      side: float32 [n], side of the crop as a fraction of the image's, in (0, 1].
      top: float32 [n], where the crop starts, 0 (topmost) to 1 (lowest possible).
      left: float32 [n], likewise.
      flip: bool [n].
      motion: of n images.

    Returns:
      float32 [n, h, w, 3]. Bilinear without antialiasing, so a face should not be shrunk to less
      than half.
    """
    n, height, width, channels = faces.shape
    rows, columns = _source_px(height, width, side, top, left, flip, motion)
    rows = jnp.clip(rows, 0.0, height - 1.0).reshape(n, -1)
    columns = jnp.clip(columns, 0.0, width - 1.0).reshape(n, -1)
    upper, leftmost = jnp.floor(rows), jnp.floor(columns)
    down, along = (rows - upper)[..., None], (columns - leftmost)[..., None]
    first_row, first_column = upper.astype(jnp.int32), leftmost.astype(jnp.int32)
    second_row = jnp.minimum(first_row + 1, height - 1)
    second_column = jnp.minimum(first_column + 1, width - 1)
    pixels = faces.reshape(n, height * width, channels)

    def at(row: jnp.ndarray, column: jnp.ndarray) -> jnp.ndarray:
        chosen = jax.vmap(lambda of_face, index: of_face[index])(pixels, row * width + column)
        return chosen.astype(jnp.float32)

    above = (1 - along) * at(first_row, first_column) + along * at(first_row, second_column)
    below = (1 - along) * at(second_row, first_column) + along * at(second_row, second_column)
    return ((1 - down) * above + down * below).reshape(faces.shape)


def _source_px(
    height: int,
    width: int,
    side: jnp.ndarray,
    top: jnp.ndarray,
    left: jnp.ndarray,
    flip: jnp.ndarray,
    motion: Motion,
) -> tuple[jnp.ndarray, jnp.ndarray]:
    """Row and column in the source of every pixel of the view, each float32 [n, h, w]."""

    def per_face(values: jnp.ndarray) -> jnp.ndarray:
        return values[:, None, None]

    mirror = per_face(jnp.where(flip, -1.0, 1.0))
    # Offsets from the view's centre before the shift, in pixels.
    x = mirror * (jnp.arange(width) + 0.5 - width / 2) - per_face(motion.right * width)
    y = (jnp.arange(height)[:, None] + 0.5 - height / 2) - per_face(motion.down * height)
    step = per_face(side / motion.factor)
    cosine, sine = per_face(jnp.cos(motion.angle)), per_face(jnp.sin(motion.angle))
    centre_row = per_face((top * (1 - side) + side / 2) * height - 0.5)
    centre_column = per_face((left * (1 - side) + side / 2) * width - 0.5)
    return centre_row + step * (sine * x + cosine * y), centre_column + step * (
        cosine * x - sine * y
    )
