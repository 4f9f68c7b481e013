"""The journal of answers: what is written is read again, also after a kill; damage is named."""

import contextlib
import json
import os
import pathlib
import resource
import signal
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

import imagefec
from imagefec.errors import UserError
from imagefec.serving.judging.journal import LOST, Answer, Journal, Lost, Torn, Undo
from imagefec.serving.judging.schedule import ACTIVE, CATCH, JUDGEMENT, OWN, REPEAT, Trial

FACES = ("a", "b", "c")
AT = "2026-01-01T00:00:00.000Z"


def judgement(number=1, rater="Anna", choice=0, ms=1234.5, **options):
    trial = Trial(number, JUDGEMENT, FACES, "train", OWN, "one_class", **options)
    return Answer(rater, trial, choice, ms, False, AT)


def open_journal(path):
    return Journal(path, FACES.__contains__)


def read(path):
    """The records of a file, as a start of the server finds them."""
    with contextlib.closing(open_journal(path)) as journal:
        return journal.records


def test_records_are_read_as_they_were_written(tmp_path):
    records = [
        judgement(),
        Answer("Jürgen 王", Trial(1, CATCH, ("a", "b", "a")), 1, 0.0, True, AT),
        Answer("Anna", Trial(2, REPEAT, ("b", "a", "c"), repeats=1), 2, 99.0, False, AT),
        Answer(
            "Anna", Trial(3, JUDGEMENT, FACES, "train", ACTIVE, "", margin=0.25), 2, 9.0, False, AT
        ),
        Undo("Anna", 3, AT),
        Torn(17),
        Lost(),
    ]
    path = tmp_path / "answers.jsonl"
    journal = open_journal(path)
    for record in records:
        journal.append(record)
    journal.close()
    assert len(path.read_text(encoding="utf-8").splitlines()) == 7
    assert read(path) == records


@pytest.mark.parametrize("kept", [1, 20, -1])
def test_a_torn_last_line_is_cut_off_and_counted_once(tmp_path, kept):
    path = tmp_path / "answers.jsonl"
    journal = open_journal(path)
    journal.append(judgement())
    line = path.read_bytes()
    journal.close()
    path.write_bytes(line + line[:kept])
    torn = Torn(len(line[:kept]))
    assert read(path) == [judgement(), torn]
    assert read(path) == [judgement(), torn]
    with contextlib.closing(open_journal(path)) as again:
        again.append(judgement(2))
    assert read(path) == [judgement(), torn, judgement(2)]


def test_answers_survive_kill_9_in_the_middle_of_writing(tmp_path):
    path = tmp_path / "answers.jsonl"
    code = (
        "import pathlib, sys\n"
        "from tests.serving.judging.test_journal import judgement, open_journal\n"
        f"journal = open_journal(pathlib.Path({str(path)!r}))\n"
        "for number in range(1, 100000):\n"
        "    journal.append(judgement(number))\n"
        "    print(number, flush=True)\n"
    )
    root = str(pathlib.Path(imagefec.__file__).parents[1])
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        text=True,
        cwd=root,
        env={**os.environ, "PYTHONPATH": root},
    )
    while int(process.stdout.readline()) < 25:
        pass
    process.send_signal(signal.SIGKILL)
    confirmed = [int(line) for line in process.communicate()[0].split()] or [25]
    records = [r for r in read(path) if isinstance(r, Answer)]
    assert [r.trial.number for r in records] == list(range(1, len(records) + 1))
    assert len(records) >= confirmed[-1]


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "answers.jsonl"
    journal = open_journal(path)
    journal.append(judgement())
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 10, limits[1]))
        with pytest.raises(OSError):  # noqa: PT011
            journal.append(judgement(2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == before and journal.records == [judgement()]
    journal.append(judgement(2))
    journal.close()
    assert read(path) == [judgement(), judgement(2)]


def line_with(**changes):
    found = {
        "op": "answer",
        "rater": "Anna",
        "number": 1,
        "kind": "judgement",
        "faces": list(FACES),
        "split": "train",
        "source": "own",
        "choice": 0,
        "ms": 900,
        "at": AT,
        **changes,
    }
    return json.dumps({name: value for name, value in found.items() if value is not ...})


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("not json", "Expecting value"),
        ("[1]", "not an object"),
        ("", "Expecting value"),
        (line_with(op="dance"), "op must be answer, undo, torn or lost"),
        (line_with(rater=""), "rater is empty"),
        (line_with(rater="a\nb"), "rater must be text"),
        (line_with(choice=3), "choice must be a whole number"),
        (line_with(choice=True), "choice must be a whole number"),
        (line_with(number=0), "number must be a whole number from 1"),
        (line_with(faces=["a", "b"]), "faces must be three ids"),
        (line_with(faces=["a", "b", "z"]), 'there is no face "z"'),
        (line_with(faces=["a", "b", "b"]), "faces of a judgement must be three"),
        (line_with(kind="catch"), "faces of a catch must be two"),
        (line_with(kind="repeat"), "repeats must be a whole number"),
        (line_with(split="dev"), "split must be one of"),
        (line_with(split=...), "a judgement must have split and source"),
        (line_with(ms="fast"), "ms must be a number"),
        (line_with(ms=...), "ms must be a number"),
        (line_with(margin=[]), "margin must be a number"),
        (line_with().replace("900", "NaN"), "NaN is not a number"),
        ('{"op": "torn"}', "bytes must be a whole number"),
    ],
)
def test_a_damaged_line_is_named(tmp_path, line, said):
    path = tmp_path / "answers.jsonl"
    path.write_text(f"{line_with()}\n{line}\n{line_with(number=2)}\n")
    with pytest.raises(
        UserError, match=rf"answers\.jsonl, line 2: not a record of an answer \(.*{said}"
    ):
        open_journal(path)
    assert len(path.read_text().splitlines()) == 3  # nothing is changed


@given(st.binary(max_size=200))
def test_any_bytes_are_records_or_a_user_error(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("journal") / "answers.jsonl"
    path.write_bytes(data)
    try:
        journal = open_journal(path)
    except UserError:
        assert path.read_bytes() == data
    else:
        journal.close()


def test_a_damaged_line_may_be_replaced_as_the_message_says(tmp_path):
    path = tmp_path / "answers.jsonl"
    path.write_text(f"{line_with()}\nnot json\n{line_with(number=3)}\n")
    with pytest.raises(UserError) as raised:
        read(path)
    assert f"if there is none, put {LOST} in place of the line" in str(raised.value)
    path.write_text(path.read_text().replace("not json", LOST))
    assert read(path)[1] == Lost() and len(read(path)) == 3


def test_a_link_in_place_of_the_file_is_refused(tmp_path):
    (tmp_path / "elsewhere").write_text("")
    (tmp_path / "answers.jsonl").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="a symbolic link"):
        open_journal(tmp_path / "answers.jsonl")
