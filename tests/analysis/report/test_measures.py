"""The numbers of a report against loops, on made embeddings of known quality; and what the answers make of them."""

import dataclasses
import math
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from imagefec.analysis import orderings
from imagefec.analysis.report import answers as answers
from imagefec.analysis.report import plots
from imagefec.analysis.report.conditions import Condition
from imagefec.analysis.report.embeddings import Embedded
from imagefec.analysis.report.measures import (
    Estimate,
    contrast,
    measure_all,
    measure_condition,
    measure_run,
    over_queries,
)
from imagefec.data.store.datasets import Triplets
from imagefec.model.run import Run

N, T = 60, 300


def truth():
    vectors = np.random.default_rng(0).normal(size=(N, 4))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def data():
    """Triplets whose odd one is right in the true embedding."""
    random, true = np.random.default_rng(1), truth()
    triplets = []
    for _ in range(T):
        rows = random.choice(N, 3, replace=False)
        pairs = [np.linalg.norm(true[rows[i]] - true[rows[j]]) for i, j in ((1, 2), (0, 2), (0, 1))]
        odd = int(np.argmin(pairs))
        triplets.append([*np.delete(rows, odd), rows[odd]])
    votes = random.multinomial(6, [0.1, 0.1, 0.8], T).astype(np.int32)
    return Triplets(
        np.zeros((N, 1, 1, 3), np.uint8),
        [f"f{i}" for i in range(N)],
        [f"u{i}" for i in range(N)],
        np.array(triplets, np.int32),
        random.integers(0, 3, T).astype(np.int8),
        votes,
        votes[:, 2] / 6,
    )


def measured(data, name, noise, seeds=(0, 1, 2), weight=0.0, view=0.3):
    """A condition whose runs see the truth through noise."""
    queries, ranked = orderings.choose_faces(N)
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
        measures.append(measure_run(run, Embedded(vectors, invariance, 5), data, queries, ranked))
    return measure_condition(Condition(name, tuple(runs)), measures, data)


@pytest.fixture(scope="module")
def good(data):
    return measured(data, "good", 0.1)


@pytest.fixture(scope="module")
def bad(data):
    return measured(data, "poor", 1.0)


@pytest.fixture(scope="module")
def uda(data):
    return measured(data, "augmented", 0.1, weight=1.0, view=0.1)


def tpas(condition):
    return [run.scores["tpa"] for run in condition.runs]


def pooled(*values):
    return math.sqrt(sum(np.var(its, ddof=1) / len(its) for its in values))


def test_a_conditions_tpa_is_the_mean_over_seeds_with_its_standard_error(good, data):
    assert good.tpa.value == pytest.approx(sum(tpas(good)) / 3)
    assert good.tpa.error == pytest.approx(pooled(tpas(good)))
    assert 0 < good.triplet_error < 0.05
    assert good.whole_error == pytest.approx(math.hypot(good.tpa.error, good.triplet_error))
    assert good.invariance == Estimate(pytest.approx(0.31), pytest.approx(0.01 / math.sqrt(3)))
    for code, name in enumerate(good.by_type):
        own = data.types == code
        assert good.by_type[name].value == pytest.approx(
            np.mean([run.right[own].mean() for run in good.runs])
        )


def test_one_seed_has_no_error_over_seeds_and_its_whole_error_is_that_of_triplets(data):
    one = measured(data, "one", 0.1, seeds=(4,))
    assert math.isnan(one.tpa.error) and one.whole_error == one.triplet_error


def test_conditions_of_the_same_seeds_are_compared_in_pairs(good, bad, data):
    found = contrast(bad, good, data)
    gains = [b - g for b, g in zip(tpas(bad), tpas(good))]
    assert found.difference.value == pytest.approx(np.mean(gains)) and found.paired == 3
    assert found.seed_error == pytest.approx(np.std(gains, ddof=1) / math.sqrt(3))
    assert found.difference.error == pytest.approx(
        math.hypot(found.seed_error, found.triplet_error)
    )
    assert found.difference.clear and found.invariance.value == pytest.approx(0)


def test_conditions_of_other_seeds_are_compared_as_separate_samples(good, data):
    other = measured(data, "other", 1.0, seeds=(5, 6))
    found = contrast(other, good, data)
    assert found.paired == 0 and found.seed_error == pytest.approx(pooled(tpas(other), tpas(good)))
    alone = contrast(measured(data, "alone", 1.0, seeds=(0,)), good, data)
    assert math.isnan(alone.seed_error) and alone.difference.error == alone.triplet_error > 0


def test_every_pair_of_runs_is_measured_and_single_runs_are_held_against_the_bests_of_their_seed(
    good, bad, data
):
    measures = measure_all([bad, good], [], data, N)
    assert measures.best is good and measures.worst is bad
    assert len(measures.pairs) == len(list(combinations(range(6), 2)))
    assert (
        sum(pair.same_condition for pair in measures.pairs) == 6
        and sum(pair.same_seed for pair in measures.pairs) == 3
    )
    pair = measures.pairs[0]
    assert pair.tpa_difference == pytest.approx(abs(tpas(good)[0] - tpas(good)[1]))
    for name, run, other, found in measures.comparisons:
        assert name == "poor" and run.run.seed == other.run.seed
        assert found["difference"] == pytest.approx(run.scores["tpa"] - other.scores["tpa"])
    assert measures.ceiling == pytest.approx(_naive_ceiling(data))


def test_means_over_queries_have_the_error_of_the_queries():
    values = [np.array([0.0, 0.5, 1.0, 0.5]), np.array([0.0, 1.0, 1.0, 0.0])]
    found = over_queries(values)  # queries' means 0, 0.75, 1, 0.25
    assert found == (pytest.approx(0.5), pytest.approx(np.std([0, 0.75, 1, 0.25], ddof=1) / 2))


def test_the_first_answer_holds_the_best_against_ceiling_and_chance(good, bad, data):
    measures = measure_all([bad, good], [], data, N)
    answer = answers.how_well(measures, "test")
    assert answer.verdict == f"TPA {100 * good.tpa.value:.1f} ± {100 * good.whole_error:.1f} %."
    way = (good.tpa.value - 1 / 3) / (_naive_ceiling(data) - 1 / 3)
    assert "the best of 2 conditions" in answer.text and "chance is 33.3 %" in answer.text
    assert f"{100 * way:.0f} % of the way" in answer.text and "same split" not in answer.text
    assert "chosen by their TPA on this same split" in answers.how_well(measures, "validation").text


def test_models_of_clearly_different_tpa_are_found_to_differ(good, bad, data):
    answer = answers.how_different(measure_all([bad, good], [], data, N))
    assert answer.verdict.startswith("Yes")
    assert (
        "“good” and “poor” differ by" in answer.text and "Two seeds of “good” share" in answer.text
    )


def test_models_of_like_tpa_leave_the_question_open(good, uda, data):
    answer = answers.how_different(measure_all([good, uda], [], data, N))
    assert answer.verdict == "These models do not differ clearly." and "left open" in answer.text


def test_one_condition_or_one_seed_each_cannot_answer_how_models_differ(good, data):
    assert answers.how_different(measure_all([good], [], data, N)).verdict == "Not asked."
    singles = [measured(data, "fine", 0.1, seeds=(0,)), measured(data, "coarse", 1.0, seeds=(1,))]
    answer = answers.how_different(measure_all(singles, [], data, N))
    assert answer.verdict == "Cannot be told." and "no two seeds" in answer.text


def test_embeddings_that_are_not_finite_are_left_out_of_pairs(good, data):
    queries, ranked = orderings.choose_faces(N)
    run = Run(Path("broken"), {})
    embedded = Embedded(np.full((N, 4), np.nan, np.float32), {"relative_view_distance": None}, None)
    broken = measure_condition(
        Condition("broken", (run,)), [measure_run(run, embedded, data, queries, ranked)], data
    )
    measures = measure_all([good, broken], [], data, N)
    assert (
        measures.worst is broken
        and broken.tpa.value == 0
        and broken.invariance is None
        and len(measures.pairs) == 3
    )
    assert answers.how_different(measures).verdict == "Cannot be told."


def test_uda_is_judged_against_its_own_series_without_it(good, bad, uda, data):
    measures = measure_all([good, uda], [[good.condition, uda.condition]], data, N)
    answer = answers.how_useful_was_uda(measures)
    assert answer.verdict == "No clear gain in TPA." and "3 seeds paired" in answer.text
    assert "from 0.31 ± 0.01 to 0.11 ± 0.01" in answer.text
    helped = answers.how_useful_was_uda(
        measure_all([bad, uda], [[bad.condition, uda.condition]], data, N)
    )
    assert helped.verdict == "It raised TPA."
    harmed = answers.how_useful_was_uda(
        measure_all([bad, uda], [[uda.condition, bad.condition]], data, N)
    )
    assert harmed.verdict == "It lowered TPA."
    assert answers.how_useful_was_uda(measure_all([good], [], data, N)).verdict == "Not asked."


def test_a_split_without_types_and_votes_is_told_and_drawn_without_them(data):
    bare = dataclasses.replace(
        data, types=np.full(T, -1, np.int8), vote_counts=np.zeros((T, 3), np.int32)
    )
    measures = measure_all([measured(bare, "good", 0.1), measured(bare, "poor", 1.0)], [], bare, N)
    assert measures.ceiling is None and set(measures.best.by_type.values()) == {None}
    assert "no votes to tell a ceiling" in answers.how_well(measures, "test").text
    assert plots.plot_types(measures).startswith(b"\x89PNG")


@pytest.mark.parametrize("n", [1, 12])
def test_plots_of_few_and_many_conditions_are_small(data, n, tmp_path):
    many = [
        measured(
            data,
            f"condition {place} with a long name, such as nobody should give",
            0.1 * place,
            weight=float(place),
        )
        for place in range(n)
    ]
    for one in (run for its in many for run in its.runs):
        one.run.history["eval"] = {
            "metrics/tpa": [
                [step, one.scores["tpa"] * min(1, step / 500)] for step in (1, 300, 900)
            ]
        }
    measures = measure_all(many, [[one.condition for one in many]] if n > 1 else [], data, N)
    drawn = [
        plots.plot_curves(measures),
        plots.plot_types(measures),
        plots.plot_pairs(measures),
        plots.plot_uda(measures.uda[0][0]) if n > 1 else None,
    ]
    for place, png in enumerate(drawn):
        if png is not None:
            (tmp_path / f"{place}.png").write_bytes(png)
            assert len(png) < 100_000
    assert len(list(tmp_path.iterdir())) == (4 if n > 1 else 3)


def test_numbers_are_written_with_their_errors_where_there_are_any():
    assert answers.percent(Estimate(0.4567, 0.0123)) == "45.7 ± 1.2 %"
    assert (
        answers.percent(Estimate(0.4567, math.nan)) == "45.7 %" and answers.percent(None) == "none"
    )
    assert answers.points(Estimate(-0.04, 0.023)) == "−4.0 ± 2.3 points"
    assert answers.points(Estimate(0.01, math.nan)) == "+1.0 points"
    assert answers.number(Estimate(0.318, 0.021)) == "0.32 ± 0.02"


def _naive_ceiling(data):
    right = counted = 0
    for votes in data.vote_counts:
        for face in range(3):
            others = votes.copy()
            others[face] -= 1
            if votes[face] and (others == others.max()).sum() == 1:
                counted += votes[face]
                right += votes[face] * (others.argmax() == face)
    return right / counted
