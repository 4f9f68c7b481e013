"""What counts as an answer, what is refused, and that nothing depends on a restart."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagefec.errors import UserError
from imagefec.serving.bodies import RefusedError
from imagefec.serving.judging.journal import Answer, Journal, Undo
from imagefec.serving.judging.raters import Conflict, Raters, rater_name, standing_answers
from imagefec.serving.judging.schedule import Schedule
from tests.serving.judging.plans import plan_of

PLAN = plan_of()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "answers.jsonl"


@pytest.fixture
def open_raters(path):
    """Opens the raters as a start of the server does, as often as it is called."""
    with contextlib.ExitStack() as opened:

        def start():
            journal = opened.enter_context(
                contextlib.closing(Journal(path, PLAN.splits.__contains__))
            )
            return Raters(Schedule(PLAN), journal, PLAN.seed, session=60)

        yield start


def answer(raters, state, choice=0, **changes):
    trial = state["trials"][0]
    found = {"rater": state["rater"], "number": trial["number"], "id": trial["id"]}
    return raters.answer({**found, "choice": choice, "ms": 1500, **changes})


def test_the_trials_ahead_become_the_current_ones(open_raters):
    raters = open_raters()
    state = raters.state("Anna")
    assert state["answered"] == 0 and [t["number"] for t in state["trials"]] == [1, 2, 3]
    after = answer(raters, state)
    assert after["answered"] == 1 and after["trials"][:2] == state["trials"][1:]


def test_a_restart_goes_on_with_the_same_trial(open_raters):
    raters = open_raters()
    state = raters.state("Anna")
    for choice in range(12):
        state = answer(raters, state, choice % 3)
    assert open_raters().state("Anna") == state


def test_undo_shows_the_same_trial_again_and_is_a_record_of_its_own(path, open_raters):
    raters = open_raters()
    first = raters.state("Anna")
    second = answer(raters, first, 0)
    assert raters.undo({"rater": "Anna", "number": 1}) == first
    assert answer(raters, first, 2)["trials"] == second["trials"]
    with contextlib.closing(Journal(path, PLAN.splits.__contains__)) as journal:
        records = journal.records
    assert [type(record) for record in records] == [Answer, Undo, Answer]
    assert [each.choice for each in standing_answers(records, path)["Anna"]] == [2]


def test_an_answer_counts_once_in_order_and_for_its_own_trial(open_raters):
    raters = open_raters()
    state = raters.state("Anna")
    after = answer(raters, state)
    for changes, said in (
        ({}, "trial 1 is answered already"),
        ({"number": 3}, "trial 3 is not the next one; 1 are answered"),
        ({"number": 2}, "trial 2 shows other faces now"),
        ({"number": 2, "id": None}, "trial 2 shows other faces now"),
        ({"number": 2, "id": [1]}, "trial 2 shows other faces now"),
    ):
        with pytest.raises(Conflict, match=said) as raised:
            answer(raters, state, **changes)
        assert raised.value.status == 409 and raised.value.state == after
    with pytest.raises(Conflict, match="trial 2 is not the last that was answered"):
        raters.undo({"rater": "Anna", "number": 2})
    with pytest.raises(Conflict, match="trial 1 is not the last"):
        raters.undo({"rater": "Ben", "number": 1})
    assert raters.counts == {"Anna": 1}


@pytest.mark.parametrize(
    "changes",
    [
        {"choice": 3}, {"choice": -1}, {"choice": "1"}, {"choice": True}, {"choice": None},
        {"number": 0}, {"number": 1.0}, {"number": 2**40}, {"ms": -1}, {"ms": 1e9}, {"ms": "5"},
        {"ms": None}, {"rater": ""}, {"rater": 5}, {"rater": None},
    ],
)  # fmt: skip
def test_values_out_of_range_are_refused_and_nothing_is_recorded(path, open_raters, changes):
    raters = open_raters()
    with pytest.raises(RefusedError) as raised:
        answer(raters, raters.state("Anna"), **{"choice": 0, **changes})
    assert raised.value.status == 400 and path.read_bytes() == b""


def test_a_name_in_other_letters_is_the_same_rater(open_raters):
    raters = open_raters()
    answer(raters, raters.state("Anna"))
    assert raters.state("  aNNa ")["rater"] == "Anna"
    assert open_raters().state("ANNA")["answered"] == 1


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Anna", "Anna"),
        ("  Anna\t Maria ", "Anna Maria"),
        ("Ju\u0308rgen", "Jürgen"),
        ("王", "王"),
        ("r,1\"'<b>", "r,1\"'<b>"),
        ("7", "7"),
        ("x" * 40, "x" * 40),
    ],
)
def test_a_nickname_is_recorded_composed_and_with_single_spaces(text, name):
    assert rater_name(text) == name


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        (" \t\n", "is empty"),
        ("x" * 41, "more than 40 characters"),
        ("x" * 10**6, "more than 40 characters"),
        ("a\0b", "cannot be seen"),
        ("a\u202eb", "cannot be seen"),
        ("=1+1", "begins with ="),
        ("../etc", "begins with ."),
        ("Simulated 3", "begins with simulated"),
        (["Anna"], "must be a text"),
    ],
)
def test_other_nicknames_are_refused_with_the_reason(text, said):
    with pytest.raises(RefusedError, match=said):
        rater_name(text)


@given(st.text(max_size=60))
def test_any_nickname_is_refused_or_survives_being_typed_again(text):
    try:
        name = rater_name(text)
    except RefusedError:
        return
    assert rater_name(name) == name and len(name) <= 40 and name.isprintable()


def test_records_that_contradict_each_other_are_a_user_error(path, open_raters):
    raters = open_raters()
    state = raters.state("Anna")
    for _ in range(3):
        state = answer(raters, state)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text(lines[0] + lines[2])
    said = r"/answers\.jsonl, line 2: a record of rater Anna is about trial 3, after trial 1\."
    with pytest.raises(UserError, match=said):
        open_raters()


@pytest.mark.parametrize("at", range(6))
def test_a_line_that_is_replaced_as_advised_costs_its_answer_and_no_other(path, open_raters, at):
    """Six lines: answers 1, 2, 3, the undo of 3, then 3 and 4 again with other choices."""
    raters = open_raters()
    state = raters.state("Anna")
    for choice in (0, 1, 0):
        state = answer(raters, state, choice)
    state = raters.undo({"rater": "Anna", "number": 3})
    for choice in (2, 1):
        state = answer(raters, state, choice)
    lines = path.read_text().splitlines()
    lines[at] = '{"op": "lost"}'
    path.write_text("\n".join(lines) + "\n")
    found = {each.trial.number: each.choice for each in open_raters()._raters["Anna"].answers}
    expected = {1: 0, 2: 1, 3: 2, 4: 1}
    expected.pop({0: 1, 1: 2, 4: 3, 5: 4}.get(at), None)  # the first 3 and its undo do not matter
    assert found == expected


def test_after_a_lost_answer_the_numbers_go_on_also_when_answers_are_taken_back(path, open_raters):
    raters = open_raters()
    state = raters.state("Anna")
    for _ in range(3):
        state = answer(raters, state)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], '{"op": "lost"}', lines[2]]) + "\n")
    raters = open_raters()
    state = raters.state("Anna")
    assert state["answered"] == 3 and [each["number"] for each in state["trials"]] == [4, 5, 6]
    state = raters.undo({"rater": "Anna", "number": 3})
    assert state["answered"] == 1 and [each["number"] for each in state["trials"]] == [2, 3, 4]
    assert open_raters().state("Anna") == state
    after = answer(raters, answer(raters, state))
    assert after["answered"] == 3 and open_raters().state("Anna") == after


def test_those_who_only_look_do_not_fill_the_memory(open_raters):
    raters = open_raters()
    answer(raters, raters.state("Anna"))
    for number in range(1100):
        raters.state(f"visitor {number}")
    assert len(raters._raters) <= 1000 and raters.state("Anna")["answered"] == 1
