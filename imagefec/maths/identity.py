"""How much of the embeddings' variance is due to who is shown; pure JAX, as a term of a loss.

Losses that tell identities apart are in mining.py.
"""

import jax.numpy as jnp


def person_share(embeddings: jnp.ndarray, persons: jnp.ndarray) -> jnp.ndarray:
    """Share of the embeddings' variance that lies between persons: the intraclass correlation.

    It is 1 - w / b, with w the mean squared distance of two faces of one person and b that of two
    persons, over all such pairs. With the variances within and between persons, w = 2 within and b
    = 2 (within + between) in expectation, for any number of faces per person: so it needs no
    correction for few faces, and its mean over random batches is the share of all faces. It does
    not depend on the scale of the embeddings.

    Args:
      embeddings: float32 [n, dim].
      persons: int [n], who is shown; faces with a negative number enter no pair.

    Returns:
      float32 scalar, at most 1. 1: the faces of a person coincide; 0: they are as far apart as
      those of two persons, on average; below 0 by chance, or if they are farther apart. 0, with a
      gradient of 0, if a kind of pair is missing or if all persons coincide.

    Raises:
      ValueError: the shapes are not [n, dim] and [n].

    Source: Fisher 1925, Statistical Methods for Research Workers, section 38 (intraclass
    correlation), with squared distances in the place of squared differences.

    Example:
      Two persons on a line: 1 within each; 4, 9, 1 and 4 between them.

      >>> on_a_line = jnp.array([[0.0], [1.0], [2.0], [3.0]])
      >>> round(float(person_share(on_a_line, jnp.array([5, 5, 8, 8]))), 4)  # 1 - 1 / 4.5
      0.7778
    """
    if embeddings.ndim != 2 or persons.shape != embeddings.shape[:1]:
        raise ValueError(
            "embeddings must be [n, dim] and persons [n], found "
            f"{embeddings.shape} and {persons.shape}"
        )
    squared = jnp.sum(jnp.square(embeddings[:, None] - embeddings[None]), axis=-1)
    known = persons >= 0
    pairs = known[:, None] & known[None] & ~jnp.eye(len(persons), dtype=bool)
    same = pairs & (persons[:, None] == persons[None])
    within, between = _mean(squared, same), _mean(squared, pairs & ~same)
    # Two wheres, so that no gradient is divided by zero.
    usable = jnp.any(same) & (between > 0)
    return jnp.where(usable, 1 - within / jnp.where(usable, between, 1.0), 0.0)


def _mean(values: jnp.ndarray, chosen: jnp.ndarray) -> jnp.ndarray:
    """Mean over the chosen values; 0 if none is chosen."""
    return jnp.sum(jnp.where(chosen, values, 0.0)) / jnp.maximum(jnp.sum(chosen), 1)
