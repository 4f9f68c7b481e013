"""Triplet losses mined inside a batch of labelled identities; distances are in losses.py.

The batches are P x K: P identities with K faces each (data/samplers.py). Any labels work.
"""

import jax
import jax.numpy as jnp

from imagefec.maths.losses import pair_distance


def batch_hard_triplet(
    embeddings: jnp.ndarray, labels: jnp.ndarray, margin: float = 0.2, distance: str = "l2"
) -> jnp.ndarray:
    """Batch-hard triplet loss: each anchor with its farthest positive and its nearest negative.

    Args:
      embeddings: float32 [n, dim], unit length along dim.
      labels: int [n], the identity of each face.
      margin: required gap between distances, unitless, in (0, 2).
      distance: "l2" or "squared_l2".

    Returns:
      float32 [n], one non-negative loss per anchor; 0 for an anchor that has no positive or no
      negative in the batch.

    Raises:
      ValueError: the shapes are not [n, dim] and [n], or the distance is unknown.

    Source: Hermans, Beyer & Leibe 2017, arXiv:1703.07737, section 2 ("batch hard").
    """
    distances, positive, negative = _pairs(embeddings, labels, distance)
    farthest = jnp.max(jnp.where(positive, distances, -jnp.inf), axis=1)
    nearest = jnp.min(jnp.where(negative, distances, jnp.inf), axis=1)
    usable = jnp.isfinite(farthest) & jnp.isfinite(nearest)
    # Two wheres, so that no gradient meets an infinity.
    gap = jnp.where(usable, farthest, 0.0) - jnp.where(usable, nearest, 0.0)
    return jnp.where(usable, jax.nn.relu(gap + margin), 0.0)


def semi_hard_triplet(
    embeddings: jnp.ndarray, labels: jnp.ndarray, margin: float = 0.2, distance: str = "l2"
) -> jnp.ndarray:
    """Semi-hard triplet loss: each positive pair with the nearest negative beyond the positive.

    If all negatives are nearer than the positive, the farthest negative is used. Harder negatives
    would collapse an untrained network to one point.

    Args:
      embeddings: float32 [n, dim], unit length along dim.
      labels: int [n], the identity of each face.
      margin: required gap between distances, unitless, in (0, 2).
      distance: "l2" or "squared_l2".

    Returns:
      float32 [n (anchor), n (positive)], one non-negative loss per positive pair; 0 for a face with
      itself and for two identities, and everywhere if the batch has a single identity. The number
      of positive pairs is `n_positive_pairs(labels)`.

    Raises:
      ValueError: the shapes are not [n, dim] and [n], or the distance is unknown.

    Source: Schroff, Kalenichenko & Philbin 2015, arXiv:1503.03832, section 3.2.
    """
    distances, positive, negative = _pairs(embeddings, labels, distance)
    # [anchor, positive, negative]
    farther = negative[:, None, :] & (distances[:, None, :] > distances[:, :, None])
    nearest_farther = jnp.min(jnp.where(farther, distances[:, None, :], jnp.inf), axis=2)
    farthest = jnp.max(jnp.where(negative, distances, -jnp.inf), axis=1)[:, None]
    semi_hard = jnp.where(jnp.isfinite(nearest_farther), nearest_farther, farthest)
    usable = positive & jnp.isfinite(semi_hard)
    gap = jnp.where(usable, distances, 0.0) - jnp.where(usable, semi_hard, 0.0)
    return jnp.where(usable, jax.nn.relu(gap + margin), 0.0)


def n_positive_pairs(labels: jnp.ndarray) -> jnp.ndarray:
    """Number of ordered pairs (anchor, positive): int scalar, from labels int [n]."""
    return jnp.sum(labels[:, None] == labels[None, :]) - labels.shape[0]


def _pairs(
    embeddings: jnp.ndarray, labels: jnp.ndarray, distance: str
) -> tuple[jnp.ndarray, jnp.ndarray, jnp.ndarray]:
    """(distances, which pairs are positive, which are negative), each [n, n]."""
    if embeddings.ndim != 2 or labels.shape != embeddings.shape[:1]:
        raise ValueError(
            f"embeddings must be [n, dim] and labels [n], found {embeddings.shape} and "
            f"{labels.shape}"
        )
    distances = pair_distance(embeddings[:, None], embeddings[None, :], distance)
    same = labels[:, None] == labels[None, :]
    return distances, same & ~jnp.eye(len(labels), dtype=bool), ~same
