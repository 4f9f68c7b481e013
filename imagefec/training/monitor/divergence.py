"""Statistics of steps, read without waiting for the devices; stops runs that have failed."""

import collections
import math
import time
from collections.abc import Callable

import jax
import numpy as np

from imagefec.errors import UserError
from imagefec.training.config import DivergenceConfig

_IN_FLIGHT = 4  # unfinished steps: enough to keep the device busy, few enough to stop soon
_WINDOW = 50  # steps whose mean is compared with the limits
_NEAR_COLLAPSE = 0.005  # relative distance from a collapsed model's loss
_ADVICE = "Lower the learning rate or lengthen its warm-up, and start a new run."


class TrainingDiverged(UserError):
    """Training has failed; the last checkpoint precedes the failure."""


class TrainingMonitor:
    """Averages the statistics of steps, and raises TrainingDiverged if they show a failure.

    Args:
      config: when training counts as failed.
      collapsed_loss: loss of a model that embeds all faces alike.
      on_step: called with (step, statistics) for each finished step.
    """

    def __init__(
        self,
        config: DivergenceConfig,
        collapsed_loss: float,
        on_step: Callable[[int, dict[str, float]], None] | None = None,
    ) -> None:
        self._config, self._collapsed_loss, self._on_step = config, collapsed_loss, on_step
        self._pending: collections.deque = collections.deque()
        self._window: list[tuple[float, float]] = []  # loss and embedding spread of each step
        self._steps_high = self._steps_stuck = self._steps_close = 0
        self.start_loss: float | None = None
        self.last_loss = math.nan
        self.reset_means()

    def reset_means(self) -> None:
        """Starts new means."""
        self._sums: dict[str, float] = collections.defaultdict(float)
        self.steps, self._since = 0, time.monotonic()

    def push(self, step: int, statistics: dict[str, jax.Array]) -> None:
        """Adds a step's statistics, finished or not; waits only if too many steps are unfinished.

        Args:
          step: number of the step.
          statistics: float32 scalars on a device: "loss", "gradients_l2", "triplet" (the loss
            without other terms), "spread" (of the embeddings) and any others.

        Raises:
          TrainingDiverged: an earlier step shows that training has failed.
        """
        for value in statistics.values():
            value.copy_to_host_async()
        self._pending.append((step, statistics))
        while self._pending and (
            len(self._pending) > _IN_FLIGHT or self._pending[0][1]["loss"].is_ready()
        ):
            self._finish_step()

    def drain(self) -> None:
        """Waits for all steps; call it before the weights are used.

        Raises:
          TrainingDiverged: as for `push`.
        """
        while self._pending:
            self._finish_step()

    def means(self) -> dict[str, float]:
        """Means over the steps since `reset_means`, and "steps_per_second"."""
        seconds = max(time.monotonic() - self._since, 1e-9)
        means = {name: total / max(1, self.steps) for name, total in self._sums.items()}
        return {**means, "steps_per_second": self.steps / seconds}

    def check_arrays(self, step: int, arrays: dict[str, np.ndarray]) -> None:
        """Checks that arrays to be saved are finite.

        Raises:
          TrainingDiverged: an array is not; the message names it.
        """
        for name, array in arrays.items():
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise TrainingDiverged(
                    f"at step {step} {name} is not finite: training has diverged. {_ADVICE}"
                )

    def check_spread(self, step: int, spread: float) -> None:
        """Checks the RMS pairwise distance of embeddings.

        Raises:
          TrainingDiverged: it is below spread_floor or not finite.
        """
        if not math.isfinite(spread):
            raise TrainingDiverged(
                f"at step {step} the embedding spread is {spread}: training has diverged. {_ADVICE}"
            )
        if spread < self._config.spread_floor:
            raise TrainingDiverged(
                f"at step {step} the embedding spread is {spread:.1e}, below "
                f"{self._config.spread_floor:.0e}: the model embeds all faces alike, it has "
                f"collapsed. {_ADVICE}"
            )

    def _finish_step(self) -> None:
        step, statistics = self._pending.popleft()
        values = {name: float(value) for name, value in statistics.items()}
        for name, what in (("loss", "the loss"), ("gradients_l2", "the norm of the gradients")):
            if not math.isfinite(values[name]):
                raise TrainingDiverged(
                    f"at step {step} {what} is {values[name]}: training has diverged. {_ADVICE}"
                )
        self.last_loss = values["loss"]
        self.steps += 1
        for name, value in values.items():
            self._sums[name] += value
        self._check_loss(step, values["triplet"], values["spread"])
        if self._on_step:
            self._on_step(step, values)

    def _check_loss(self, step: int, loss: float, spread: float) -> None:
        if self.start_loss is None:
            self.start_loss = loss
        self._window.append((loss, spread))
        if len(self._window) < _WINDOW:
            return
        mean, mean_spread = (float(value) for value in np.mean(self._window, axis=0))
        self._window.clear()
        self._check_divergence(step, mean, self.start_loss)
        self._check_collapse(step, mean, mean_spread)

    def _check_divergence(self, step: int, mean: float, start_loss: float) -> None:
        factor, collapsed = self._config.divergence_factor, self._collapsed_loss
        high = factor and mean > factor * max(start_loss, collapsed)
        self._steps_high = self._steps_high + _WINDOW if high else 0
        if high and self._steps_high >= self._config.divergence_steps:
            raise TrainingDiverged(
                f"at step {step} the loss is {mean:.3g}; for {self._steps_high} steps it has been "
                f"more than {factor:g} times its start ({start_loss:.3g}) and a collapsed model's "
                f"({collapsed:.3g}): training has diverged. {_ADVICE} guards.divergence_factor = 0 "
                "turns this check off."
            )

    def _check_collapse(self, step: int, mean: float, mean_spread: float) -> None:
        limit, collapsed = self._config.collapse_steps, self._collapsed_loss
        stuck = limit and abs(mean - collapsed) < _NEAR_COLLAPSE * collapsed
        close = stuck and mean_spread < self._config.collapse_spread
        self._steps_stuck = self._steps_stuck + _WINDOW if stuck else 0
        self._steps_close = self._steps_close + _WINDOW if close else 0
        if not stuck or (self._steps_stuck < limit and self._steps_close < limit / 10):
            return
        steps, spread = (
            (self._steps_close, f" with an embedding spread of {mean_spread:.1e}")
            if close
            else (self._steps_stuck, "")
        )
        raise TrainingDiverged(
            f"at step {step} the loss has been {mean:.4g} for {steps} steps{spread}. That is the "
            f"loss of a model that embeds all faces alike ({collapsed:.4g}): it has collapsed, or "
            "has not left its initial state. In a new run, try a longer warm-up, another learning "
            "rate, a loss with a gradient from the first step (@OddOneOutCrossEntropy), or less "
            "UDA (uda_consistency.weight, ramp_steps). guards.collapse_steps = 0 turns this check "
            "off."
        )
