"""Random changes of the colours of faces: saturation, hue, gains of the channels, grey."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

_LUMA = np.array([0.299, 0.587, 0.114])
_TO_YIQ = np.array([_LUMA, [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])
_GREY = np.tile(_LUMA, (3, 1))  # RGB -> its luma in each channel
# Turns the chroma by a quarter in the plane of I and Q, and drops the luma.
_QUARTER_TURN = np.linalg.inv(_TO_YIQ) @ np.array([[0, 0, 0], [0, 0, -1], [0, 1, 0]]) @ _TO_YIQ


class Colours(NamedTuple):
    """How the colours of each of n images change; `recolour` applies it."""

    saturation: jnp.ndarray  # float32 [n], factor on the difference from grey; 0 gives grey
    hue: jnp.ndarray  # float32 [n], radians by which the hue turns
    gains: jnp.ndarray  # float32 [n, 3], factor on each channel


def sample_colours(
    key: jax.Array, n: int, saturation: float, hue: float, channel_gain: float, grey: float
) -> Colours:
    """Samples a change of the colours for each of n images.

    Args:
      key: JAX PRNG key.
      n: number of images.
      saturation: factors are uniform in 1 - saturation to 1 + saturation.
      hue: turns are uniform in -hue to hue, in degrees.
      channel_gain: factors are uniform in 1 - channel_gain to 1 + channel_gain.
      grey: probability of grey.

    Returns:
      Colours of arrays [n] and [n, 3].
    """
    keys = jax.random.split(key, 4)
    factors = jax.random.uniform(keys[0], (n,), minval=1 - saturation, maxval=1 + saturation)
    return Colours(
        saturation=jnp.where(jax.random.bernoulli(keys[1], float(grey), (n,)), 0.0, factors),
        hue=jnp.deg2rad(jax.random.uniform(keys[2], (n,), minval=-hue, maxval=hue)),
        gains=jax.random.uniform(keys[3], (n, 3), minval=1 - channel_gain, maxval=1 + channel_gain),
    )


def recolour(values: jnp.ndarray, colours: Colours) -> jnp.ndarray:
    """Applies one matrix per face to its pixels: gains, then hue and saturation in YIQ.

    Args:
      values: float32 [n, h, w, 3], RGB.
      colours: of n images.

    Returns:
      float32 [n, h, w, 3], not clipped. Hue and saturation leave the luma of a pixel unchanged. A
      face without saturation is grey, whatever its gains.
    """
    saturation, hue = colours.saturation[:, None, None], colours.hue[:, None, None]
    turned = jnp.cos(hue) * (np.eye(3) - _GREY) + jnp.sin(hue) * _QUARTER_TURN
    matrices = ((_GREY + saturation * turned) * colours.gains[:, None, :]).astype(jnp.float32)
    # Not a matrix product, which is slow with three columns and less precise on GPU and TPU.
    red, green, blue = (
        values[..., channel : channel + 1] * matrices[:, None, None, :, channel]
        for channel in range(3)
    )
    return red + green + blue
