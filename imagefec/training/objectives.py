"""The losses of maths.losses as Trax layers over a batch of triplets; no optimiser, no data."""

import jax.numpy as jnp

from imagefec import compat  # noqa: F401  (before trax: it quiets its import and mends it)
from imagefec.maths import losses

from trax import layers as tl  # isort: skip


def TripletLoss(margin: float = 0.1, margins_by_type: tuple[float, float, float] | None = None,
                distance: str = "l2") -> tl.Layer:
    """Trax layer: mean over the batch of the both-anchor triplet hinge.

    It takes (embeddings, types): float32 [3 * batch, dim], each triplet's (alike, alike, odd) in turn, and
    int8 [batch], 0 one-class, 1 two-class, 2 three-class.

    Args:
      margin: gap asked for between distances.
      margins_by_type: one margin for each type of triplet instead, as in Vemulapalli & Agarwala 2019.
      distance: "l2" or "squared_l2".

    Raises:
      ValueError: the distance is unknown.
    """
    _check(distance)

    def loss(embeddings: jnp.ndarray, types: jnp.ndarray) -> jnp.ndarray:
        asked = margin if margins_by_type is None else jnp.asarray(margins_by_type)[types]
        return jnp.mean(losses.odd_one_out_hinge(as_triplets(embeddings), asked, distance))
    return tl.Fn("TripletLoss", loss)


def ChoiceLoss(temperature: float = 0.05, distance: str = "squared_l2") -> tl.Layer:
    """Trax layer: mean over the batch of the odd-one-out cross-entropy; takes what TripletLoss takes.

    Args:
      temperature: distance that makes a pair e times less likely to be found alike.
      distance: "l2" or "squared_l2".

    Raises:
      ValueError: the distance is unknown.
    """
    _check(distance)

    def loss(embeddings: jnp.ndarray, types: jnp.ndarray) -> jnp.ndarray:
        del types
        return jnp.mean(losses.odd_one_out_cross_entropy(as_triplets(embeddings), temperature, distance))
    return tl.Fn("ChoiceLoss", loss)


def as_triplets(embeddings: jnp.ndarray) -> jnp.ndarray:
    """[3 * batch, dim] -> [batch, 3, dim]."""
    return embeddings.reshape(-1, 3, embeddings.shape[-1])


def _check(distance: str) -> None:
    if distance not in losses.DISTANCES:
        raise ValueError(f"distance must be one of {', '.join(losses.DISTANCES)}; found {distance!r}")
