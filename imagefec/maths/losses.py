"""Losses on embeddings: the triplet hinge, the consistency of two views, and the distances both are made of.

No metric (metrics.py), no training objective that mixes losses (training/objectives.py).
"""

import jax
import jax.numpy as jnp

DISTANCES = ("l2", "squared_l2")


def odd_one_out_hinge(
    embeddings: jnp.ndarray, margin: float | jnp.ndarray = 0.1, distance: str = "l2"
) -> jnp.ndarray:
    """Hinge loss that keeps the alike pair closer than either is to the odd face.

    With d12 the distance of the alike pair: max(0, d12 - d13 + margin) + max(0, d12 - d23 +
      margin).

    Args:
      embeddings: float32 [batch, 3, dim], unit length along dim. Axis 1 is (alike, alike, odd).
      margin: gap asked for between distances, unitless, in (0, 2); one number, or [batch] for one a
        triplet.
      distance: "l2", or "squared_l2" as the FEC paper has it.

    Returns:
      float32 [batch], one non-negative loss a triplet; 0 where both gaps hold. Where all three
      embeddings coincide it is 2 x margin, with a gradient of zero, which is finite but leads
      nowhere.

    Raises:
      ValueError: embeddings is not [batch, 3, dim], margin fits neither shape, or the distance is
        unknown.

    Source: Vemulapalli & Agarwala 2019, arXiv:1811.11283 (two hinges, either alike face as anchor).
    """
    if embeddings.ndim != 3 or embeddings.shape[1] != 3:
        raise ValueError(
            f"embeddings must be [batch, 3, dim] (alike, alike, odd), found {embeddings.shape}"
        )
    if jnp.shape(margin) not in ((), embeddings.shape[:1]):
        raise ValueError(
            f"margin must be one number or [{embeddings.shape[0]}], one a triplet; "
            f"found shape {jnp.shape(margin)}"
        )
    first, second, odd = embeddings[:, 0], embeddings[:, 1], embeddings[:, 2]
    alike = pair_distance(first, second, distance)
    first_gap = jax.nn.relu(alike - pair_distance(first, odd, distance) + margin)
    second_gap = jax.nn.relu(alike - pair_distance(second, odd, distance) + margin)
    return first_gap + second_gap


def odd_one_out_cross_entropy(
    embeddings: jnp.ndarray,
    temperature: float = 0.05,
    distance: str = "squared_l2",
    vote_counts: jnp.ndarray | None = None,
) -> jnp.ndarray:
    """Negative log-likelihood of the raters' choice, where a pair is found alike by softmax of minus its distance.

    Unlike the hinge it has a gradient for every triplet, and the temperature sets which distances
    count as large, so a network that starts with all embeddings close together learns from the
    first step.

    Args:
      embeddings: float32 [batch, 3, dim], unit length along dim. Axis 1 is (alike, alike, odd).
      temperature: distance that makes a pair e times less likely, above 0.
      distance: "l2" or "squared_l2".
      vote_counts: number [batch, 3], how many raters found each face the odd one: their shares are the
        choice to explain, and a triplet that they disagreed on pulls less. None, or a row of zeros:
        all found the last face the odd one.

    Returns:
      float32 [batch]; log 3 where all three distances are equal.

    Raises:
      ValueError: embeddings is not [batch, 3, dim], vote_counts is not [batch, 3], the distance is
        unknown, or the temperature is not above 0.

    Source: the odd-one-out choice model of Hebart et al. 2020, doi:10.1038/s41562-020-00951-3, with
      distances for dot products.
    """
    if embeddings.ndim != 3 or embeddings.shape[1] != 3:
        raise ValueError(f"embeddings must be [batch, 3, dim], found {embeddings.shape}")
    if not temperature > 0:
        raise ValueError(f"temperature must be above 0, found {temperature}")
    first, second, odd = embeddings[:, 0], embeddings[:, 1], embeddings[:, 2]
    distances = jnp.stack(
        [
            pair_distance(first, second, distance),
            pair_distance(first, odd, distance),
            pair_distance(second, odd, distance),
        ]
    )
    log_likelihood = jax.nn.log_softmax(-distances / temperature, axis=0)
    if vote_counts is None:
        return -log_likelihood[0]
    if vote_counts.shape != embeddings.shape[:2]:
        raise ValueError(f"votes must be [{len(embeddings)}, 3], found {vote_counts.shape}")
    vote_counts = jnp.where(
        jnp.sum(vote_counts, axis=1, keepdims=True) > 0, vote_counts, jnp.array([0, 0, 1])
    )
    shares = vote_counts / jnp.sum(vote_counts, axis=1, keepdims=True)
    # The pair without the last face is the first of the three, and so on backwards.
    return -jnp.sum(shares.T[::-1] * log_likelihood, axis=0)


def uda_consistency(first: jnp.ndarray, second: jnp.ndarray, distance: str = "l2") -> jnp.ndarray:
    """Distance between the embeddings of two random augmentations of the same faces.

    It is symmetric and lets gradients into both views; a caller who wants one view held still (as
    UDA has it for class probabilities) passes `jax.lax.stop_gradient(first)`.

    Args:
      first: float32 [batch, dim], embeddings of one view of each face.
      second: float32 [batch, dim], embeddings of the other view of the same faces, in the same
        order.
      distance: "l2" or "squared_l2".

    Returns:
      float32 [batch], one non-negative loss a face; 0 where both views embed alike.

    Raises:
      ValueError: the two shapes differ or are not [batch, dim], or the distance is unknown.

    Source: Xie et al. 2019, arXiv:1904.12848, carried over from class probabilities to embeddings.
    """
    if first.ndim != 2 or first.shape != second.shape:
        raise ValueError(
            f"both views must be [batch, dim] alike, found {first.shape} and {second.shape}"
        )
    return pair_distance(first, second, distance)


def pair_distance(a: jnp.ndarray, b: jnp.ndarray, distance: str = "l2") -> jnp.ndarray:
    """Distance along the last axis whose gradient is finite (zero) where a and b coincide.

    Args:
      a: float32 [..., dim].
      b: float32, broadcastable to a.
      distance: "l2" or "squared_l2".

    Returns:
      float32 [...], non-negative; NaN where a or b holds one.

    Raises:
      ValueError: the distance is unknown.
    """
    if distance not in DISTANCES:
        raise ValueError(f"distance must be one of {', '.join(DISTANCES)}; found {distance!r}")
    squared = jnp.sum(jnp.square(a - b), axis=-1)
    if distance == "squared_l2":
        return squared
    # Two wheres: the slope of sqrt at 0 is infinite, and a single where around it would still
    # multiply that infinity by zero in the backward pass, which is NaN.
    coincide = squared == 0
    return jnp.where(coincide, 0.0, jnp.sqrt(jnp.where(coincide, 1.0, squared)))
