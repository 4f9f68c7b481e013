"""Exponential moving average of weights and running statistics, and its names in a checkpoint."""

import os
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from imagefec.model import checkpoint

PREFIX = "average/"  # of the names in model.npz


def moved_average(average: Any, values: Any, decay: float, step: Any) -> Any:
    """The average after a step.

    At the first steps, when the average would consist of the random weights, it moves faster: the
    share of the old average is min(decay, (1 + step) / (10 + step)).

    Args:
      average: arrays in nested tuples, lists and dicts.
      values: the same structure, after the step.
      decay: share of the old average, in (0, 1).
      step: number of the step, from 1.

    Returns:
      The same structure. Arrays that are not of floats are those of values.

    Source: tf.train.ExponentialMovingAverage with num_updates; Polyak & Juditsky 1992,
      doi:10.1137/0330046.
    """
    step = jnp.asarray(step, jnp.float32)
    share = jnp.minimum(decay, (1 + step) / (10 + step))

    def moved(old: Any, new: Any) -> Any:
        return share * old + (1 - share) * new if jnp.issubdtype(new.dtype, jnp.floating) else new

    return jax.tree.map(moved, average, values)


def named_average(network: Any, weights: Any = None, state: Any = None) -> dict[str, np.ndarray]:
    """Names the arrays of an average as those of the network, after PREFIX.

    Args:
      network: an initialised Trax layer.
      weights: averages in its structure; None for the layer's own weights.
      state: likewise.
    """
    named = checkpoint.named_weights(network, weights, state)
    return {f"{PREFIX}{name}": array for name, array in named.items()}


def filled_average(
    network: Any, arrays: dict[str, np.ndarray], source: str | os.PathLike[str]
) -> tuple[Any, Any]:
    """The averages of (weights, state) in the network's structure; the network stays unchanged.

    Args:
      network: an initialised Trax layer.
      arrays: name -> array, as `named_average` returns them; others are ignored.
      source: the file that they come from, for the error's text.

    Raises:
      UserError: as for `checkpoint.set_named_weights`.
    """
    own = network.weights, network.state
    averaged = {
        name.removeprefix(PREFIX): array
        for name, array in arrays.items()
        if name.startswith(PREFIX)
    }
    checkpoint.set_named_weights(network, averaged, source)
    filled = network.weights, network.state
    network.weights, network.state = own
    return filled
