"""Augmentation of the first release, word for word; later versions must equal it bit for bit."""

import jax
import jax.numpy as jnp


def augment_faces(key, faces, crop=0.15, flip=0.5, brightness=0.1, contrast=0.1):
    n, height, width, _ = faces.shape
    keys = jax.random.split(key, 6)
    side = jnp.sqrt(1.0 - jax.random.uniform(keys[0], (n,), maxval=2.0 * crop))
    top = jax.random.uniform(keys[1], (n,))
    left = jax.random.uniform(keys[2], (n,))
    mirrored = jax.random.bernoulli(keys[3], float(flip), (n,))
    factor = jax.random.uniform(keys[4], (n,), minval=1 - brightness, maxval=1 + brightness)
    slope = jax.random.uniform(keys[5], (n,), minval=1 - contrast, maxval=1 + contrast)
    rows = _interpolation(height, side, top, jnp.zeros_like(mirrored))
    columns = _interpolation(width, side, left, mirrored)
    exact = jax.lax.Precision.HIGHEST
    values = jnp.einsum("nir,nrwc->niwc", rows, faces.astype(jnp.float32), precision=exact)
    values = jnp.einsum("njw,niwc->nijc", columns, values, precision=exact)
    mean = jnp.mean(values, axis=(1, 2, 3), keepdims=True)
    slope, factor = slope[:, None, None, None], factor[:, None, None, None]
    values = (values * slope + mean * (1 - slope)) * factor
    return jnp.clip(values, 0.0, 255.0)


def _interpolation(size, side, position, flip):
    offset_px = position * (1.0 - side) * size
    centres = jnp.arange(size, dtype=jnp.float32) + 0.5
    where_px = offset_px[:, None] + side[:, None] * centres - 0.5
    where_px = jnp.clip(where_px, 0.0, size - 1.0)
    where_px = jnp.where(flip[:, None], where_px[:, ::-1], where_px)
    return jnp.maximum(
        0.0, 1.0 - jnp.abs(where_px[:, :, None] - jnp.arange(size, dtype=jnp.float32))
    )
