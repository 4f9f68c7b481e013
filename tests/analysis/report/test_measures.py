"""The numbers of a report against loops, on embeddings of known quality, and its answers."""

import dataclasses
import math
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from imagefec.analysis.report import answers, estimates, plots
from imagefec.analysis.report.conditions import Condition
from imagefec.analysis.report.embeddings import Embedded
from imagefec.analysis.report.estimates import Estimate
from imagefec.analysis.report.measures import EvaluationSet
from imagefec.analysis.report.measuring import (
    contrast,
    measure_all,
    measure_condition,
    measure_run,
)
from imagefec.data.store.datasets import Triplets
from imagefec.model.run import Run

N, T = 60, 300


def truth():
    vectors = np.random.default_rng(0).normal(size=(N, 4))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def evaluation_set():
    """Triplets whose odd face is that of the true embedding."""
    random, true = np.random.default_rng(1), truth()
    triplets = []
    for _ in range(T):
        rows = random.choice(N, 3, replace=False)
        pairs = [np.linalg.norm(true[rows[i]] - true[rows[j]]) for i, j in ((1, 2), (0, 2), (0, 1))]
        odd = int(np.argmin(pairs))
        triplets.append([*np.delete(rows, odd), rows[odd]])
    votes = random.multinomial(6, [0.1, 0.1, 0.8], T).astype(np.int32)
    data = Triplets(
        np.zeros((N, 1, 1, 3), np.uint8),
        [f"f{i}" for i in range(N)],
        [f"u{i}" for i in range(N)],
        np.array(triplets, np.int32),
        random.integers(0, 3, T).astype(np.int8),
        votes,
        votes[:, 2] / 6,
    )
    return EvaluationSet.of(data)


def measured(evaluation_set, name, noise, seeds=(0, 1, 2), weight=0.0, view=0.3):
    """A condition whose runs are the true embedding with noise."""
    runs, measures = [], []
    for seed in seeds:
        run = Run(
            Path(f"{name}{seed}"),
            {"seed": seed, "uda": {"weight": weight}, "eval_split": "validation"},
        )
        vectors = truth() + noise * np.random.default_rng([seed, len(name)]).normal(size=(N, 4))
        vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
        runs.append(run)
        invariance = {"relative_view_distance": view + 0.01 * seed}
        measures.append(measure_run(run, Embedded(vectors, invariance, 5), evaluation_set))
    return measure_condition(Condition(name, tuple(runs)), measures, evaluation_set)


@pytest.fixture(scope="module")
def good(evaluation_set):
    return measured(evaluation_set, "good", 0.1)


@pytest.fixture(scope="module")
def bad(evaluation_set):
    return measured(evaluation_set, "poor", 1.0)


@pytest.fixture(scope="module")
def uda(evaluation_set):
    return measured(evaluation_set, "augmented", 0.1, weight=1.0, view=0.1)


def tpas(condition):
    return [run.scores["tpa"] for run in condition.runs]


def pooled(*values):
    return math.sqrt(sum(np.var(sample, ddof=1) / len(sample) for sample in values))


def test_the_tpa_of_a_condition_is_the_mean_over_seeds_with_its_standard_error(
    good, evaluation_set
):
    assert good.tpa.value == pytest.approx(sum(tpas(good)) / 3)
    assert good.tpa.error == pytest.approx(pooled(tpas(good)))
    assert 0 < good.triplet_error < 0.05
    assert good.total_tpa.error == pytest.approx(math.hypot(good.tpa.error, good.triplet_error))
    assert good.view_distance == Estimate(pytest.approx(0.31), pytest.approx(0.01 / math.sqrt(3)))
    for code, name in enumerate(good.by_type):
        own = evaluation_set.data.types == code
        assert good.by_type[name].value == pytest.approx(
            np.mean([run.correct[own].mean() for run in good.runs])
        )


def test_the_total_error_of_one_seed_is_that_of_triplets(evaluation_set):
    one = measured(evaluation_set, "one", 0.1, seeds=(4,))
    assert math.isnan(one.tpa.error) and one.total_tpa.error == one.triplet_error


def test_conditions_of_the_same_seeds_are_paired_by_seed(good, bad, evaluation_set):
    found = contrast(bad, good, evaluation_set)
    gains = [b - g for b, g in zip(tpas(bad), tpas(good))]
    assert found.difference.value == pytest.approx(np.mean(gains)) and found.paired == 3
    assert found.seed_error == pytest.approx(np.std(gains, ddof=1) / math.sqrt(3))
    assert found.difference.error == pytest.approx(
        math.hypot(found.seed_error, found.triplet_error)
    )
    assert found.difference.clear and found.view_distance.value == pytest.approx(0)


def test_conditions_of_different_seeds_are_compared_as_separate_samples(good, evaluation_set):
    other = measured(evaluation_set, "other", 1.0, seeds=(5, 6))
    found = contrast(other, good, evaluation_set)
    assert found.paired == 0 and found.seed_error == pytest.approx(pooled(tpas(other), tpas(good)))
    alone = contrast(measured(evaluation_set, "alone", 1.0, seeds=(0,)), good, evaluation_set)
    assert math.isnan(alone.seed_error) and alone.difference.error == alone.triplet_error > 0


def test_all_pairs_of_runs_are_measured_and_runs_compared_with_the_best_of_their_seed(
    good, bad, evaluation_set
):
    measures = measure_all([bad, good], [], evaluation_set)
    assert measures.best is good and measures.worst is bad
    assert len(measures.pairs) == len(list(combinations(range(6), 2)))
    assert (
        sum(pair.same_condition for pair in measures.pairs) == 6
        and sum(pair.same_seed for pair in measures.pairs) == 3
    )
    pair = measures.pairs[0]
    assert pair.tpa_difference == pytest.approx(abs(tpas(good)[0] - tpas(good)[1]))
    for found in measures.comparisons:
        assert found.condition == "poor" and found.run.run.seed == found.best.run.seed
        assert found.result["difference"] == pytest.approx(found.run.tpa - found.best.tpa)
    assert measures.human_tpa == pytest.approx(_naive_human_tpa(evaluation_set.data))


def test_means_over_queries_have_the_standard_error_over_queries():
    values = [np.array([0.0, 0.5, 1.0, 0.5]), np.array([0.0, 1.0, 1.0, 0.0])]
    found = estimates.mean_over_queries(values)  # means of the queries: 0, 0.75, 1, 0.25
    assert found == (pytest.approx(0.5), pytest.approx(np.std([0, 0.75, 1, 0.25], ddof=1) / 2))


def test_the_first_answer_compares_the_best_with_human_accuracy_and_chance(
    good, bad, evaluation_set
):
    measures = measure_all([bad, good], [], evaluation_set)
    answer = answers.how_well(measures, "test")
    assert answer.verdict == f"TPA {100 * good.tpa.value:.1f} ± {100 * good.total_tpa.error:.1f} %."
    closed = (good.tpa.value - 1 / 3) / (_naive_human_tpa(evaluation_set.data) - 1 / 3)
    assert "the best of 2 conditions" in answer.text and "chance is 33.3 %" in answer.text
    assert (
        f"closes {100 * closed:.0f} % of the gap" in answer.text and "this split" not in answer.text
    )
    assert (
        "selected by TPA on this split (validation)"
        in answers.how_well(measures, "validation").text
    )


def test_models_with_clearly_different_tpa_are_found_to_differ(good, bad, evaluation_set):
    answer = answers.how_different(measure_all([bad, good], [], evaluation_set))
    assert answer.verdict.startswith("Yes")
    assert "The TPA of “good” and “poor” differs by" in answer.text
    assert "Between two seeds of “good”, the overlap is" in answer.text


def test_models_with_similar_tpa_leave_the_question_open(good, uda, evaluation_set):
    answer = answers.how_different(measure_all([good, uda], [], evaluation_set))
    assert answer.verdict == "The TPA of these models does not differ clearly."
    assert "remains open" in answer.text


def test_how_models_differ_requires_two_conditions_and_two_seeds(good, evaluation_set):
    assert (
        answers.how_different(measure_all([good], [], evaluation_set)).verdict == "Not evaluated."
    )
    singles = [
        measured(evaluation_set, "fine", 0.1, seeds=(0,)),
        measured(evaluation_set, "coarse", 1.0, seeds=(1,)),
    ]
    answer = answers.how_different(measure_all(singles, [], evaluation_set))
    assert answer.verdict == "Cannot be determined." and "has one seed" in answer.text


def test_runs_with_embeddings_that_are_not_finite_are_in_no_pair(good, evaluation_set):
    run = Run(Path("broken"), {})
    embedded = Embedded(np.full((N, 4), np.nan, np.float32), {"relative_view_distance": None}, None)
    broken = measure_condition(
        Condition("broken", (run,)), [measure_run(run, embedded, evaluation_set)], evaluation_set
    )
    measures = measure_all([good, broken], [], evaluation_set)
    assert (
        measures.worst is broken
        and broken.tpa.value == 0
        and broken.view_distance is None
        and len(measures.pairs) == 3
    )
    assert answers.how_different(measures).verdict == "Cannot be determined."


def test_uda_is_compared_with_weight_0_of_its_series(good, bad, uda, evaluation_set):
    measures = measure_all([good, uda], [[good.condition, uda.condition]], evaluation_set)
    answer = answers.how_useful_was_uda(measures)
    assert answer.verdict == "No clear gain in TPA." and "(paired over 3 seeds)" in answer.text
    assert "from 0.31 ± 0.01 to 0.11 ± 0.01" in answer.text
    helped = answers.how_useful_was_uda(
        measure_all([bad, uda], [[bad.condition, uda.condition]], evaluation_set)
    )
    assert helped.verdict == "It raised TPA."
    harmed = answers.how_useful_was_uda(
        measure_all([bad, uda], [[uda.condition, bad.condition]], evaluation_set)
    )
    assert harmed.verdict == "It lowered TPA."
    assert (
        answers.how_useful_was_uda(measure_all([good], [], evaluation_set)).verdict
        == "Not evaluated."
    )


def test_a_split_without_types_and_votes_is_reported_without_them(evaluation_set):
    bare = EvaluationSet.of(
        dataclasses.replace(
            evaluation_set.data,
            types=np.full(T, -1, np.int8),
            vote_counts=np.zeros((T, 3), np.int32),
        )
    )
    measures = measure_all([measured(bare, "good", 0.1), measured(bare, "poor", 1.0)], [], bare)
    assert measures.human_tpa is None and set(measures.best.by_type.values()) == {None}
    assert "no votes to compute human accuracy" in answers.how_well(measures, "test").text
    assert plots.plot_types(measures).startswith(b"\x89PNG")


@pytest.mark.parametrize("n", [1, 12])
def test_plots_of_few_and_many_conditions_are_small(evaluation_set, n, tmp_path):
    many = [
        measured(
            evaluation_set,
            f"condition {place} with a name that is too long for a plot",
            0.1 * place,
            weight=float(place),
        )
        for place in range(n)
    ]
    for one in (run for condition in many for run in condition.runs):
        one.run.history["eval"] = {
            "metrics/tpa": [
                [step, one.scores["tpa"] * min(1, step / 500)] for step in (1, 300, 900)
            ]
        }
    measures = measure_all(many, [[one.condition for one in many]] if n > 1 else [], evaluation_set)
    pngs = [
        plots.plot_curves(measures),
        plots.plot_types(measures),
        plots.plot_pairs(measures),
        plots.plot_uda(measures.uda[0][0]) if n > 1 else None,
    ]
    for place, png in enumerate(pngs):
        if png is not None:
            (tmp_path / f"{place}.png").write_bytes(png)
            assert len(png) < 100_000
    assert len(list(tmp_path.iterdir())) == (4 if n > 1 else 3)


def test_numbers_are_printed_with_their_errors_if_known():
    assert estimates.percent(Estimate(0.4567, 0.0123)) == "45.7 ± 1.2 %"
    assert (
        estimates.percent(Estimate(0.4567, math.nan)) == "45.7 %"
        and estimates.percent(None) == "none"
    )
    assert estimates.points(Estimate(-0.04, 0.023)) == "−4.0 ± 2.3 points"
    assert estimates.points(Estimate(0.01, math.nan)) == "+1.0 points"
    assert estimates.number(Estimate(0.318, 0.021)) == "0.32 ± 0.02"


def _naive_human_tpa(data):
    n_correct = n_counted = 0
    for votes in data.vote_counts:
        for face in range(3):
            others = votes.copy()
            others[face] -= 1
            if votes[face] and (others == others.max()).sum() == 1:
                n_counted += votes[face]
                n_correct += votes[face] * (others.argmax() == face)
    return n_correct / n_counted
