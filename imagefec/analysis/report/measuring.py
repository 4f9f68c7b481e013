"""Measures runs on a split and compares them; nothing is embedded, plotted or written."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np

from imagefec.analysis import accuracy, orderings, retrieval
from imagefec.analysis.evaluate import compare_predictions, score_triplets
from imagefec.analysis.report.conditions import Condition
from imagefec.analysis.report.embeddings import Embedded
from imagefec.analysis.report.estimates import (
    Estimate,
    combined_error,
    difference_over_seeds,
    mean_over_known,
    mean_with_error,
)
from imagefec.analysis.report.measures import (
    ConditionMeasures,
    Contrast,
    EvaluationSet,
    Measures,
    PairMeasures,
    RunComparison,
    RunMeasures,
)
from imagefec.maths import uncertainty
from imagefec.model.run import Run


def measure_run(run: Run, embedded: Embedded, evaluation_set: EvaluationSet) -> RunMeasures:
    """Measures one run on the evaluation set."""
    vectors, ordering = embedded.vectors, None
    if np.isfinite(vectors).all() and len(evaluation_set.queries):
        ordering = orderings.order_faces(
            vectors, evaluation_set.data.urls, evaluation_set.queries, evaluation_set.ranked
        )
    correct = accuracy.correct_predictions(vectors, evaluation_set.data)
    scores = score_triplets(vectors, correct, evaluation_set.data, evaluation_set.photos)
    neighbours = _neighbours(vectors, correct, evaluation_set)
    return RunMeasures(
        run, embedded.step, scores, correct, embedded.invariance, ordering, neighbours
    )


def _neighbours(
    vectors: np.ndarray, correct: np.ndarray, evaluation_set: EvaluationSet
) -> dict[str, Any]:
    data, known = evaluation_set.data, evaluation_set.annotations
    if known is None:
        return {}
    odd = retrieval.score_same_person_odd(correct, data.triplets, known, evaluation_set.photos)
    return {**retrieval.score_neighbours(vectors, data.urls, known), "same_person_odd": odd}


def measure_condition(
    condition: Condition, runs: Sequence[RunMeasures], evaluation_set: EvaluationSet
) -> ConditionMeasures:
    """Averages the measures of a condition's runs over seeds."""
    speeds = [run.run.images_per_second for run in runs]
    known_speeds = [speed for speed in speeds if speed]
    return ConditionMeasures(
        condition,
        tuple(runs),
        mean_with_error([run.tpa for run in runs]),
        uncertainty.clustered_standard_error(_mean_correct(runs), evaluation_set.photos),
        {
            name: mean_over_known([run.scores["by_type"][name]["tpa"] for run in runs])
            for name in runs[0].scores["by_type"]
        },
        mean_over_known([run.view_distance for run in runs]),
        mean_over_known([run.scores["embedding_spread"] for run in runs]),
        float(np.mean(known_speeds)) if known_speeds else None,
    )


def measure_all(
    conditions: Sequence[ConditionMeasures],
    series: Sequence[Sequence[Condition]],
    evaluation_set: EvaluationSet,
) -> Measures:
    """Compares conditions and runs.

    Args:
      conditions: their measures, in any order.
      series: as returned by `conditions.uda_series`.
      evaluation_set: what they were measured on.
    """
    ordered = sorted(conditions, key=lambda condition: -condition.tpa.value)
    best, others = ordered[0], ordered[1:]
    measures_of = {id(measures.condition): measures for measures in conditions}
    uda = []
    for members in ([measures_of[id(condition)] for condition in each] for each in series):
        uda.append(
            (members, [contrast(member, members[0], evaluation_set) for member in members[1:]])
        )
    scores = best.runs[0].scores
    return Measures(
        ordered,
        [contrast(other, best, evaluation_set) for other in others],
        _compare_with_best(best, others, evaluation_set),
        _measure_pairs(ordered),
        uda,
        scores["human_tpa"],
        {name: part["human_tpa"] for name, part in scores["by_type"].items()},
        evaluation_set.rater_source,
        len(evaluation_set.data),
        len(evaluation_set.data.face_ids),
        len(evaluation_set.queries),
    )


def contrast(
    first: ConditionMeasures, second: ConditionMeasures, evaluation_set: EvaluationSet
) -> Contrast:
    """The first condition minus the second, paired by triplet and, if possible, by seed."""
    gains = _mean_correct(first.runs) - _mean_correct(second.runs)
    triplet_error = uncertainty.clustered_standard_error(gains, evaluation_set.photos)
    over_seeds, paired = difference_over_seeds(
        *([(run.run.seed, run.tpa) for run in side.runs] for side in (first, second))
    )
    view_distance = None
    if first.view_distance is not None and second.view_distance is not None:
        view_distance, _ = difference_over_seeds(*map(_view_distances, (first, second)))
    return Contrast(
        first,
        second,
        Estimate(over_seeds.value, combined_error(over_seeds.error, triplet_error)),
        over_seeds.error,
        triplet_error,
        paired,
        view_distance,
    )


def _compare_with_best(
    best: ConditionMeasures, others: Sequence[ConditionMeasures], evaluation_set: EvaluationSet
) -> list[RunComparison]:
    best_of_seed = {run.run.seed: run for run in reversed(best.runs)}
    comparisons = []
    for other in others:
        for run in other.runs:
            reference = best_of_seed.get(run.run.seed, best.runs[0])
            result = compare_predictions(reference.correct, run.correct, evaluation_set.photos)
            comparisons.append(RunComparison(other.name, run, reference, result))
    return comparisons


def _measure_pairs(conditions: Sequence[ConditionMeasures]) -> list[PairMeasures]:
    runs = [
        (place, run, run.ordering)
        for place, condition in enumerate(conditions)
        for run in condition.runs
        if run.ordering is not None
    ]
    return [
        PairMeasures(
            a,
            b,
            i == j,
            orderings.neighbour_overlap(a_ordering, b_ordering),
            orderings.rank_correlation(a_ordering, b_ordering),
        )
        for (i, a, a_ordering), (j, b, b_ordering) in combinations(runs, 2)
    ]


def _mean_correct(runs: Sequence[RunMeasures]) -> np.ndarray:
    """Share of the runs that predict each triplet correctly: float64 [triplets]."""
    return np.mean([run.correct for run in runs], axis=0)


def _view_distances(condition: ConditionMeasures) -> list[tuple[int, float]]:
    return [
        (run.run.seed, run.view_distance) for run in condition.runs if run.view_distance is not None
    ]
