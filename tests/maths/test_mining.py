"""Batch-hard and semi-hard triplet losses against naive loops and hand-worked cases on a circle."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagefec.maths import mining


def on_circle(*degrees):
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def distances(embeddings, squared):
    apart = np.array(
        [[np.sum((a.astype(np.float64) - b) ** 2) for b in embeddings] for a in embeddings]
    )
    return apart if squared else np.sqrt(apart)


def naive_batch_hard(apart, labels, margin):
    losses = []
    for anchor, label in enumerate(labels):
        same = [apart[anchor, k] for k in range(len(labels)) if labels[k] == label and k != anchor]
        other = [apart[anchor, k] for k in range(len(labels)) if labels[k] != label]
        losses.append(max(0, max(same) - min(other) + margin) if same and other else 0)
    return losses


def naive_semi_hard(apart, labels, margin):
    n = len(labels)
    losses = np.zeros((n, n))
    for anchor in range(n):
        other = [apart[anchor, k] for k in range(n) if labels[k] != labels[anchor]]
        for positive in range(n):
            if positive == anchor or labels[positive] != labels[anchor] or not other:
                continue
            farther = [d for d in other if d > apart[anchor, positive]]
            losses[anchor, positive] = max(
                0, apart[anchor, positive] - (min(farther) if farther else max(other)) + margin
            )
    return losses


@pytest.mark.parametrize("distance", ["l2", "squared_l2"])
@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    # Three lengths, because each one is compiled.
    labels=st.sampled_from((2, 5, 9)).flatmap(
        lambda n: st.lists(st.integers(0, 3), min_size=n, max_size=n)
    ),
    margin=st.floats(0.01, 1.5),
)
def test_both_losses_equal_naive_loops_over_every_triplet(distance, seed, labels, margin):
    embeddings = np.random.default_rng(seed).normal(size=(len(labels), 3)).astype(np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    apart = distances(embeddings, distance == "squared_l2")
    labels = np.array(labels)
    np.testing.assert_allclose(
        mining.batch_hard_triplet(embeddings, labels, margin, distance),
        naive_batch_hard(apart, labels, margin),
        atol=1e-5,
    )
    np.testing.assert_allclose(
        mining.semi_hard_triplet(embeddings, labels, margin, distance),
        naive_semi_hard(apart, labels, margin),
        atol=1e-5,
    )


def test_semi_hard_skips_nearer_negatives_and_takes_the_next():
    # From 0 degrees: the positive at 60 (distance 1), negatives at 30 (0.518), 90 (1.414), 180 (2).
    loss = mining.semi_hard_triplet(
        on_circle(0, 60, 30, 90, 180), np.array([0, 0, 1, 2, 3]), margin=0.5
    )
    np.testing.assert_allclose(loss[0, 1], 1 - 2**0.5 + 0.5, atol=1e-6)


def test_semi_hard_takes_the_farthest_where_all_negatives_are_nearer():
    loss = mining.semi_hard_triplet(on_circle(0, 180, 30, 90), np.array([0, 0, 1, 1]), margin=0.1)
    np.testing.assert_allclose(loss[0, 1], 2 - 2**0.5 + 0.1, atol=1e-6)


def test_pairs_are_counted_in_both_directions():
    assert mining.n_positive_pairs(np.array([5, 5, 5, 7, 8, 8])) == 3 * 2 + 0 + 2


@pytest.mark.parametrize("labels", [[0, 0, 0], [0, 1, 2], [0, 0, 1]])
@pytest.mark.parametrize("loss", [mining.batch_hard_triplet, mining.semi_hard_triplet])
def test_gradients_are_finite_where_embeddings_coincide_or_pairs_are_missing(loss, labels):
    slope = jax.grad(lambda e: jnp.sum(loss(e, np.array(labels))))(
        jnp.asarray(on_circle(10, 10, 10))
    )
    assert np.isfinite(slope).all()


def test_a_gradient_step_brings_the_positive_closer_and_the_negative_farther():
    embeddings = jnp.asarray(on_circle(0, 40, 50))
    labels = np.array([0, 0, 1])
    step = embeddings - 0.05 * jax.grad(lambda e: jnp.sum(mining.batch_hard_triplet(e, labels)))(
        embeddings
    )
    before, after = distances(np.asarray(embeddings), False), distances(np.asarray(step), False)
    assert after[0, 1] < before[0, 1]
    assert after[1, 2] > before[1, 2]


def test_shapes_are_checked():
    with pytest.raises(ValueError, match=r"found \(3, 2\) and \(2,\)"):
        mining.batch_hard_triplet(on_circle(0, 1, 2), np.array([0, 1]))
