"""Triplets picked inside a batch of known identities: the hardest, or FaceNet's semi-hard; distances are losses.py's.

A batch is P people with K faces each (imagefec.data.identity.examples.identity_batches draws it);
any labels will do.
"""

import jax
import jax.numpy as jnp

from imagefec.maths.losses import pair_distance


def batch_hard_triplet(
    embeddings: jnp.ndarray, labels: jnp.ndarray, margin: float = 0.2, distance: str = "l2"
) -> jnp.ndarray:
    """Hinge of each face against its farthest face of the same person and its nearest of another.

    Args:
      embeddings: float32 [n, dim], unit length along dim.
      labels: int [n], the person of each face.
      margin: gap asked for, unitless, in (0, 2).
      distance: "l2" or "squared_l2".

    Returns:
      float32 [n], one non-negative loss an anchor; 0 for a face that has no other of its person, or
      none of another person, in the batch.

    Raises:
      ValueError: the shapes are not [n, dim] and [n], or the distance is unknown.

    Source: Hermans, Beyer & Leibe 2017, arXiv:1703.07737, section 2 ("batch hard").
    """
    apart, same, other = _pairs(embeddings, labels, distance)
    farthest = jnp.max(jnp.where(same, apart, -jnp.inf), axis=1)
    nearest = jnp.min(jnp.where(other, apart, jnp.inf), axis=1)
    usable = jnp.isfinite(farthest) & jnp.isfinite(nearest)
    # Two wheres, so that no infinity meets a gradient.
    gap = jnp.where(usable, farthest, 0.0) - jnp.where(usable, nearest, 0.0)
    return jnp.where(usable, jax.nn.relu(gap + margin), 0.0)


def semi_hard_triplet(
    embeddings: jnp.ndarray, labels: jnp.ndarray, margin: float = 0.2, distance: str = "l2"
) -> jnp.ndarray:
    """Hinge of each pair of one person's faces against the nearest other person that is farther off than the pair is wide.

    Where all other people are nearer than that, the farthest of them is taken. Harder ones would
    draw an untrained network to one point.

    Args:
      embeddings: float32 [n, dim], unit length along dim.
      labels: int [n], the person of each face.
      margin: gap asked for, unitless, in (0, 2).
      distance: "l2" or "squared_l2".

    Returns:
      float32 [n, n]: a non-negative loss for the anchor of the row and the positive of the column;
        0 for pairs of two people,
      of a face with itself, and where the batch has one person alone. Their number is
      `n_positive_pairs(labels)`.

    Raises:
      ValueError: as batch_hard_triplet.

    Source: Schroff, Kalenichenko & Philbin 2015, arXiv:1503.03832, section 3.2.
    """
    apart, same, other = _pairs(embeddings, labels, distance)
    # [anchor, positive, negative]
    farther = other[:, None, :] & (apart[:, None, :] > apart[:, :, None])
    nearest_farther = jnp.min(jnp.where(farther, apart[:, None, :], jnp.inf), axis=2)
    farthest = jnp.max(jnp.where(other, apart, -jnp.inf), axis=1)[:, None]
    negative = jnp.where(jnp.isfinite(nearest_farther), nearest_farther, farthest)
    usable = same & jnp.isfinite(negative)
    gap = jnp.where(usable, apart, 0.0) - jnp.where(usable, negative, 0.0)
    return jnp.where(usable, jax.nn.relu(gap + margin), 0.0)


def n_positive_pairs(labels: jnp.ndarray) -> jnp.ndarray:
    """Number of ordered pairs (anchor, positive) of different faces of one person among labels int [n]."""
    return jnp.sum(labels[:, None] == labels[None, :]) - labels.shape[0]


def _pairs(
    embeddings: jnp.ndarray, labels: jnp.ndarray, distance: str
) -> tuple[jnp.ndarray, jnp.ndarray, jnp.ndarray]:
    """[n, n] distances, and which pairs are two faces of one person, which of two people."""
    if embeddings.ndim != 2 or labels.shape != embeddings.shape[:1]:
        raise ValueError(
            f"embeddings must be [n, dim] and labels [n], found {embeddings.shape} and {labels.shape}"
        )
    apart = pair_distance(embeddings[:, None], embeddings[None, :], distance)
    alike = labels[:, None] == labels[None, :]
    return apart, alike & ~jnp.eye(len(labels), dtype=bool), ~alike
