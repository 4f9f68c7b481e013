"""The losses against hand-worked values, naive loops, scikit-learn and numeric gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics.pairwise import paired_distances

from imagefec.maths import losses

ROOT2 = 2**0.5


def on_circle(*degrees: float) -> np.ndarray:
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=-1).astype(np.float32)


def random_triplets(n: int, dim: int = 5, seed: int = 0) -> np.ndarray:
    points = np.random.default_rng(seed).normal(size=(n, 3, dim))
    return (points / np.linalg.norm(points, axis=-1, keepdims=True)).astype(np.float32)


def hinge_by_loop(embeddings: np.ndarray, margins: np.ndarray, power: int) -> list[float]:
    out = []
    for (first, second, odd), margin in zip(embeddings.astype(np.float64), margins):
        alike = np.linalg.norm(first - second) ** power
        total = 0.0
        for anchor in (first, second):
            total += max(0.0, alike - np.linalg.norm(anchor - odd) ** power + margin)
        out.append(total)
    return out


def test_hinge_adds_up_each_violated_gap():
    # Distances: sqrt 2 of the alike pair, sqrt 2 and 0 to the odd one -> 0.1 + (sqrt 2 + 0.1).
    triplet = on_circle(0, 90, 90)[None]
    np.testing.assert_allclose(losses.odd_one_out_hinge(triplet, 0.1), [0.2 + ROOT2], rtol=1e-6)


def test_hinge_on_squared_distances_adds_up_each_violated_gap():
    # Squared distances: 2 of the alike pair, 2 and 0 to the odd one -> 0.1 + (2 + 0.1).
    triplet = on_circle(0, 90, 90)[None]
    np.testing.assert_allclose(
        losses.odd_one_out_hinge(triplet, 0.1, "squared_l2"), [2.2], rtol=1e-6
    )


def test_hinge_is_zero_where_both_gaps_hold():
    assert losses.odd_one_out_hinge(on_circle(0, 0, 180)[None], 0.1)[0] == 0


def test_hinge_of_a_collapsed_model_is_twice_the_margin():
    collapsed = np.broadcast_to(on_circle(30), (4, 3, 2))
    for distance in losses.DISTANCES:
        np.testing.assert_allclose(
            losses.odd_one_out_hinge(collapsed, 0.1, distance), [0.2] * 4, rtol=1e-6
        )


@pytest.mark.parametrize(("distance", "power"), [("l2", 1), ("squared_l2", 2)])
def test_hinge_equals_a_naive_loop_with_one_margin_per_triplet(distance, power):
    embeddings = random_triplets(40)
    margins = np.random.default_rng(1).uniform(0.1, 0.5, 40).astype(np.float32)
    expected = hinge_by_loop(embeddings, margins, power)
    assert min(expected) == 0 < max(expected)
    np.testing.assert_allclose(
        losses.odd_one_out_hinge(embeddings, margins, distance), expected, atol=2e-6
    )


def test_hinge_is_symmetric_in_the_alike_pair():
    embeddings = random_triplets(20)
    np.testing.assert_allclose(
        losses.odd_one_out_hinge(embeddings),
        losses.odd_one_out_hinge(embeddings[:, [1, 0, 2]]),
        rtol=1e-6,
    )


@pytest.mark.parametrize("distance", losses.DISTANCES)
def test_hinge_gradient_equals_central_differences(distance):
    # The odd face lies between the other two: both hinges are active, away from their kinks.
    triplet = np.stack([on_circle(0), on_circle(100), on_circle(40)], axis=1)

    def total(e):
        return losses.odd_one_out_hinge(e, 0.3, distance).sum()

    gradient = np.asarray(jax.grad(total)(jnp.asarray(triplet)))
    for place in np.ndindex(triplet.shape):
        step = np.zeros_like(triplet)
        step[place] = 1e-2
        numeric = (total(triplet + step) - total(triplet - step)) / 2e-2
        np.testing.assert_allclose(gradient[place], numeric, atol=2e-3)


@pytest.mark.parametrize("distance", losses.DISTANCES)
@pytest.mark.parametrize("degrees", [(0, 0, 0), (0, 0, 90), (0, 90, 0)])
def test_gradients_are_finite_where_embeddings_coincide(distance, degrees):
    triplet = jnp.asarray(on_circle(*degrees))[None]
    for margin in (0.1, 1.9):
        gradient = jax.grad(lambda e, m=margin: losses.odd_one_out_hinge(e, m, distance).sum())(
            triplet
        )
        assert np.isfinite(gradient).all()
    gradient = jax.grad(lambda e: losses.uda_consistency(e[0], e[0], distance).sum())(triplet)
    assert np.isfinite(gradient).all()


def test_a_nan_embedding_gives_a_nan_loss():
    triplet = random_triplets(2)
    triplet[0, 1, 0] = np.nan
    loss = np.asarray(losses.odd_one_out_hinge(triplet))
    assert np.isnan(loss[0]) and np.isfinite(loss[1])


@pytest.mark.parametrize(("distance", "power"), [("l2", 1), ("squared_l2", 2)])
def test_consistency_equals_scikit_learns_paired_distances(distance, power):
    first, second = random_triplets(30)[:, 0], random_triplets(30, seed=1)[:, 0]
    expected = paired_distances(first, second) ** power
    np.testing.assert_allclose(losses.uda_consistency(first, second, distance), expected, rtol=1e-5)


def test_consistency_is_zero_only_for_equal_views():
    views = random_triplets(3)[:, 0]
    assert (np.asarray(losses.uda_consistency(views, views)) == 0).all()
    assert (np.asarray(losses.uda_consistency(views, -views)) > 1).all()


def test_consistency_supports_a_stop_gradient_on_one_view():
    first, second = jnp.asarray(on_circle(0, 10)), jnp.asarray(on_circle(20, 50))

    def loss(a, b):
        return losses.uda_consistency(jax.lax.stop_gradient(a), b).sum()

    stopped, flowing = jax.grad(loss, (0, 1))(first, second)
    assert (np.asarray(stopped) == 0).all() and (np.asarray(flowing) != 0).any()


@pytest.mark.parametrize("shape", [(3, 4), (2, 4, 5), (2, 3, 4, 5)])
def test_embeddings_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r"\[batch, 3, dim\]"):
        losses.odd_one_out_hinge(jnp.zeros(shape))


def test_margins_that_do_not_fit_the_batch_are_refused():
    with pytest.raises(ValueError, match="margin must be one number or"):
        losses.odd_one_out_hinge(jnp.zeros((4, 3, 2)), jnp.ones(3))


def test_an_unknown_distance_is_refused_with_the_allowed_ones():
    with pytest.raises(ValueError, match="l2, squared_l2; found 'cosine'"):
        losses.odd_one_out_hinge(jnp.zeros((4, 3, 2)), 0.1, "cosine")


def test_views_of_different_shape_are_refused():
    with pytest.raises(ValueError, match="both views"):
        losses.uda_consistency(jnp.zeros((4, 2)), jnp.zeros((3, 2)))


@pytest.mark.parametrize("distance", ["l2", "squared_l2"])
def test_odd_one_out_cross_entropy_equals_a_naive_loop(distance):
    rng = np.random.default_rng(3)
    embeddings = rng.normal(size=(7, 3, 5)).astype(np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=-1, keepdims=True)
    expected = []
    for first, second, odd in embeddings.astype(float):
        pairs = [np.linalg.norm(x - y) for x, y in ((first, second), (first, odd), (second, odd))]
        pairs = [d**2 for d in pairs] if distance == "squared_l2" else pairs
        likely = [np.exp(-d / 0.3) for d in pairs]
        expected.append(-np.log(likely[0] / sum(likely)))
    found = losses.odd_one_out_cross_entropy(embeddings, 0.3, distance)
    np.testing.assert_allclose(found, expected, rtol=2e-5)


def test_odd_one_out_cross_entropy_of_a_collapsed_triplet_is_log_3_with_a_finite_gradient():
    collapsed = np.tile(np.float32([[1, 0]]), (3, 1))[None]
    for distance in ("l2", "squared_l2"):
        value, slope = jax.value_and_grad(
            lambda e, d=distance: losses.odd_one_out_cross_entropy(e, 0.05, d).sum()
        )(collapsed)
        assert float(value) == pytest.approx(np.log(3), rel=1e-6)
        assert np.isfinite(slope).all()


def test_odd_one_out_cross_entropy_refuses_a_temperature_of_0():
    with pytest.raises(ValueError, match="temperature"):
        losses.odd_one_out_cross_entropy(np.zeros((1, 3, 2), np.float32), 0.0)


@pytest.mark.parametrize("votes", [None, [[0, 1, 3], [2, 2, 0], [0, 0, 0]]])
def test_label_smoothing_spreads_its_share_evenly_over_the_three_faces(votes):
    embeddings = np.stack([on_circle(0, 20, 100), on_circle(10, 70, 0), on_circle(0, 0, 5)])
    counts = None if votes is None else np.array(votes, np.int32)
    found = losses.odd_one_out_cross_entropy(embeddings, 0.5, "l2", counts, 0.3)
    for triplet, loss, of_raters in zip(embeddings, found, votes or [[0, 0, 0]] * 3):
        likely = []
        for odd in range(3):  # the pair that is left when a face is the odd one out
            first, second = np.delete(triplet.astype(np.float64), odd, axis=0)
            likely.append(np.exp(-np.linalg.norm(first - second) / 0.5))
        target = np.array(of_raters) / sum(of_raters) if sum(of_raters) else np.array([0, 0, 1])
        target = 0.7 * target + 0.3 / 3
        assert loss == pytest.approx(-(target * np.log(likely / np.sum(likely))).sum(), rel=1e-5)
    for wrong in (-0.1, 1.0):
        with pytest.raises(ValueError, match="label_smoothing"):
            losses.odd_one_out_cross_entropy(embeddings, 0.5, "l2", counts, wrong)
