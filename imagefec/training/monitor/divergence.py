"""Watches over a run's numbers as the devices finish them, without waiting: NaN, divergence, collapse."""

import collections
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import jax
import numpy as np

from imagefec.errors import UserError

_IN_FLIGHT = 4  # steps that may wait for the device: enough to keep it busy, few enough to hear of trouble soon
_WINDOW = 50  # steps whose mean is judged
_AT_COLLAPSE = 0.005  # a loss so near to a collapsed model's, as a share of it, is one
_ADVICE = "Lower the learning rate or lengthen its warm-up, and start a new run."


class TrainingDiverged(UserError):
    """The run's numbers say that going on is no use; the checkpoint before is kept."""


@dataclass(frozen=True)
class Guards:
    """What stops a run, beside numbers that are not finite.

    Attributes:
      spread_floor: embedding spread below which all faces embed alike.
      divergence_factor: a triplet loss so many times that of step 1 and that of a collapsed model,
        for divergence_steps on end, has diverged; 0 for never.
      divergence_steps: see there; counted in windows of 50.
      collapse_steps: a triplet loss within half a percent of what a collapsed model has, 2 x margin
        for the hinge, for so many steps is stuck there; 0 for never. ResNet-50 has left that
        plateau after 1,700 steps (fec.md).
      collapse_spread: a mean embedding spread below this, with such a loss, is stuck after a tenth
        of collapse_steps: where UDA has pulled all faces together (best.md) it is under 0.01 and
        shrinks; on ResNet-50's plateau it was 0.03 to 0.05.
    """

    spread_floor: float = 1e-4
    divergence_factor: float = 5.0
    divergence_steps: int = 1000
    collapse_steps: int = 5000
    collapse_spread: float = 0.01


class TrainingMonitor:
    """The statistics of steps in flight, and their means since the last report.

    Args:
      guards: what stops a run.
      collapsed_loss: triplet loss of a model that embeds all faces alike.
      on_step: called with (step, statistics) for each step that the device has finished.
    """

    def __init__(
        self,
        guards: Guards,
        collapsed_loss: float,
        on_step: Callable[[int, dict[str, float]], None] = lambda step, statistics: None,
    ):
        self._guards, self._collapsed_loss, self._on_step = guards, collapsed_loss, on_step
        self._pending: collections.deque = collections.deque()
        self._window: list[tuple[float, float]] = []  # triplet loss and embedding spread of a step
        self._high_steps = self._stuck_steps = self._close_steps = 0
        self.start_loss: float | None = None
        self.last_loss = math.nan
        self.forget()

    def forget(self) -> None:
        """Begins the means anew."""
        self._sums: dict[str, float] = collections.defaultdict(float)
        self.steps, self._since = 0, time.monotonic()

    def push(self, step: int, statistics: dict[str, jax.Array]) -> None:
        """Takes a step's scalars, which the device may still be at; waits only where too many steps are under way.

        Raises:
          TrainingDiverged: an earlier step's say that training has broken.
        """
        for value in statistics.values():
            value.copy_to_host_async()
        self._pending.append((step, statistics))
        while self._pending and (
            len(self._pending) > _IN_FLIGHT or self._pending[0][1]["loss"].is_ready()
        ):
            self._take()

    def drain(self) -> None:
        """Waits for all steps; call it before anything is made of the weights.

        Raises:
          TrainingDiverged: as `push`.
        """
        while self._pending:
            self._take()

    def means(self) -> dict[str, float]:
        """Means over the steps since `forget`, and "steps_per_second"."""
        steps = max(1, self.steps)
        seconds = max(time.monotonic() - self._since, 1e-9)
        return {
            **{name: total / steps for name, total in self._sums.items()},
            "steps_per_second": self.steps / seconds,
        }

    def check_arrays(self, step: int, arrays: dict[str, np.ndarray]) -> None:
        """Refuses arrays that are not finite: what is about to be saved.

        Raises:
          TrainingDiverged: one is not.
        """
        for name, array in arrays.items():
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise TrainingDiverged(
                    f"at step {step} {name} is not finite: training has diverged. {_ADVICE}"
                )

    def check_spread(self, step: int, spread: float) -> None:
        """Refuses embeddings that all lie together.

        Raises:
          TrainingDiverged: they do, or the spread is not finite.
        """
        if not math.isfinite(spread):
            raise TrainingDiverged(
                f"at step {step} the embedding spread is {spread}: training has diverged. {_ADVICE}"
            )
        if spread < self._guards.spread_floor:
            raise TrainingDiverged(
                f"at step {step} the embedding spread is {spread:.1e}, below "
                f"{self._guards.spread_floor:.0e}: all faces embed alike, the model has collapsed. {_ADVICE}"
            )

    def _take(self) -> None:
        step, statistics = self._pending.popleft()
        numbers = {name: float(value) for name, value in statistics.items()}
        for name in ("loss", "gradients_l2"):
            if not math.isfinite(numbers[name]):
                raise TrainingDiverged(
                    f"at step {step} {'the loss' if name == 'loss' else 'the norm of the gradients'} is "
                    f"{numbers[name]}: training has diverged. {_ADVICE}"
                )
        self.last_loss = numbers["loss"]
        self.steps += 1
        for name, value in numbers.items():
            self._sums[name] += value
        self._judge(step, numbers["triplet"], numbers["spread"])
        self._on_step(step, numbers)

    def _judge(self, step: int, triplet: float, spread: float) -> None:
        if self.start_loss is None:
            self.start_loss = triplet
        self._window.append((triplet, spread))
        if len(self._window) < _WINDOW:
            return
        mean, mean_spread = (float(value) for value in np.mean(self._window, axis=0))
        self._window.clear()
        guards, collapsed = self._guards, self._collapsed_loss
        high = guards.divergence_factor and mean > guards.divergence_factor * max(
            self.start_loss, collapsed
        )
        self._high_steps = self._high_steps + _WINDOW if high else 0
        if high and self._high_steps >= guards.divergence_steps:
            raise TrainingDiverged(
                f"at step {step} the triplet loss is {mean:.3g} and has been more than "
                f"{guards.divergence_factor:g} times its start ({self.start_loss:.3g}) and a collapsed "
                f"model's ({collapsed:.3g}) for {self._high_steps} steps: training has diverged. {_ADVICE} "
                "guards.divergence_factor = 0 turns this check off."
            )
        stuck = guards.collapse_steps and abs(mean - collapsed) < _AT_COLLAPSE * collapsed
        close = stuck and mean_spread < guards.collapse_spread
        self._stuck_steps = self._stuck_steps + _WINDOW if stuck else 0
        self._close_steps = self._close_steps + _WINDOW if close else 0
        if stuck and (
            self._stuck_steps >= guards.collapse_steps
            or self._close_steps >= guards.collapse_steps / 10
        ):
            steps, seen = (
                (self._close_steps, f", with an embedding spread of {mean_spread:.1e}")
                if close
                else (self._stuck_steps, "")
            )
            raise TrainingDiverged(
                f"at step {step} the triplet loss has been {mean:.4g} for {steps} steps{seen}: what a "
                f"model has that embeds all faces alike ({collapsed:.4g}). It has collapsed, or never left "
                "its start. Try a longer warm-up, another learning rate, a loss that pulls from the start "
                "(@OddOneOutCrossEntropy) or less UDA (uda_consistency.weight, ramp_steps), in a new run. "
                "guards.collapse_steps = 0 turns this check off."
            )
