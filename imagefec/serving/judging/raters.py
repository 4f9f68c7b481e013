"""Raters and their answers: what each sees, what counts, what is refused. Opens no file itself."""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from imagefec.errors import UserError
from imagefec.serving.bodies import RefusedError
from imagefec.serving.judging.journal import (
    LOST,
    MAX_MS,
    Answer,
    Journal,
    Lost,
    Record,
    Undo,
)
from imagefec.serving.judging.schedule import Schedule, Trial
from imagefec.serving.judging.triplets import random_of

MAX_NAME = 40
AHEAD = 3  # trials that a page gets: the current one, and those whose pictures it loads meanwhile
_MAX_NAMES = 1000


class Conflict(RefusedError):
    """An answer that does not fit what the rater has answered; the page should show `state`."""

    def __init__(self, text: str, state: dict[str, Any]) -> None:
        super().__init__(text, 409)
        self.state = state


def rater_name(text: object) -> str:
    """A nickname as it is recorded: composed characters, no spaces around, single ones within.

    Raises:
      RefusedError: it is empty, too long, or has characters that cannot be seen.
    """
    if not isinstance(text, str):
        raise RefusedError("the nickname must be a text")
    name = " ".join(unicodedata.normalize("NFC", text[: 10 * MAX_NAME]).split())
    if not name:
        raise RefusedError("the nickname is empty; give 1 to 40 letters or digits")
    if len(name) > MAX_NAME:
        raise RefusedError(f"the nickname has more than {MAX_NAME} characters; give a shorter one")
    if not name.isprintable():
        raise RefusedError("the nickname has characters that cannot be seen; type it again")
    if not name[0].isalnum():  # a spreadsheet would run =…, +… and @… as a formula
        raise RefusedError(f"the nickname begins with {name[0]}; begin it with a letter or a digit")
    if name.casefold().startswith("simulated"):  # what annotators are called that are no people
        raise RefusedError("the nickname begins with simulated; give another")
    return name


def standing_answers(records: Iterable[Record], path: Path) -> dict[str, list[Answer]]:
    """The answers of each rater that were not undone, in order.

    Args:
      records: of the journal; after one that is Lost, answers and undos may be missing.
      path: of the journal, for messages.

    Raises:
      UserError: records are missing, and none before them is Lost.
    """
    standing: dict[str, list[Answer]] = {}
    is_lost = False
    for line, record in enumerate(records, start=1):
        is_lost |= isinstance(record, Lost)
        if not isinstance(record, Answer | Undo):
            continue
        answers = standing.setdefault(record.rater, [])
        number = record.trial.number if isinstance(record, Answer) else record.number
        last = _last(answers)
        if number != (last + 1 if isinstance(record, Answer) else last) and not is_lost:
            raise UserError(
                f"{path}, line {line}: a record of rater {record.rater} is about trial {number}, "
                f"after trial {last}. Lines are missing or in another order: restore the file "
                f"from a copy; if there is none, insert a line {LOST} above this one. Answers that "
                "are not there are then lost."
            )
        while _last(answers) >= number:  # undone, by this record or by one that was lost
            answers.pop()
        if isinstance(record, Answer):
            answers.append(record)
    return standing


def _last(answers: Sequence[Answer]) -> int:
    """The number of the last trial that is answered, 0 if none is."""
    return answers[-1].trial.number if answers else 0


@dataclass
class _Rater:
    answers: list[Answer] = field(default_factory=list)
    ahead: list[Trial] = field(default_factory=list)  # valid for the answers as they are


class Raters:
    """All raters of a project; for one thread."""

    def __init__(self, schedule: Schedule, journal: Journal, seed: int, session: int) -> None:
        """Replays the journal.

        Args:
          schedule: of the trials to come.
          journal: of the answers.
          seed: of the project.
          session: number of trials after which the page thanks and pauses.

        Raises:
          UserError: as `standing_answers`.
        """
        self._schedule, self._journal, self._seed = schedule, journal, seed
        self._session = session
        self._raters: dict[str, _Rater] = {}
        self._spelling: dict[str, str] = {}
        for name, answers in standing_answers(journal.records, journal.path).items():
            self._rater(name).answers = answers
            self._spelling.setdefault(name.casefold(), name)

    @property
    def counts(self) -> dict[str, int]:
        """Number of answers of each rater."""
        return {name: len(rater.answers) for name, rater in self._raters.items() if rater.answers}

    def state(self, text: object) -> dict[str, Any]:
        """What a rater's page shows.

        Args:
          text: nickname as typed.

        Returns:
          JSON values: rater, answered (number of the last trial), session (its length), trials:
          the current one and some ahead, each {"number", "id", "faces"}; none if everything is
          judged.

        Raises:
          RefusedError: the nickname cannot be used.
        """
        name = self._known(rater_name(text))
        rater = self._rater(name)
        while len(rater.ahead) < AHEAD:
            before = [answer.trial for answer in rater.answers] + rater.ahead
            trial = self._schedule.next_trial(name, before)
            if trial is None:
                break
            rater.ahead.append(trial)
        return {
            "rater": name,
            "answered": _last(rater.answers),
            "session": self._session,
            "trials": [
                {"number": trial.number, "id": self._id(name, trial), "faces": trial.faces}
                for trial in rater.ahead[:AHEAD]
            ],
        }

    def answer(self, found: dict[str, Any]) -> dict[str, Any]:
        """Records an answer.

        Args:
          found: rater, number, id (both of the trial), choice (0 to 2), ms, and away if the page
            was hidden meanwhile.

        Returns:
          The state after it.

        Raises:
          RefusedError: a value is not allowed.
          Conflict: the trial is answered already, is not the current one, or is unknown.
          OSError: the answer could not be written; it does not count.
        """
        number, choice = _whole(found, "number", 1), _whole(found, "choice", 0, 2)
        ms = found.get("ms")
        if isinstance(ms, bool) or not isinstance(ms, int | float) or not 0 <= ms <= MAX_MS:
            raise RefusedError(f"ms must be a number from 0 to {MAX_MS}")
        state = self.state(found.get("rater"))
        rater = self._raters[state["rater"]]
        n = _last(rater.answers)
        if number <= n:
            raise Conflict(f"trial {number} is answered already", state)
        if number > n + 1 or not rater.ahead:
            raise Conflict(f"trial {number} is not the next one; {n} are answered", state)
        if found.get("id") != state["trials"][0]["id"]:
            raise Conflict(f"trial {number} shows other faces now", state)
        answer = Answer(
            state["rater"], rater.ahead[0], choice, float(ms), found.get("away") is True, _now()
        )
        self._journal.append(answer)
        rater.answers.append(answer)
        rater.ahead.pop(0)
        self._spelling.setdefault(answer.rater.casefold(), answer.rater)
        return self.state(answer.rater)

    def undo(self, found: dict[str, Any]) -> dict[str, Any]:
        """Takes the last answer back; its trial is shown again.

        Args:
          found: rater, and the number of the trial.

        Returns:
          The state after it.

        Raises:
          RefusedError: a value is not allowed.
          Conflict: it is not the last answer.
          OSError: it could not be written; the answer stands.
        """
        number = _whole(found, "number", 1)
        state = self.state(found.get("rater"))
        rater = self._raters[state["rater"]]
        if number != _last(rater.answers):
            raise Conflict(f"trial {number} is not the last that was answered", state)
        self._journal.append(Undo(state["rater"], number, _now()))
        trial = rater.answers.pop().trial
        if number == _last(rater.answers) + 1:
            rater.ahead.insert(0, trial)
        else:  # the answer before was lost; its trial comes first
            rater.ahead = []
        return self.state(state["rater"])

    def _known(self, name: str) -> str:
        """The name as it was first written: "anna" is Anna."""
        return self._spelling.get(name.casefold(), name)

    def _rater(self, name: str) -> _Rater:
        if name not in self._raters:
            if len(self._raters) >= _MAX_NAMES:  # forget those who only looked
                self._raters = {known: each for known, each in self._raters.items() if each.answers}
            if len(self._raters) >= _MAX_NAMES:
                raise RefusedError(f"there are {_MAX_NAMES} nicknames already", 503)
            self._raters[name] = _Rater()
        return self._raters[name]

    def _id(self, name: str, trial: Trial) -> str:
        return f"{random_of(self._seed, name, trial.number, trial.faces).getrandbits(64):016x}"


def _whole(found: dict[str, Any], name: str, least: int, most: int = 2**31) -> int:
    value = found.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise RefusedError(f"{name} must be a whole number from {least} to {most}")
    return value


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
