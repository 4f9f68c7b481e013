"""Which trial comes when: kinds, splits, places, and what raters share."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagefec.serving.judging.schedule import (
    ACTIVE,
    CATCH,
    COMMON,
    JUDGEMENT,
    OWN,
    REPEAT,
    Schedule,
)
from tests.serving.judging.plans import plan_of


def trials_of(plan, n, rater="anna", margin=None):
    margins = margin and (lambda triplets: [margin(triplet) for triplet in triplets])
    schedule, trials = Schedule(plan, margins), []
    while len(trials) < n and (trial := schedule.next_trial(rater, trials)) is not None:
        trials.append(trial)
    return trials


def test_repeats_and_catch_trials_have_their_numbers():
    trials = trials_of(plan_of(), 60)
    assert [trial.number for trial in trials] == list(range(1, 61))
    assert [t.number for t in trials if t.kind == REPEAT] == [10, 20, 30, 40, 50, 60]
    assert [t.number for t in trials if t.kind == CATCH] == [8, 23, 38, 53]


def test_a_repeat_shows_an_earlier_judgement_with_its_faces_in_other_places():
    trials = trials_of(plan_of(), 120)
    repeats = [trial for trial in trials if trial.kind == REPEAT]
    for trial in repeats:
        first = trials[trial.repeats - 1]
        assert first.kind == JUDGEMENT and first.triplet == trial.triplet
        assert first.faces != trial.faces and trial.number - first.number > 4
        assert trial.split == trial.source == trial.type == ""
    assert len({trial.repeats for trial in repeats}) == len(repeats)


def test_a_catch_trial_shows_one_face_twice_and_another_of_another_label():
    plan = plan_of()
    catches = [trial for trial in trials_of(plan, 200) if trial.kind == CATCH]
    for trial in catches:
        (twice, n), (other, _) = Counter(trial.faces).most_common()
        assert n == 2 and plan.labels[twice] != plan.labels[other]
        assert plan.splits[twice] == plan.splits[other] == "train"
    assert (
        len({trial.faces.index(Counter(trial.faces).most_common()[1][0]) for trial in catches}) == 3
    )


@settings(max_examples=30)
@given(
    st.integers(9, 70),
    st.integers(0, 2**32 - 1),
    st.sampled_from([("joy",), ("",), ("joy", "fear"), ("a", "b", "c", "d")]),
)
def test_judgements_are_new_and_stay_within_a_split(n, seed, labels):
    plan = plan_of(n, labels, seed)
    trials = trials_of(plan, 40)
    judged = [trial for trial in trials if trial.kind == JUDGEMENT]
    assert len({trial.triplet for trial in judged}) == len(judged)
    for trial in judged:
        assert {plan.splits[face] for face in trial.faces} == {trial.split}
        assert len(trial.triplet) == 3
        kinds = {plan.labels[face] for face in trial.faces}
        assert trial.type == (
            "" if labels == ("",) else ["one", "two", "three"][len(kinds) - 1] + "_class"
        )
    assert trials == trials_of(plan, 40)


def test_a_third_of_the_judgements_is_of_each_type():
    judged = [trial for trial in trials_of(plan_of(150), 300) if trial.kind == JUDGEMENT]
    counts = Counter(trial.type for trial in judged)
    assert all(abs(count - len(judged) / 3) < 5 for count in counts.values()) and len(counts) == 3


def test_splits_and_sources_have_their_shares():
    judged = [trial for trial in trials_of(plan_of(150), 300) if trial.kind == JUDGEMENT]
    n = len(judged)
    counts = Counter(trial.split for trial in judged)
    assert abs(counts["test"] - 0.2 * n) <= 1 and abs(counts["validation"] - 0.1 * n) <= 1
    train = [trial for trial in judged if trial.split == "train"]
    assert abs(sum(trial.source == COMMON for trial in train) - 0.2 * len(train)) <= 1
    assert all(trial.source == COMMON for trial in judged if trial.split != "train")


def test_raters_share_the_common_triplets_and_no_others():
    anna, ben = (
        [t for t in trials_of(plan_of(150), 200, name) if t.kind == JUDGEMENT]
        for name in ("anna", "ben")
    )
    common = [[trial.triplet for trial in each if trial.source == COMMON] for each in (anna, ben)]
    assert common[0] == common[1]
    own = [{trial.triplet for trial in each if trial.source == OWN} for each in (anna, ben)]
    assert len(own[0] & own[1]) < 0.05 * len(own[0])
    places = [[trial.faces for trial in each if trial.source == COMMON] for each in (anna, ben)]
    assert places[0] != places[1]


def test_the_places_have_no_pattern():
    trials = [trial for trial in trials_of(plan_of(150), 300) if trial.kind == JUDGEMENT]
    first = Counter(trial.faces.index(min(trial.faces)) for trial in trials)
    assert all(abs(first[place] - len(trials) / 3) < 30 for place in range(3))


def test_with_a_run_half_of_the_own_train_triplets_have_small_margins_and_test_ones_are_random():
    plan = plan_of(150)
    margin = lambda triplet: sum(int(face[1:]) for face in triplet) / 1000  # noqa: E731
    judged = [t for t in trials_of(plan, 300, margin=margin) if t.kind == JUDGEMENT]
    active = [trial for trial in judged if trial.source == ACTIVE]
    own = [trial for trial in judged if trial.source == OWN]
    assert abs(len(active) - len(own)) <= 1 and {trial.split for trial in active} == {"train"}
    assert all(trial.margin == pytest.approx(margin(trial.triplet)) for trial in active)
    mean = lambda trials: sum(margin(t.triplet) for t in trials) / len(trials)  # noqa: E731
    assert mean(active) < 0.5 * mean(own)
    without = [t for t in trials_of(plan, 300) if t.kind == JUDGEMENT]
    assert [t.triplet for t in judged if t.split == "test"] == [
        t.triplet for t in without if t.split == "test"
    ]


def test_without_any_embedding_the_trials_are_random():
    judged = trials_of(plan_of(), 30, margin=lambda _: float("inf"))
    assert ACTIVE not in {trial.source for trial in judged}


def test_when_all_triplets_are_judged_there_is_no_trial():
    plan = plan_of(9, ("",))
    schedule, trials = Schedule(plan), []
    while (trial := schedule.next_trial("anna", trials)) is not None:
        trials.append(trial)
        assert len(trials) < 50
    judged = [trial for trial in trials if trial.kind == JUDGEMENT]
    assert Counter(trial.split for trial in judged) == {"train": 1, "test": 1, "validation": 1}
