"""Losses on embeddings: triplet margin loss, odd-one-out cross-entropy, UDA consistency.

Metrics are in metrics.py; objectives that combine losses are in training/step/objectives.py.
"""

import jax
import jax.numpy as jnp

DISTANCES = ("l2", "squared_l2")


def odd_one_out_hinge(
    embeddings: jnp.ndarray, margin: float | jnp.ndarray = 0.1, distance: str = "l2"
) -> jnp.ndarray:
    """Symmetric triplet margin loss: each face of the alike pair is the anchor of one hinge.

    With d12 the distance of the alike pair:
    max(0, d12 - d13 + margin) + max(0, d12 - d23 + margin).

    Args:
      embeddings: float32 [batch, 3, dim], unit length along dim. Axis 1 is (alike, alike, odd).
      margin: required gap between distances, unitless, in (0, 2); a scalar, or [batch] with one
        margin per triplet.
      distance: "l2", or "squared_l2" as in the FEC paper.

    Returns:
      float32 [batch], one non-negative loss per triplet; 0 where both gaps hold. Where all three
      embeddings coincide it is 2 x margin and its gradient is zero.

    Raises:
      ValueError: embeddings is not [batch, 3, dim], margin has another shape, or the distance is
        unknown.

    Example:
      The distances are 0 in the pair and sqrt 2 to the odd face, then 0 all three.

      >>> east, north = [1.0, 0.0], [0.0, 1.0]
      >>> batch = jnp.array([[east, east, north], [east, east, east]])
      >>> odd_one_out_hinge(batch, margin=0.1).round(3).tolist() == [0.0, jnp.float32(0.2)]
      True

    Source: Vemulapalli & Agarwala 2019, arXiv:1811.11283, section 4.
    """
    if embeddings.ndim != 3 or embeddings.shape[1] != 3:
        raise ValueError(
            f"embeddings must be [batch, 3, dim] (alike, alike, odd), found {embeddings.shape}"
        )
    if jnp.shape(margin) not in ((), embeddings.shape[:1]):
        raise ValueError(
            f"margin must be one number or [{embeddings.shape[0]}], one per triplet; "
            f"found shape {jnp.shape(margin)}"
        )
    first, second, odd = embeddings[:, 0], embeddings[:, 1], embeddings[:, 2]
    alike = pair_distance(first, second, distance)
    first_hinge = jax.nn.relu(alike - pair_distance(first, odd, distance) + margin)
    second_hinge = jax.nn.relu(alike - pair_distance(second, odd, distance) + margin)
    return first_hinge + second_hinge


def odd_one_out_cross_entropy(
    embeddings: jnp.ndarray,
    temperature: float = 0.05,
    distance: str = "squared_l2",
    vote_counts: jnp.ndarray | None = None,
    label_smoothing: float = 0.0,
) -> jnp.ndarray:
    """Cross-entropy of the raters' choices with a softmax over the three pairs' negative distances.

    Unlike the margin loss it has a gradient for every triplet, and the temperature sets which
    distances count as large. Therefore a network whose embeddings start close together learns from
    the first step.

    Args:
      embeddings: float32 [batch, 3, dim], unit length along dim. Axis 1 is (alike, alike, odd).
      temperature: distance that makes a pair e times less likely to be the alike one, above 0.
      distance: "l2" or "squared_l2".
      vote_counts: number [batch, 3], how many raters chose each face as the odd one out. Their
        shares are the target distribution, so a triplet without agreement has a smaller gradient.
        None, or a row of zeros, counts as if all raters chose the last face.
      label_smoothing: share of the target distribution that is spread evenly over the three faces,
        in [0, 1).

    Returns:
      float32 [batch], one loss per triplet; log 3 where all three distances are equal.

    Raises:
      ValueError: embeddings is not [batch, 3, dim], vote_counts is not [batch, 3], the distance is
        unknown, the temperature is not above 0, or label_smoothing is not in [0, 1).

    Source: the odd-one-out choice model of Hebart et al. 2020, doi:10.1038/s41562-020-00951-3, with
      distances for dot products. Label smoothing: Szegedy et al. 2015, arXiv:1512.00567, section 7.
    """
    if embeddings.ndim != 3 or embeddings.shape[1] != 3:
        raise ValueError(f"embeddings must be [batch, 3, dim], found {embeddings.shape}")
    if not temperature > 0:
        raise ValueError(f"temperature must be above 0, found {temperature}")
    if not 0 <= label_smoothing < 1:
        raise ValueError(f"label_smoothing must be in [0, 1), found {label_smoothing}")
    first, second, odd = embeddings[:, 0], embeddings[:, 1], embeddings[:, 2]
    distances = jnp.stack(
        [
            pair_distance(first, second, distance),
            pair_distance(first, odd, distance),
            pair_distance(second, odd, distance),
        ]
    )
    log_likelihood = jax.nn.log_softmax(-distances / temperature, axis=0)
    # The cross-entropy with a uniform target, for the share that is smoothed.
    uniform = -jnp.mean(log_likelihood, axis=0)
    if vote_counts is None:
        return _mixed(-log_likelihood[0], uniform, label_smoothing)
    if vote_counts.shape != embeddings.shape[:2]:
        raise ValueError(f"vote_counts must be [{len(embeddings)}, 3], found {vote_counts.shape}")
    vote_counts = jnp.where(
        jnp.sum(vote_counts, axis=1, keepdims=True) > 0, vote_counts, jnp.array([0, 0, 1])
    )
    shares = vote_counts / jnp.sum(vote_counts, axis=1, keepdims=True)
    # The pair that leaves out the last face is the first of the three, and so on in reverse.
    of_votes = -jnp.sum(shares.T[::-1] * log_likelihood, axis=0)
    return _mixed(of_votes, uniform, label_smoothing)


def uda_consistency(first: jnp.ndarray, second: jnp.ndarray, distance: str = "l2") -> jnp.ndarray:
    """Distance between the embeddings of two random augmentations of the same faces.

    It is symmetric, and gradients flow through both views. To stop the gradient through one view,
    as UDA does for class probabilities, pass `jax.lax.stop_gradient(first)`.

    Args:
      first: float32 [batch, dim], embeddings of one view of each face.
      second: float32 [batch, dim], embeddings of the other view of the same faces, in the same
        order.
      distance: "l2" or "squared_l2".

    Returns:
      float32 [batch], one non-negative loss per face; 0 where both embeddings are equal.

    Raises:
      ValueError: the two shapes differ or are not [batch, dim], or the distance is unknown.

    Source: Xie et al. 2019, arXiv:1904.12848, applied to embeddings instead of class probabilities.
    """
    if first.ndim != 2 or first.shape != second.shape:
        raise ValueError(
            f"both views must be [batch, dim] of one shape, found {first.shape} and {second.shape}"
        )
    return pair_distance(first, second, distance)


def pair_distance(a: jnp.ndarray, b: jnp.ndarray, distance: str = "l2") -> jnp.ndarray:
    """Distance along the last axis; its gradient is zero, not NaN, where a and b coincide.

    Args:
      a: float32 [..., dim].
      b: float32, broadcastable to a.
      distance: "l2" or "squared_l2".

    Returns:
      float32 [...], non-negative; NaN where a or b contains NaN.

    Raises:
      ValueError: the distance is unknown.
    """
    check_distance(distance)
    squared = jnp.sum(jnp.square(a - b), axis=-1)
    if distance == "squared_l2":
        return squared
    # Two wheres: the derivative of sqrt at 0 is infinite, and with a single where the backward pass
    # would multiply that infinity by zero, which is NaN.
    coincide = squared == 0
    return jnp.where(coincide, 0.0, jnp.sqrt(jnp.where(coincide, 1.0, squared)))


def check_distance(distance: str) -> None:
    """Checks the name of a distance.

    Args:
      distance: "l2" or "squared_l2".

    Raises:
      ValueError: the distance is unknown.
    """
    if distance not in DISTANCES:
        raise ValueError(f"distance must be one of {', '.join(DISTANCES)}; found {distance!r}")


def _mixed(loss: jnp.ndarray, uniform: jnp.ndarray, share: float) -> jnp.ndarray:
    return (1 - share) * loss + share * uniform if share else loss
