"""Numbers with standard errors: how they are averaged over seeds and queries, and printed."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Estimate(NamedTuple):
    """A number and its standard error; NaN for an unknown error."""

    value: float
    error: float

    @property
    def clear(self) -> bool:
        """Whether the number differs from 0 by more than two standard errors."""
        return abs(self.value) > 2 * self.error


def mean_with_error(values: Sequence[float]) -> Estimate:
    """Mean with its standard error; NaN as the error of a single value."""
    from scipy.stats import sem

    return Estimate(float(np.mean(values)), float(sem(values)) if len(values) > 1 else math.nan)


def mean_over_known(values: Sequence[float | None]) -> Estimate | None:
    """`mean_with_error`, or None if a value is None."""
    known = [value for value in values if value is not None]
    return mean_with_error(known) if len(known) == len(values) else None


def mean_over_queries(values: Sequence[np.ndarray]) -> Estimate:
    """Mean over pairs of runs and queries, with its standard error over queries.

    Args:
      values: float [q] for each pair, over the same queries.
    """
    return mean_with_error(np.mean(values, axis=0).tolist())


def difference_over_seeds(
    first: Sequence[tuple[int, float]], second: Sequence[tuple[int, float]]
) -> tuple[Estimate, int]:
    """Difference of the means of (seed, value) pairs, first minus second.

    Returns:
      (difference, number of seeds that it is paired by, 0 if unpaired). It is paired if both sides
      have the same seeds, two or more.
    """
    seeds = sorted(seed for seed, _ in first)
    same = seeds == sorted(seed for seed, _ in second)
    if same and len(set(seeds)) == len(seeds) > 1:
        of_seed = dict(second)
        return mean_with_error([value - of_seed[seed] for seed, value in first]), len(seeds)
    a, b = (mean_with_error([value for _, value in side]) for side in (first, second))
    return Estimate(a.value - b.value, math.hypot(a.error, b.error)), 0


def combined_error(*errors: float) -> float:
    """Combines standard errors of independent sources; unknown ones count as 0."""
    return math.hypot(*(error for error in errors if math.isfinite(error)))


def percent(value: float | Estimate | None) -> str:
    """Prints a fraction as "45.2 %" or "45.2 ± 0.8 %"."""
    if value is None:
        return "none"
    if not isinstance(value, Estimate):
        return f"{100 * value:.1f} %"
    return f"{100 * value.value:.1f}{_plus_minus(100 * value.error, 1)} %"


def points(value: Estimate, sign: bool = True) -> str:
    """Prints a difference of fractions as "+1.2 ± 0.4 points"."""
    text = f"{100 * value.value:+.1f}" if sign else f"{100 * value.value:.1f}"
    return f"{text}{_plus_minus(100 * value.error, 1)} points".replace("-", "−")


def number(value: Estimate | None) -> str:
    """Prints a number as "0.41 ± 0.02"."""
    if value is None:
        return "none"
    return f"{value.value:.2f}{_plus_minus(value.error, 2)}".replace("-", "−")


def n_of(n: int, noun: str) -> str:
    """Prints a count as "1 seed" or "3 seeds"."""
    return f"{n} {noun}{'' if n == 1 or noun.endswith('s') else 's'}"


def _plus_minus(error: float, digits: int) -> str:
    return "" if math.isnan(error) else f" ± {error:.{digits}f}"
