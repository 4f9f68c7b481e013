"""What stops a run, and what does not."""

import jax.numpy as jnp
import numpy as np
import pytest

from imagefec.training.monitor.divergence import Guards, TrainingDiverged, TrainingMonitor


def feed(watch, losses, start=1, spread=0.5):
    for step, loss in enumerate(losses, start):
        numbers = {"loss": loss, "triplet": loss, "gradients_l2": 1.0, "spread": spread}
        watch.push(step, {name: jnp.float32(value) for name, value in numbers.items()})
    watch.drain()


def test_means_are_those_since_they_were_forgotten():
    seen = []
    watch = TrainingMonitor(
        Guards(), 0.2, lambda step, numbers: seen.append((step, numbers["loss"]))
    )
    feed(watch, [1.0, 2.0])
    assert watch.means()["loss"] == pytest.approx(1.5) and watch.means()["steps_per_second"] > 0
    watch.forget()
    feed(watch, [4.0], start=3)
    assert watch.means()["loss"] == pytest.approx(4.0)
    assert seen == [(1, 1.0), (2, 2.0), (3, 4.0)]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_step(bad):
    with pytest.raises(TrainingDiverged, match="at step 3 the loss is"):
        feed(TrainingMonitor(Guards(), 0.2), [0.2, 0.2, bad])


def test_gradients_that_are_not_finite_stop_the_run():
    watch = TrainingMonitor(Guards(), 0.2)
    with pytest.raises(TrainingDiverged, match="norm of the gradients"):
        watch.push(
            1,
            {
                "loss": jnp.float32(1),
                "triplet": jnp.float32(1),
                "gradients_l2": jnp.float32(np.inf),
            },
        )
        watch.drain()


def test_a_loss_that_stays_many_times_above_its_start_has_diverged():
    guards = Guards(divergence_factor=5.0, divergence_steps=100)
    feed(
        TrainingMonitor(guards, 0.2), [0.2, *[3.0] * 98]
    )  # one window of 50 alone is no divergence
    with pytest.raises(TrainingDiverged, match="has diverged"):
        feed(TrainingMonitor(guards, 0.2), [0.2, *[3.0] * 149])
    feed(TrainingMonitor(Guards(divergence_factor=0), 0.2), [0.2, *[3.0] * 3000])


def test_a_loss_that_stays_at_twice_the_margin_has_collapsed():
    guards = Guards(collapse_steps=200)
    feed(TrainingMonitor(guards, 0.2), [0.3, *[0.2] * 190])
    feed(
        TrainingMonitor(guards, 0.2), [*[0.2] * 150, *[0.18] * 50, *[0.2] * 150]
    )  # it left in between
    with pytest.raises(TrainingDiverged, match="embeds all faces alike"):
        feed(TrainingMonitor(guards, 0.2), [0.2] * 200)


def test_such_a_loss_with_faces_close_together_has_collapsed_in_a_tenth_of_the_steps():
    guards = Guards(collapse_steps=2000)
    feed(TrainingMonitor(guards, 0.2), [0.2] * 1900, spread=0.05)
    feed(TrainingMonitor(guards, 0.2), [0.15] * 1900, spread=0.005)  # small, and yet the loss falls
    with pytest.raises(
        TrainingDiverged,
        match=r"for 200 steps, with an embedding spread of 5\.0e-03: .*uda_consistency\.weight",
    ):
        feed(TrainingMonitor(guards, 0.2), [0.2] * 200, spread=0.005)
    feed(TrainingMonitor(Guards(collapse_steps=0), 0.2), [0.2] * 1000, spread=0.005)


def test_spread_and_weights_are_checked_ahead_of_saving():
    watch = TrainingMonitor(Guards(spread_floor=1e-3), 0.2)
    watch.check_spread(1, 0.01)
    for spread, said in ((1e-4, "collapsed"), (np.nan, "diverged")):
        with pytest.raises(TrainingDiverged, match=said):
            watch.check_spread(1, spread)
    watch.check_arrays(1, {"weights/a": np.ones(3, np.float32), "step": np.array(7)})
    with pytest.raises(TrainingDiverged, match="weights/a is not finite"):
        watch.check_arrays(1, {"weights/a": np.array([1, np.nan], np.float32)})
