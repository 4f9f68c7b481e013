"""Which statistics stop a run, and which do not."""

import jax.numpy as jnp
import numpy as np
import pytest

from imagefec.training.config import DivergenceConfig
from imagefec.training.monitor.divergence import TrainingDiverged, TrainingMonitor


def feed(monitor, losses, start=1, spread=0.5, norm=1.0):
    for step, loss in enumerate(losses, start):
        numbers = {"loss": loss, "triplet": loss, "gradients_l2": norm, "spread": spread}
        monitor.push(step, {name: jnp.float32(value) for name, value in numbers.items()})
    monitor.drain()


def test_means_cover_the_steps_since_the_last_reset():
    seen = []
    monitor = TrainingMonitor(
        DivergenceConfig(), 0.2, lambda step, numbers: seen.append((step, numbers["loss"]))
    )
    feed(monitor, [1.0, 2.0])
    assert monitor.means()["loss"] == pytest.approx(1.5) and monitor.means()["steps_per_second"] > 0
    monitor.reset_means()
    feed(monitor, [4.0], start=3)
    assert monitor.means()["loss"] == pytest.approx(4.0)
    assert seen == [(1, 1.0), (2, 2.0), (3, 4.0)]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_step(bad):
    with pytest.raises(TrainingDiverged, match="at step 3 the loss is"):
        feed(TrainingMonitor(DivergenceConfig(), 0.2), [0.2, 0.2, bad])


def test_gradients_that_are_not_finite_stop_the_run():
    monitor = TrainingMonitor(DivergenceConfig(), 0.2)
    with pytest.raises(TrainingDiverged, match="at step 1 the norm of the gradients is inf"):
        feed(monitor, [1.0], norm=np.inf)


def test_a_loss_that_stays_many_times_above_its_start_has_diverged():
    config = DivergenceConfig(divergence_factor=5.0, divergence_steps=100)
    feed(TrainingMonitor(config, 0.2), [0.2, *[3.0] * 98])  # one window of 50 is not enough
    with pytest.raises(TrainingDiverged, match="has diverged"):
        feed(TrainingMonitor(config, 0.2), [0.2, *[3.0] * 149])
    feed(TrainingMonitor(DivergenceConfig(divergence_factor=0), 0.2), [0.2, *[3.0] * 3000])


def test_a_loss_that_stays_at_twice_the_margin_has_collapsed():
    config = DivergenceConfig(collapse_steps=200)
    feed(TrainingMonitor(config, 0.2), [0.3, *[0.2] * 190])
    # The loss leaves the plateau in between.
    feed(TrainingMonitor(config, 0.2), [*[0.2] * 150, *[0.18] * 50, *[0.2] * 150])
    with pytest.raises(TrainingDiverged, match="embeds all faces alike"):
        feed(TrainingMonitor(config, 0.2), [0.2] * 200)


def test_a_loss_at_twice_the_margin_with_a_small_spread_has_collapsed_after_a_tenth_of_the_steps():
    config = DivergenceConfig(collapse_steps=2000)
    feed(TrainingMonitor(config, 0.2), [0.2] * 1900, spread=0.05)
    # The spread is small, but the loss has fallen.
    feed(TrainingMonitor(config, 0.2), [0.15] * 1900, spread=0.005)
    with pytest.raises(
        TrainingDiverged,
        match=r"for 200 steps with an embedding spread of 5\.0e-03\. .*uda_consistency\.weight",
    ):
        feed(TrainingMonitor(config, 0.2), [0.2] * 200, spread=0.005)
    feed(TrainingMonitor(DivergenceConfig(collapse_steps=0), 0.2), [0.2] * 1000, spread=0.005)


def test_spread_and_weights_are_checked_before_saving():
    monitor = TrainingMonitor(DivergenceConfig(spread_floor=1e-3), 0.2)
    monitor.check_spread(1, 0.01)
    for spread, message in ((1e-4, "collapsed"), (np.nan, "diverged")):
        with pytest.raises(TrainingDiverged, match=message):
            monitor.check_spread(1, spread)
    monitor.check_arrays(1, {"weights/a": np.ones(3, np.float32), "step": np.array(7)})
    with pytest.raises(TrainingDiverged, match="weights/a is not finite"):
        monitor.check_arrays(1, {"weights/a": np.array([1, np.nan], np.float32)})
