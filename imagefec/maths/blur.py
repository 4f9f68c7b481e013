"""Random Gaussian blur of faces: one matrix per axis and face, as in augment.py."""

import jax
import jax.numpy as jnp

_SHARP_PX = 1e-3  # with this sigma the matrix is the identity, exactly


def sample_sigmas(key: jax.Array, n: int, probability: float, sigma_px: float) -> jnp.ndarray:
    """Samples the blur of each of n images.

    Args:
      key: JAX PRNG key.
      n: number of images.
      probability: share of the images that are blurred.
      sigma_px: their sigmas are uniform in 0 to sigma_px, in pixels.

    Returns:
      float32 [n], sigmas in pixels; 0 for images that stay sharp.
    """
    keys = jax.random.split(key)
    sigmas = jax.random.uniform(keys[0], (n,), maxval=sigma_px)
    return jnp.where(jax.random.bernoulli(keys[1], float(probability), (n,)), sigmas, 0.0)


def gaussian_blur(values: jnp.ndarray, sigmas: jnp.ndarray) -> jnp.ndarray:
    """Blurs each image by its own Gaussian.

    Args:
      values: float32 [n, h, w, 3].
      sigmas: float32 [n], in pixels; 0 leaves an image exactly as it is.

    Returns:
      float32 [n, h, w, 3]. Beyond the border there is nothing: the weights of the pixels inside
      are scaled to a sum of 1.
    """
    exact = jax.lax.Precision.HIGHEST
    rows, columns = (_kernel(size, sigmas) for size in values.shape[1:3])
    values = jnp.einsum("nir,nrwc->niwc", rows, values, precision=exact)
    return jnp.einsum("njw,niwc->nijc", columns, values, precision=exact)


def _kernel(size: int, sigmas: jnp.ndarray) -> jnp.ndarray:
    """Weights [n, size (out), size (in)]."""
    px = jnp.arange(size, dtype=jnp.float32)
    sigma = jnp.maximum(sigmas, _SHARP_PX)[:, None, None]
    weights = jnp.exp(-0.5 * jnp.square((px[:, None] - px) / sigma))
    return weights / jnp.sum(weights, axis=2, keepdims=True)
