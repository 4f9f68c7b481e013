"""The numbers of a report: of runs, of conditions, of pairs; nothing is embedded, drawn or written here."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from imagefec.analysis import accuracy, orderings
from imagefec.analysis.evaluate import compare, score_triplets
from imagefec.analysis.report.conditions import Condition
from imagefec.analysis.report.embeddings import Embedded
from imagefec.data.store.datasets import Triplets
from imagefec.maths import uncertainty
from imagefec.model.run import Run


class Estimate(NamedTuple):
    """A number and its standard error; NaN for an error that cannot be told."""

    value: float
    error: float

    @property
    def clear(self) -> bool:
        """Whether the number lies more than two standard errors from 0."""
        return abs(self.value) > 2 * self.error


@dataclass(frozen=True)
class RunMeasures:
    """Of one run on the split: what evaluate says, which triplets it gets right, how it orders faces."""

    run: Run
    step: int | None
    scores: dict[str, Any]
    right: np.ndarray
    invariance: dict[str, Any]
    ordering: orderings.Ordering | None


@dataclass(frozen=True)
class ConditionMeasures:
    """Of one condition: its runs, and means over its seeds.

    Attributes:
      condition: name and runs.
      runs: measures of each, in the condition's order.
      tpa: mean over seeds, with the standard error over seeds; NaN for one seed.
      triplet_error: standard error of that mean for the choice of triplets, clustered by
        photograph.
      by_type: name -> estimate over seeds; None where the split has no such triplet.
      invariance, spread: likewise; None where a run has none.
      images_per_second: mean over the runs that tell.
    """

    condition: Condition
    runs: tuple[RunMeasures, ...]
    tpa: Estimate
    triplet_error: float
    by_type: dict[str, Estimate | None]
    invariance: Estimate | None
    spread: Estimate | None
    images_per_second: float | None

    @property
    def name(self) -> str:
        return self.condition.name

    @property
    def seeds(self) -> list[int]:
        return [one.run.seed for one in self.runs]

    @property
    def whole_error(self) -> float:
        """Of the TPA, for the choice of seeds and of triplets together; what is not known counts as none."""
        return _together(self.tpa.error, self.triplet_error)


@dataclass(frozen=True)
class PairMeasures:
    """Of two runs: shares of neighbours in common and rank correlation for each query, and their TPAs."""

    first: RunMeasures
    second: RunMeasures
    same_condition: bool
    overlap: np.ndarray
    rank_correlation: np.ndarray

    @property
    def same_seed(self) -> bool:
        """Of two conditions, whether they may have begun from the same weights."""
        return self.first.run.seed == self.second.run.seed

    @property
    def tpa_difference(self) -> float:
        return abs(self.first.scores["tpa"] - self.second.scores["tpa"])


@dataclass(frozen=True)
class Contrast:
    """One condition less another.

    Attributes:
      difference: of TPA; its error takes in both the choice of seeds and of triplets.
      seed_error, triplet_error: the two parts; seed_error is NaN where either has one seed.
      paired: how many seeds the error is paired by, where both conditions have the same ones; 0
        where not.
      invariance: difference of the relative view distance over seeds; None where not measured.
    """

    first: ConditionMeasures
    second: ConditionMeasures
    difference: Estimate
    seed_error: float
    triplet_error: float
    paired: int
    invariance: Estimate | None


def measure_run(
    run: Run, embedded: Embedded, data: Triplets, queries: np.ndarray, ranked: np.ndarray
) -> RunMeasures:
    """Scores one run; its ordering is None where its embeddings are not finite."""
    finite = bool(np.isfinite(embedded.vectors).all())
    ordering = (
        orderings.order_faces(embedded.vectors, data.urls, queries, ranked)
        if finite and len(queries)
        else None
    )
    return RunMeasures(
        run,
        embedded.step,
        score_triplets(embedded.vectors, data),
        accuracy.correct_triplets(embedded.vectors, data),
        embedded.invariance,
        ordering,
    )


def measure_condition(
    condition: Condition, runs: Sequence[RunMeasures], data: Triplets
) -> ConditionMeasures:
    """Averages over seeds."""
    share_right = np.mean([one.right for one in runs], axis=0)
    speeds = [one.run.images_per_second for one in runs if one.run.images_per_second]
    types = runs[0].scores["by_type"]
    return ConditionMeasures(
        condition,
        tuple(runs),
        _over_seeds([one.scores["tpa"] for one in runs]),
        uncertainty.clustered_standard_error(share_right, accuracy.photographs(data)),
        {name: _over_seeds([one.scores["by_type"][name]["tpa"] for one in runs]) for name in types},
        _over_seeds([one.invariance["relative_view_distance"] for one in runs]),
        _over_seeds([one.scores["embedding_spread"] for one in runs]),
        float(np.mean(speeds)) if speeds else None,
    )


def contrast(first: ConditionMeasures, second: ConditionMeasures, data: Triplets) -> Contrast:
    """The first condition less the second, paired by seed and by triplet."""
    gains = np.mean([one.right for one in first.runs], axis=0) - np.mean(
        [one.right for one in second.runs], axis=0
    )
    triplet_error = uncertainty.clustered_standard_error(gains, accuracy.photographs(data))
    over_seeds, paired = _difference_over_seeds(
        *([(one.run.seed, one.scores["tpa"]) for one in its.runs] for its in (first, second))
    )
    views = [
        [(one.run.seed, one.invariance["relative_view_distance"]) for one in its.runs]
        for its in (first, second)
    ]
    measured = all(value is not None for its in views for _, value in its)
    return Contrast(
        first,
        second,
        Estimate(over_seeds.value, _together(over_seeds.error, triplet_error)),
        over_seeds.error,
        triplet_error,
        paired,
        _difference_over_seeds(*views)[0] if measured else None,
    )


def compare_runs(
    best: ConditionMeasures, others: Sequence[ConditionMeasures], data: Triplets
) -> list[tuple[str, RunMeasures, RunMeasures, dict[str, Any]]]:
    """Each run of the other conditions against the best condition's of the same seed, or else its first.

    Returns:
      (condition's name, run, the best's run, what `evaluate.compare` says of the run less the
      best's) a run.
    """
    of_seed = {one.run.seed: one for one in reversed(best.runs)}
    return [
        (
            other.name,
            one,
            of_seed.get(one.run.seed, best.runs[0]),
            compare(of_seed.get(one.run.seed, best.runs[0]).right, one.right, data),
        )
        for other in others
        for one in other.runs
    ]


def measure_pairs(conditions: Sequence[ConditionMeasures]) -> list[PairMeasures]:
    """All pairs of runs whose faces could be ordered."""
    runs = [
        (place, one)
        for place, its in enumerate(conditions)
        for one in its.runs
        if one.ordering is not None
    ]
    return [
        PairMeasures(
            a,
            b,
            i == j,
            orderings.overlap(a.ordering, b.ordering),
            orderings.rank_correlation(a.ordering, b.ordering),
        )
        for (i, a), (j, b) in combinations(runs, 2)
    ]


def over_queries(values: Sequence[np.ndarray]) -> Estimate:
    """Mean over pairs and queries, with its standard error over queries; the queries of all pairs are the same."""
    each = np.mean(values, axis=0)
    return Estimate(
        float(each.mean()),
        float(each.std(ddof=1) / len(each) ** 0.5) if len(each) > 1 else math.nan,
    )


def _over_seeds(values: Sequence[float | None]) -> Estimate | None:
    if any(value is None for value in values):
        return None
    error = np.std(values, ddof=1) / len(values) ** 0.5 if len(values) > 1 else math.nan
    return Estimate(float(np.mean(values)), float(error))


def _difference_over_seeds(
    first: list[tuple[int, float]], second: list[tuple[int, float]]
) -> tuple[Estimate, int]:
    """Of the means of (seed, value) pairs: paired where both have exactly the same seeds, two or more, else unpaired."""
    seeds = sorted(seed for seed, _ in first)
    if (
        len(seeds) > 1
        and len(set(seeds)) == len(seeds)
        and seeds == sorted(seed for seed, _ in second)
    ):
        return _over_seeds([value - dict(second)[seed] for seed, value in first]), len(seeds)
    a, b = (_over_seeds([value for _, value in its]) for its in (first, second))
    return Estimate(a.value - b.value, math.hypot(a.error, b.error)), 0


def _together(*errors: float) -> float:
    return math.hypot(*(error for error in errors if math.isfinite(error)))


@dataclass(frozen=True)
class Measures:
    """All that a report says in numbers.

    Attributes:
      conditions: best TPA first.
      contrasts: each other condition less the best.
      comparisons: of compare_runs.
      pairs: of measure_pairs.
      uda: for each UDA series its conditions by weight, and each weighted one less the one of
        weight 0.
      ceiling: how often a rater agrees with the others, None where no votes tell; ceiling_by_type
        likewise.
      n_triplets, n_faces: of the split.
      n_queries: faces whose neighbours are compared.
    """

    conditions: list[ConditionMeasures]
    contrasts: list[Contrast]
    comparisons: list[tuple[str, RunMeasures, RunMeasures, dict[str, Any]]]
    pairs: list[PairMeasures]
    uda: list[tuple[list[ConditionMeasures], list[Contrast]]]
    ceiling: float | None
    ceiling_by_type: dict[str, float | None]
    n_triplets: int
    n_faces: int
    n_queries: int

    @property
    def best(self) -> ConditionMeasures:
        return self.conditions[0]

    @property
    def worst(self) -> ConditionMeasures:
        return self.conditions[-1]


def measure_all(
    conditions: Sequence[ConditionMeasures],
    series: Sequence[Sequence[Condition]],
    data: Triplets,
    n_queries: int,
) -> Measures:
    """Sets conditions against each other.

    Args:
      conditions: measured, in any order.
      series: of report_conditions.uda_series.
      data: the split.
      n_queries: of the runs' orderings.
    """
    ordered = sorted(conditions, key=lambda one: -one.tpa.value)
    best, others = ordered[0], ordered[1:]
    measured = {id(one.condition): one for one in conditions}
    uda = []
    for its in series:
        members = [measured[id(one)] for one in its]
        off = members[0]
        uda.append((members, [contrast(one, off, data) for one in members[1:]]))
    scores = best.runs[0].scores
    return Measures(
        ordered,
        [contrast(other, best, data) for other in others],
        compare_runs(best, others, data),
        measure_pairs(ordered),
        uda,
        scores["human_tpa"],
        {name: part["human_tpa"] for name, part in scores["by_type"].items()},
        len(data),
        len(data.face_ids),
        n_queries,
    )
