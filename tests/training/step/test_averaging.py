"""The moving average of weights against a loop over steps, and its names in a checkpoint."""

import jax
import numpy as np
import pytest

from imagefec.compat import optimizers, signature
from imagefec.errors import UserError
from imagefec.training.config import StepConfig
from imagefec.training.step import averaging
from imagefec.training.step.mesh import all_devices
from imagefec.training.step.trainer import MeshTrainer
from tests.training.step.test_trainer import KEY, linear, small_batch, tiny_network


def trainer_of(model, **arguments):
    optimizer = optimizers.SGD(0.5)
    optimizer.tree_init(model.weights)
    return MeshTrainer(model, optimizer, all_devices(), **arguments)


@pytest.mark.parametrize("config", [StepConfig(), StepConfig(accumulation_steps=2)])
def test_the_average_equals_a_loop_over_the_weights_of_every_step(config):
    batch, decay = small_batch(), 0.3
    model = linear(batch)
    trainer = trainer_of(model, config=config, ema_decay=decay)
    expected = [np.array(leaf, np.float64) for leaf in jax.tree.leaves(model.weights)]
    first = expected
    for step in range(1, 7):
        trainer.one_step(batch, KEY, step, learning_rate=0.5)
        share = min(decay, (1 + step) / (10 + step))
        now = jax.tree.leaves(trainer.accelerated_model_with_loss.weights)
        expected = [
            share * old + (1 - share) * np.array(new, np.float64) for old, new in zip(expected, now)
        ]
    found = jax.tree.leaves(trainer.average[0])
    assert len(found) == len(expected) == 2
    for average, here, start, last in zip(found, expected, first, now):
        np.testing.assert_allclose(average, here, rtol=1e-5, atol=1e-6)
        assert not np.allclose(average, start) and not np.allclose(average, last, rtol=1e-4)


def test_the_shares_of_the_first_steps_are_those_worked_by_hand():
    # From 1 to 0 with decay 0.9: 2/11 of 1, then 3/12 of it, then 4/13.
    average, expected = {"a": np.float32([1.0])}, 1.0
    for step, share in ((1, 2 / 11), (2, 3 / 12), (3, 4 / 13), (1000, 0.9)):
        average = averaging.moved_average(average, {"a": np.float32([0.0])}, 0.9, step)
        expected *= share
        np.testing.assert_allclose(average["a"], [expected], rtol=1e-6)
    counter = averaging.moved_average({"n": np.int32(3)}, {"n": np.int32(4)}, 0.9, 5)
    assert counter["n"] == 4


def test_without_a_decay_there_is_no_average_and_a_step_is_the_same():
    batch = small_batch()
    plain, averaged = trainer_of(linear(batch)), trainer_of(linear(batch), ema_decay=0.9)
    for trainer in (plain, averaged):
        trainer.one_step(batch, KEY, 1, learning_rate=0.5)
    assert plain.average is None and averaged.average is not None
    for a, b in zip(
        *(
            jax.tree.leaves(trainer.accelerated_model_with_loss.weights)
            for trainer in (plain, averaged)
        )
    ):
        np.testing.assert_array_equal(a, b)


def test_an_average_is_named_and_filled_without_changing_the_network():
    network = tiny_network()
    before = jax.tree.leaves((network.weights, network.state))
    doubled = jax.tree.map(lambda leaf: 2 * leaf, (network.weights, network.state))
    named = averaging.named_average(network, *doubled)
    assert "average/weights/1.Stem/0.Conv" in named and any("average/state" in n for n in named)
    filled = averaging.filled_average(network, {**named, "weights/other": np.ones(3)}, "model.npz")
    for a, b in zip(jax.tree.leaves(filled), jax.tree.leaves(doubled), strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(jax.tree.leaves((network.weights, network.state)), before, strict=True):
        np.testing.assert_array_equal(a, b)
    name, array = next(iter(named.items()))
    with pytest.raises(UserError, match=r"model\.npz: .* hold NaN or infinity"):
        averaging.filled_average(network, {**named, name: array * np.nan}, "model.npz")


def test_running_statistics_are_averaged_too():
    from imagefec.compat import tl
    from imagefec.training.step.objectives import Objective, TripletLoss

    batch = small_batch(size=16)
    model = tl.Serial(tiny_network(), Objective(TripletLoss()))
    model.rng = KEY
    model.init(signature(batch))
    trainer = trainer_of(model, ema_decay=0.3)
    start = [np.array(leaf) for leaf in jax.tree.leaves(trainer.average[1])]
    trainer.one_step(batch, KEY, 1)
    now = jax.tree.leaves(trainer.accelerated_model_with_loss.state[:-1])
    found = jax.tree.leaves(trainer.average[1])
    assert len(found) == len(start) > 4
    for average, old, new in zip(found, start, now):
        np.testing.assert_allclose(average, 2 / 11 * old + 9 / 11 * np.asarray(new), rtol=1e-4)
