"""Random crops, flips, brightness and contrast of faces, on any device; no layer, no loading.

Crop, resize and flip are linear and separable, so each image gets one matrix for its rows and one
for its columns, and two batched matrix products do the work: fast on CPU, GPU and TPU alike.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class Draws(NamedTuple):
    """What was drawn for each of n images; `apply_draws` does it to them."""

    side: jnp.ndarray  # float32 [n], side of the crop as a fraction of the image's, in (0, 1]
    top: jnp.ndarray  # float32 [n], where the crop begins, 0 (topmost) to 1 (lowest it can)
    left: jnp.ndarray  # float32 [n], likewise from left to right
    flip: jnp.ndarray  # bool [n], mirrored left to right
    brightness: jnp.ndarray  # float32 [n], factor on every value
    contrast: jnp.ndarray  # float32 [n], factor on the difference from the image's mean


def augment_faces(
    key: jax.Array,
    faces: jnp.ndarray,
    crop: float = 0.15,
    flip: float = 0.5,
    brightness: float = 0.1,
    contrast: float = 0.1,
) -> jnp.ndarray:
    """Crops about 15 % off each face, resizes it back, mirrors half of them, varies brightness and contrast.

    Args:
      key: JAX PRNG key.
      faces: uint8 or float32 [n, h, w, 3], values 0..255.
      crop: mean share of the area that is cut off, in [0, 0.45]; the share is drawn evenly from
        [0, 2 crop] and the position evenly; the crop keeps the image's aspect. 0 cuts nothing.
      flip: probability of mirroring left to right, in [0, 1].
      brightness: each face is multiplied by a factor drawn evenly from 1 - brightness to 1 +
        brightness; in [0, 1). (A factor, as in torchvision, not an offset as in TensorFlow.)
      contrast: each face's differences from its own mean are multiplied by a factor likewise; in
        [0, 1).

    Returns:
      float32 [n, h, w, 3], values clipped to 0..255 as a camera would; equal to faces where all
      ranges are 0.

    Raises:
      ValueError: faces is not [n, h, w, 3] or a range is out of bounds.
    """
    draws = draw(key, faces.shape[0], crop, flip, brightness, contrast)
    return apply_draws(faces, draws)


def draw(
    key: jax.Array,
    n: int,
    crop: float = 0.15,
    flip: float = 0.5,
    brightness: float = 0.1,
    contrast: float = 0.1,
) -> Draws:
    """Draws one augmentation an image; the arguments are augment_faces's, n is the number of images.

    Raises:
      ValueError: a range is out of bounds.
    """
    for name, value, high in (
        ("crop", crop, 0.45),
        ("flip", flip, 1.0),
        ("brightness", brightness, 0.99),
        ("contrast", contrast, 0.99),
    ):
        if not 0 <= value <= high:
            raise ValueError(f"{name} must be in 0..{high}, found {value}")
    keys = jax.random.split(key, 6)
    area_cut = jax.random.uniform(keys[0], (n,), maxval=2.0 * crop)
    return Draws(
        side=jnp.sqrt(1.0 - area_cut),
        top=jax.random.uniform(keys[1], (n,)),
        left=jax.random.uniform(keys[2], (n,)),
        flip=jax.random.bernoulli(keys[3], float(flip), (n,)),
        brightness=jax.random.uniform(keys[4], (n,), minval=1 - brightness, maxval=1 + brightness),
        contrast=jax.random.uniform(keys[5], (n,), minval=1 - contrast, maxval=1 + contrast),
    )


def apply_draws(faces: jnp.ndarray, draws: Draws) -> jnp.ndarray:
    """Does to each face what was drawn for it: crop, bilinear resize, flip, then contrast, then brightness.

    Args:
      faces: uint8 or float32 [n, h, w, 3], values 0..255.
      draws: one draw a face.

    Returns:
      float32 [n, h, w, 3], values in 0..255.

    Raises:
      ValueError: faces is not [n, h, w, 3].
    """
    if faces.ndim != 4 or faces.shape[-1] != 3:
        raise ValueError(f"faces must be [n, h, w, 3], found {faces.shape}")
    height, width = faces.shape[1:3]
    rows = _interpolation(height, draws.side, draws.top, jnp.zeros_like(draws.flip))
    columns = _interpolation(width, draws.side, draws.left, draws.flip)
    # GPUs and TPUs would otherwise round the factors of a float32 product to 10 or 7 bits.
    exact = jax.lax.Precision.HIGHEST
    values = jnp.einsum("nir,nrwc->niwc", rows, faces.astype(jnp.float32), precision=exact)
    values = jnp.einsum("njw,niwc->nijc", columns, values, precision=exact)
    mean = jnp.mean(values, axis=(1, 2, 3), keepdims=True)
    contrast = draws.contrast[:, None, None, None]
    brightness = draws.brightness[:, None, None, None]
    # One expression a value; a contrast of exactly 1 leaves no trace of the mean.
    values = (values * contrast + mean * (1 - contrast)) * brightness
    return jnp.clip(values, 0.0, 255.0)


def _interpolation(
    size: int, side: jnp.ndarray, position: jnp.ndarray, flip: jnp.ndarray
) -> jnp.ndarray:
    """[n, size (out), size (in)] weights that stretch a window of side x size over the whole axis."""
    offset_px = position * (1.0 - side) * size
    centres = jnp.arange(size, dtype=jnp.float32) + 0.5
    where_px = offset_px[:, None] + side[:, None] * centres - 0.5
    where_px = jnp.clip(where_px, 0.0, size - 1.0)
    where_px = jnp.where(flip[:, None], where_px[:, ::-1], where_px)
    # The window only ever grows, so the bilinear tent is one source pixel wide and needs no
    # antialiasing.
    return jnp.maximum(
        0.0, 1.0 - jnp.abs(where_px[:, :, None] - jnp.arange(size, dtype=jnp.float32))
    )
