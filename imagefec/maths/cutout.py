"""Cutout: grey squares that hide parts of faces at random."""

import jax
import jax.numpy as jnp

GREY = 127.5  # the middle of 0..255, which ImageFEC's "unit" scaling maps to 0


def sample_squares(key: jax.Array, n: int, count: int) -> jnp.ndarray:
    """Samples where squares are.

    Args:
      key: JAX PRNG key.
      n: number of images.
      count: squares per image.

    Returns:
      float32 [n, count, 2], the centre of each square: row and column as shares of the height and
      the width, uniform in 0..1. A square near the border is partly outside.
    """
    return jax.random.uniform(key, (n, count, 2))


def cut_out(values: jnp.ndarray, centres: jnp.ndarray, size: float) -> jnp.ndarray:
    """Replaces the pixels whose centres are inside a square by grey.

    Args:
      values: float32 [n, h, w, 3].
      centres: as `sample_squares` returns them.
      size: side of a square as a share of the image's sides.

    Returns:
      float32 [n, h, w, 3].

    Source: DeVries & Taylor 2017, arXiv:1708.04552.
    """
    height, width = values.shape[1:3]
    in_rows = jnp.abs((jnp.arange(height) + 0.5) / height - centres[:, :, :1]) < size / 2
    in_columns = jnp.abs((jnp.arange(width) + 0.5) / width - centres[:, :, 1:]) < size / 2
    hidden = jnp.any(in_rows[:, :, :, None] & in_columns[:, :, None, :], axis=1)
    return jnp.where(hidden[..., None], GREY, values)
