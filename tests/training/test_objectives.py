"""The loss as a layer, and the learning rates."""

import numpy as np
import pytest
from trax.shapes import signature

from imagefec.training.objectives import TripletLoss
from imagefec.training.schedules import warmup_cosine


def on_circle(*degrees):
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def value(layer, embeddings, types, votes=None):
    votes = np.zeros((len(types), 3), np.int32) if votes is None else np.array(votes, np.int32)
    batch = (embeddings, np.array(types, np.int8), votes)
    layer.init(signature(batch))
    return float(layer(batch))


def test_the_loss_is_the_sum_over_the_batch_divided_by_the_batch():
    # First triplet: alike at 0 and 90, odd at 90: gaps 0.1 and sqrt 2 + 0.1. Second: alike at 0, odd opposite: none.
    embeddings = on_circle(0, 90, 90, 0, 0, 180)
    assert value(TripletLoss(), embeddings, [0, 1]) == pytest.approx((0.2 + 2 ** 0.5) / 2, rel=1e-6)


def test_each_type_may_have_a_margin_of_its_own():
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
