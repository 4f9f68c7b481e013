"""Random augmentation of faces on any device; its Trax layer is in model/.

Crop, resize and flip are linear and separable. Each image gets one matrix for its rows and one for
its columns, and two batched matrix products apply them: fast on CPU, GPU and TPU. Rotation, scale
and translation are not separable; with them, affine.py resamples crop and flip as well. The other
options are in recolour.py, blur.py and cutout.py.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from imagefec.maths import affine, recolour
from imagefec.maths import blur as blurring
from imagefec.maths import cutout as squares

# The first four options split the key into 6. Each later one folds its own number into the key, so
# that it changes no sample of the others.
_MOTION, _BLUR, _COLOURS, _CUTOUT = 6, 7, 8, 9
_HIGHEST = {
    **dict.fromkeys(("flip", "blur", "grey", "cutout_size"), 1.0),
    **dict.fromkeys(("brightness", "contrast", "saturation", "channel_gain"), 0.99),
    **dict.fromkeys(("scale", "translation"), 0.5),
    **dict.fromkeys(("rotation", "hue"), 180.0),
    **{"crop": 0.45, "blur_sigma": 16.0, "cutout": 16},
}


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
    *,
    rotation: float = 0.0,
    scale: float = 0.0,
    translation: float = 0.0,
    blur: float = 0.0,
    blur_sigma: float = 1.5,
    saturation: float = 0.0,
    hue: float = 0.0,
    channel_gain: float = 0.0,
    grey: float = 0.0,
    cutout: int = 0,
    cutout_size: float = 0.3,
) -> jnp.ndarray:
    """Crops each face at random and resizes it back, mirrors some, varies brightness and contrast.

    The options after contrast are off by default. Their order is rotation, scale and translation
    (in one resampling with crop and flip), blur, colours, contrast, brightness, cutout. Turning one
    of these groups on changes no sample of the others.

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
      rotation: each face is rotated by an angle uniform in -rotation to rotation, in degrees; in
        [0, 180]. Rotation, scale and translation repeat the image's border outwards.
      scale: each face is magnified by a factor uniform in 1 - scale to 1 + scale; in [0, 0.5].
      translation: each face is shifted by a share of its width and one of its height, both uniform
        in -translation to translation; in [0, 0.5].
      blur: probability of a Gaussian blur, in [0, 1].
      blur_sigma: its sigma is uniform in 0 to blur_sigma, in pixels; in [0, 16].
      saturation: each face's differences from grey are multiplied by a factor uniform in
        1 - saturation to 1 + saturation; in [0, 1).
      hue: each face's hues are turned by an angle uniform in -hue to hue, in degrees; in [0, 180].
      channel_gain: each channel is multiplied by its own factor, uniform in 1 - channel_gain to
        1 + channel_gain, as under light of another colour; in [0, 1).
      grey: probability of losing all colour, in [0, 1].
      cutout: number of grey squares that hide parts of each face, 0 to 16.
      cutout_size: their side as a share of the face's, in [0, 1].

    Returns:
      float32 [n, h, w, 3], values clipped to 0..255 as by a camera; equal to faces if all ranges
      are 0.

    Raises:
      ValueError: faces is not [n, h, w, 3] or a range is out of bounds.
    """
    _check(rotation=rotation, scale=scale, translation=translation, cutout=cutout)
    _check(blur=blur, blur_sigma=blur_sigma, grey=grey, cutout_size=cutout_size)
    _check(saturation=saturation, hue=hue, channel_gain=channel_gain)
    n = faces.shape[0]
    sampled = sample_augmentation(key, n, crop, flip, brightness, contrast)
    _check_shape(faces)
    if rotation or scale or translation:
        motion_key = jax.random.fold_in(key, _MOTION)
        motion = affine.sample_motion(motion_key, n, rotation, scale, translation)
        values = affine.resample(faces, *sampled[:4], motion)
    else:
        values = _cropped(faces, sampled)
    if blur and blur_sigma:
        sigmas = blurring.sample_sigmas(jax.random.fold_in(key, _BLUR), n, blur, blur_sigma)
        values = blurring.gaussian_blur(values, sigmas)
    if saturation or hue or channel_gain or grey:
        colour_key = jax.random.fold_in(key, _COLOURS)
        colours = recolour.sample_colours(colour_key, n, saturation, hue, channel_gain, grey)
        values = recolour.recolour(values, colours)
    values = jnp.clip(_toned(values, sampled), 0.0, 255.0)
    if cutout:
        centres = squares.sample_squares(jax.random.fold_in(key, _CUTOUT), n, cutout)
        values = squares.cut_out(values, centres, cutout_size)
    return values


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
    _check(crop=crop, flip=flip, brightness=brightness, contrast=contrast)
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
    _check_shape(faces)
    return jnp.clip(_toned(_cropped(faces, augmentation), augmentation), 0.0, 255.0)


def _cropped(faces: jnp.ndarray, augmentation: Augmentation) -> jnp.ndarray:
    height, width = faces.shape[1:3]
    side, flip = augmentation.side, augmentation.flip
    rows = _interpolation(height, side, augmentation.top, jnp.zeros_like(flip))
    columns = _interpolation(width, side, augmentation.left, flip)
    # GPUs and TPUs would otherwise round the factors of a float32 product to 10 or 7 bits.
    exact = jax.lax.Precision.HIGHEST
    values = jnp.einsum("nir,nrwc->niwc", rows, faces.astype(jnp.float32), precision=exact)
    return jnp.einsum("njw,niwc->nijc", columns, values, precision=exact)


def _toned(values: jnp.ndarray, augmentation: Augmentation) -> jnp.ndarray:
    """Contrast, then brightness."""
    mean = jnp.mean(values, axis=(1, 2, 3), keepdims=True)
    contrast = augmentation.contrast[:, None, None, None]
    brightness = augmentation.brightness[:, None, None, None]
    # In this form a contrast of exactly 1 cancels the mean without a rounding error.
    return (values * contrast + mean * (1 - contrast)) * brightness


def _check_shape(faces: jnp.ndarray) -> None:
    if faces.ndim != 4 or faces.shape[-1] != 3:
        raise ValueError(f"faces must be [n, h, w, 3], found {faces.shape}")


def _check(**values: float) -> None:
    """Refuses a value outside 0 to the highest, by its name."""
    for name, value in values.items():
        if not 0 <= value <= _HIGHEST[name]:
            raise ValueError(f"{name} must be in 0..{_HIGHEST[name]}, found {value}")


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
