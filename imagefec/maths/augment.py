"""Random crop, flip, brightness and contrast of faces on any device; its Trax layer is in model/.

Crop, resize and flip are linear and separable. Each image gets one matrix for its rows and one for
its columns, and two batched matrix products apply them: fast on CPU, GPU and TPU.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class Augmentation(NamedTuple):
    """The parameters sampled for each of n images; `apply_augmentation` applies them."""

    side: jnp.ndarray  # float32 [n], side of the crop as a fraction of the image's, in (0, 1]
    top: jnp.ndarray  # float32 [n], row where the crop starts, 0 (topmost) to 1 (lowest possible)
    left: jnp.ndarray  # float32 [n], column where the crop starts, likewise
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
    """Crops each face at random and resizes it back, mirrors some, varies brightness and contrast.

    Args:
      key: JAX PRNG key.
      faces: uint8 or float32 [n, h, w, 3], values 0..255.
      crop: mean share of the area that is cropped away, in [0, 0.45]. The share is uniform in
        [0, 2 crop] and the position is uniform; the crop keeps the image's aspect ratio. 0 crops
        nothing.
      flip: probability of mirroring left to right, in [0, 1].
      brightness: each face is multiplied by a factor uniform in 1 - brightness to 1 + brightness;
        in [0, 1). (A factor, as in torchvision, not an offset as in TensorFlow.)
      contrast: each face's differences from its own mean are multiplied by a factor uniform in
        1 - contrast to 1 + contrast; in [0, 1).

    Returns:
      float32 [n, h, w, 3], values clipped to 0..255 as by a camera; equal to faces if all ranges
      are 0.

    Raises:
      ValueError: faces is not [n, h, w, 3] or a range is out of bounds.
    """
    augmentation = sample_augmentation(key, faces.shape[0], crop, flip, brightness, contrast)
    return apply_augmentation(faces, augmentation)


def sample_augmentation(
    key: jax.Array,
    n: int,
    crop: float = 0.15,
    flip: float = 0.5,
    brightness: float = 0.1,
    contrast: float = 0.1,
) -> Augmentation:
    """Samples an augmentation for each of n images.

    Args:
      key: JAX PRNG key.
      n: number of images.
      crop: as for `augment_faces`.
      flip: likewise.
      brightness: likewise.
      contrast: likewise.

    Returns:
      Augmentation of arrays [n].

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
    cropped_area = jax.random.uniform(keys[0], (n,), maxval=2.0 * crop)
    return Augmentation(
        side=jnp.sqrt(1.0 - cropped_area),
        top=jax.random.uniform(keys[1], (n,)),
        left=jax.random.uniform(keys[2], (n,)),
        flip=jax.random.bernoulli(keys[3], float(flip), (n,)),
        brightness=jax.random.uniform(keys[4], (n,), minval=1 - brightness, maxval=1 + brightness),
        contrast=jax.random.uniform(keys[5], (n,), minval=1 - contrast, maxval=1 + contrast),
    )


def apply_augmentation(faces: jnp.ndarray, augmentation: Augmentation) -> jnp.ndarray:
    """Applies sampled parameters: crop, bilinear resize, flip, then contrast, then brightness.

    Args:
      faces: uint8 or float32 [n, h, w, 3], values 0..255.
      augmentation: parameters for n faces.

    Returns:
      float32 [n, h, w, 3], values in 0..255.

    Raises:
      ValueError: faces is not [n, h, w, 3].
    """
    if faces.ndim != 4 or faces.shape[-1] != 3:
        raise ValueError(f"faces must be [n, h, w, 3], found {faces.shape}")
    height, width = faces.shape[1:3]
    side, flip = augmentation.side, augmentation.flip
    rows = _interpolation(height, side, augmentation.top, jnp.zeros_like(flip))
    columns = _interpolation(width, side, augmentation.left, flip)
    # GPUs and TPUs would otherwise round the factors of a float32 product to 10 or 7 bits.
    exact = jax.lax.Precision.HIGHEST
    values = jnp.einsum("nir,nrwc->niwc", rows, faces.astype(jnp.float32), precision=exact)
    values = jnp.einsum("njw,niwc->nijc", columns, values, precision=exact)
    mean = jnp.mean(values, axis=(1, 2, 3), keepdims=True)
    contrast = augmentation.contrast[:, None, None, None]
    brightness = augmentation.brightness[:, None, None, None]
    # In this form a contrast of exactly 1 cancels the mean without a rounding error.
    values = (values * contrast + mean * (1 - contrast)) * brightness
    return jnp.clip(values, 0.0, 255.0)


def _interpolation(
    size: int, side: jnp.ndarray, position: jnp.ndarray, flip: jnp.ndarray
) -> jnp.ndarray:
    """Weights [n, size (out), size (in)] that stretch a window of side x size over the axis."""
    offset_px = position * (1.0 - side) * size
    centres = jnp.arange(size, dtype=jnp.float32) + 0.5
    where_px = offset_px[:, None] + side[:, None] * centres - 0.5
    where_px = jnp.clip(where_px, 0.0, size - 1.0)
    where_px = jnp.where(flip[:, None], where_px[:, ::-1], where_px)
    # The window is only enlarged, so the bilinear kernel is one source pixel wide and needs no
    # antialiasing.
    return jnp.maximum(
        0.0, 1.0 - jnp.abs(where_px[:, :, None] - jnp.arange(size, dtype=jnp.float32))
    )
