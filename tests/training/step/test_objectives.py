"""The losses as layers, UDA's term, and the learning-rate schedule, against hand-worked values."""

import jax
import numpy as np
import pytest

from imagefec.compat import signature
from imagefec.maths import metrics
from imagefec.training.config import UdaConfig
from imagefec.training.schedules import warmup_cosine
from imagefec.training.step.objectives import (
    IdentityLoss,
    Objective,
    OddOneOutCrossEntropy,
    TripletLoss,
)


def on_circle(*degrees):
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def value(layer, embeddings, types, votes=None):
    votes = np.zeros((len(types), 3), np.int32) if votes is None else np.array(votes, np.int32)
    batch = (embeddings, np.array(types, np.int8), votes)
    layer.init(signature(batch))
    return float(layer(batch))


def test_the_loss_is_the_sum_over_the_batch_divided_by_the_batch():
    # First triplet: alike at 0 and 90, odd at 90: gaps 0.1 and sqrt 2 + 0.1. Second: alike at 0,
    # odd opposite: none.
    embeddings = on_circle(0, 90, 90, 0, 0, 180)
    assert value(TripletLoss(), embeddings, [0, 1]) == pytest.approx((0.2 + 2**0.5) / 2, rel=1e-6)


def test_each_type_may_have_its_own_margin():
    embeddings = on_circle(*[0] * 9)  # three collapsed triplets: twice the margin each
    loss = value(TripletLoss(margins_by_type=(0.1, 0.2, 0.4)), embeddings, [0, 1, 2])
    assert loss == pytest.approx(2 * (0.1 + 0.2 + 0.4) / 3, rel=1e-6)


def test_the_rate_rises_over_the_warmup_and_falls_along_half_a_cosine():
    rate = warmup_cosine(learning_rate=0.01, steps=110, warmup_steps=10, final_fraction=0.1)
    assert rate(5) == pytest.approx(0.005)
    assert rate(10) == pytest.approx(0.01)
    assert rate(60) == pytest.approx(0.01 * (0.1 + 0.9 * 0.5))
    assert rate(110) == rate(500) == pytest.approx(0.001)
    falling = [rate(step) for step in range(10, 111)]
    assert falling == sorted(falling, reverse=True)


def test_the_raters_votes_are_target_probabilities():
    # Distances squared: alike 2, first to odd 2, second to odd 0. At temperature 2: weights e^-1,
    # e^-1, 1.
    embeddings, total = on_circle(0, 90, 90), 2 * np.exp(-1) + 1
    first_pair, second_pair, odd_pair = 1 + np.log(total), 1 + np.log(total), np.log(total)
    loss = value(
        OddOneOutCrossEntropy(temperature=2.0, from_votes=True), embeddings, [0], [[3, 1, 2]]
    )
    # A rater who chose the first face as the odd one found the other two alike, and so on.
    assert loss == pytest.approx((3 * odd_pair + 1 * second_pair + 2 * first_pair) / 6, rel=1e-6)
    without = value(
        OddOneOutCrossEntropy(temperature=2.0, from_votes=True), embeddings, [0], [[0, 0, 0]]
    )
    assert (
        without
        == value(OddOneOutCrossEntropy(temperature=2.0), embeddings, [0], [[3, 1, 2]])
        == pytest.approx(first_pair, rel=1e-6)
    )


def test_an_identity_loss_is_the_mean_over_triplets_mined_in_the_batch():
    embeddings, labels = on_circle(0, 60, 90, 180), np.array([0, 0, 1, 1], np.int32)
    for select in ("semi_hard", "batch_hard"):
        layer = IdentityLoss(select, margin=0.5)
        layer.init(signature((embeddings, labels)))
        found = float(layer((embeddings, labels)))
        apart = np.linalg.norm(embeddings[:, None] - embeddings[None], axis=2)
        if select == "batch_hard":
            expected = [
                max(
                    0,
                    apart[a, p]
                    - min(apart[a, n] for n in range(4) if labels[n] != labels[a])
                    + 0.5,
                )
                for a, p in ((0, 1), (1, 0), (2, 3), (3, 2))
            ]
        else:
            expected = []
            for a, p in ((0, 1), (1, 0), (2, 3), (3, 2)):
                others = [apart[a, n] for n in range(4) if labels[n] != labels[a]]
                farther = [d for d in others if d > apart[a, p]]
                expected.append(
                    max(0, apart[a, p] - (min(farther) if farther else max(others)) + 0.5)
                )
        assert found == pytest.approx(np.mean(expected), rel=1e-5)
    with pytest.raises(ValueError, match="select must be"):
        IdentityLoss("easy")


def objective(uda, embeddings, types, weight=()):
    layer = Objective(TripletLoss(), uda)
    batch = (embeddings, np.array(types, np.int8), np.zeros((len(types), 3), np.int32), *weight)
    layer.init(signature(batch))
    return layer, batch


def test_uda_is_the_mean_distance_between_views_and_the_loss_sees_the_first_views():
    # One triplet and one unlabelled face; the second views are the first, turned by 0, 90, 180 and
    # 60 degrees.
    first, second = on_circle(0, 90, 90, 10), on_circle(0, 180, 270, 70)
    layer, batch = objective(
        UdaConfig(weight=0.5), np.concatenate([first, second]), [0], (np.float32(0.5),)
    )
    total = float(layer(batch))
    triplet, uda = 0.2 + 2**0.5, (0 + 2**0.5 + 2 + 1) / 4
    assert total == pytest.approx(triplet + 0.5 * uda, rel=1e-5)
    assert {name: float(term) for name, term in layer.state.items()} == pytest.approx(
        {"triplet": triplet, "uda": uda, "spread": float(metrics.rms_pairwise_distance(first))},
        rel=1e-5,
    )


def test_triplets_that_share_faces_have_the_loss_of_triplets_of_their_own_faces():
    faces = on_circle(0, 20, 90, 200, 310)
    members = np.array([[0, 1, 2], [2, 0, 3], [4, 3, 1]], np.int32)
    labels = np.array([0, 1, 2], np.int8), np.zeros((3, 3), np.int32)
    shared, apart = Objective(TripletLoss(), shared_faces=True), Objective(TripletLoss())
    with_members, alone = (faces, *labels, members), (faces[members.reshape(-1)], *labels)
    shared.init(signature(with_members))
    apart.init(signature(alone))
    assert float(shared(with_members)) == pytest.approx(float(apart(alone)), rel=1e-6)
    spread = float(metrics.rms_pairwise_distance(faces))  # of the faces, each once
    assert float(shared.state["spread"]) == pytest.approx(spread, rel=1e-6)


def test_the_share_between_persons_is_added_for_the_labelled_faces_of_the_first_views():
    # Two triplets and an unlabelled face. Squared distances: persons 4 and 6 have the faces at 0
    # and 90 degrees, and at 180 and 270 degrees; those of two persons are 4, 2, 2 and 4.
    first, second = on_circle(0, 90, 33, 180, 270, 80, 10), on_circle(5, 5, 5, 5, 5, 5, 5)
    persons = np.array([4, 4, -1, 6, 6, -1], np.int32)
    share, uda = 1 - 2 / 3, UdaConfig(weight=0.5)
    labels = np.array([0, 1], np.int8), np.zeros((2, 3), np.int32)
    views, weights = np.concatenate([first, second]), (np.float32(3), np.float32(0.5))
    plain, layer = Objective(TripletLoss(), uda), Objective(TripletLoss(), uda, False, True)
    without, batch = (views, *labels, weights[1]), (views, *labels, persons, *weights)
    plain.init(signature(without))
    layer.init(signature(batch))
    assert float(layer(batch)) == pytest.approx(float(plain(without)) + 3 * share, rel=1e-5)
    assert float(layer.state["identity"]) == pytest.approx(share, rel=1e-5)
    for name in ("triplet", "uda", "spread"):
        assert float(layer.state[name]) == float(plain.state[name])


@pytest.mark.parametrize("stopped", [True, False])
def test_stop_gradient_removes_the_gradient_of_the_first_view(stopped):
    # The triplet's own loss is 0 and so is its gradient.
    first, second = on_circle(0, 0, 180), on_circle(30, 40, 150)
    layer, batch = objective(
        UdaConfig(weight=1.0, stop_gradient=stopped),
        np.concatenate([first, second]),
        [0],
        (np.float32(1),),
    )

    def of(embeddings):
        return layer.pure_fn(
            (embeddings, *batch[1:]), layer.weights, layer.state, jax.random.PRNGKey(0)
        )[0]

    gradient = np.asarray(jax.grad(of)(batch[0]))
    assert np.abs(gradient[3:]).max() > 0.1
    assert (np.abs(gradient[:3]).max() < 1e-6) == stopped
