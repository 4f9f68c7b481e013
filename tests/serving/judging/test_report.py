"""The figures of raters, worked by hand, and that a careless one stands out."""

import random

import numpy as np
import pytest

from imagefec.maths.metrics import leave_one_out_human_accuracy
from imagefec.serving.judging.journal import Answer
from imagefec.serving.judging.report import (
    _at_most,
    judgements,
    leave_one_out,
    rater_figures,
    report_lines,
    report_of,
)
from imagefec.serving.judging.schedule import (
    CATCH,
    COMMON,
    JUDGEMENT,
    REPEAT,
    Schedule,
    Trial,
)
from tests.serving.judging.plans import plan_of


def answered(trial, choice, ms=1000.0, away=False, rater="Anna"):
    return Answer(rater, trial, choice, ms, away, "2026-01-01T00:00:00.000Z")


def judgement(number, faces, choice, **options):
    return answered(Trial(number, JUDGEMENT, tuple(faces), "train", COMMON), choice, **options)


def test_the_figures_of_one_rater():
    found = rater_figures(
        [
            judgement(1, "abc", 0, ms=1000),  # a
            judgement(2, "def", 1, ms=2000),  # e
            answered(Trial(3, REPEAT, tuple("bca"), repeats=1), 2, ms=3000),  # a again
            answered(Trial(4, REPEAT, tuple("fde"), repeats=2), 0, ms=9000, away=True),  # f, not e
            answered(Trial(5, CATCH, tuple("aab")), 2, ms=500),  # right
            answered(Trial(6, CATCH, tuple("dfd")), 0, ms=600),  # wrong
        ]
    )
    assert found == {
        "answers": 6,
        "judgements": 2,
        "repeats": {"same": 1, "shown": 2, "share": 0.5},
        "catches": {"right": 1, "shown": 2, "share": 0.5},
        "median_ms": 1000.0,  # of 500, 600, 1000, 2000, 3000
        "places": [0.5, 0.1667, 0.3333],
        "place_bias": 0.5,
    }


def test_leave_one_out_compares_with_the_unique_majority_of_the_others():
    choices = {
        "Anna": {1: "a", 2: "a", 3: "a", 4: "a"},
        "Ben": {1: "a", 2: "b", 3: "b"},
        "Cem": {1: "b", 2: "b", 3: "c"},
        "Dora": {1: "a"},
    }
    # 1: a, b, a -> a, right. 2: b, b -> wrong. 3: b, c tie. 4: nobody else.
    assert leave_one_out("Anna", choices) == {"right": 1, "counted": 2, "share": 0.5}


def test_the_human_accuracy_is_that_of_the_metrics():
    rng = random.Random(3)
    triplets = [tuple(f"{t}{face}" for face in "abc") for t in range(60)]
    standing = {
        name: [
            judgement(i + 1, faces, rng.choice([0, 0, 0, 1, 2]), rater=name)
            for i, faces in enumerate(rng.sample(triplets, 40))
        ]
        for name in ("Anna", "Ben", "Cem", "Dora", "Eva")
    }
    judged = [judgements(answers) for answers in standing.values()]
    counts = [
        [sum(each.get(frozenset(faces)) == face for each in judged) for face in faces]
        for faces in triplets
    ]
    expected = leave_one_out_human_accuracy(np.array(counts))
    assert report_of(standing)["human_accuracy"]["share"] == pytest.approx(expected, abs=1e-4)


def test_pairs_are_compared_on_the_triplets_that_both_judged():
    standing = {
        "Anna": [judgement(1, "abc", 0), judgement(2, "def", 1), judgement(3, "ghi", 2)],
        "Ben": [judgement(1, "cba", 2), judgement(2, "def", 0)],  # a, and d instead of e
        "Cem": [judgement(1, "xyz", 0)],
    }
    assert report_of(standing)["pairs"] == [
        {"raters": ["Anna", "Ben"], "same": 1, "shared": 2, "share": 0.5}
    ]


def test_the_binomial_tail_by_hand():
    assert _at_most(1, 4, 0.5) == pytest.approx(5 / 16)  # 1 + 4 of 16
    assert _at_most(-1, 4, 0.5) == 0 and _at_most(4, 4, 0.3) == pytest.approx(1)
    assert 0 < _at_most(3000, 9000, 1 / 3) < 1


def simulate(n=120, careless=("Zed",), seed=0):
    """Careful raters, who choose the odd label if there is one, and some who press one key."""
    plan = plan_of(90, seed=seed)
    rng, schedule, standing = random.Random(seed), Schedule(plan), {}
    for rater in ("Anna", "Ben", *careless):
        answers = []
        for _ in range(n):
            trial = schedule.next_trial(rater, [each.trial for each in answers])
            labels = [plan.labels[face] for face in trial.faces]
            odd = [place for place in range(3) if labels.count(labels[place]) == 1]
            choice = odd[0] if len(odd) == 1 else trial.faces.index(min(trial.faces))
            if trial.kind == CATCH:
                choice = [trial.faces.count(face) for face in trial.faces].index(1)
            elif rng.random() < 0.2:
                choice = rng.randrange(3)
            ms = rng.gauss(2000, 300)
            if rater in careless:
                choice, ms = rng.choices([0, 1, 2], [1, 30, 1])[0], rng.gauss(420, 40)
            answers.append(answered(trial, choice, ms, rater=rater))
        standing[rater] = answers
    return report_of(standing)


@pytest.mark.parametrize("seed", range(3))
def test_a_careless_rater_stands_out_and_careful_ones_do_not(seed):
    report = simulate(seed=seed)
    assert report["raters"]["Anna"]["suspicious"] == report["raters"]["Ben"]["suspicious"] == []
    reasons = report["raters"]["Zed"]["suspicious"]
    for part in ("catch trials", "repeats", "one place", "median time"):
        assert any(reason.startswith(part) for reason in reasons), reasons
    lines = report_lines(report)
    assert next(line for line in lines if "LOOK AT" in line).startswith("Zed: LOOK AT THIS RATER")
    assert any(line.startswith("Anna and Ben: same face in ") for line in lines)


def test_a_rater_without_answers_is_left_out():
    assert report_of({"Anna": []})["raters"] == {}
    assert report_of({})["human_accuracy"] == {"right": 0, "counted": 0, "share": None}
