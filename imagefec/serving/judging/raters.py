"""Raters and their answers: what each sees, what counts, what is refused. Opens no file itself."""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from imagefec.errors import UserError
from imagefec.serving.bodies import RefusedError
from imagefec.serving.judging.journal import MAX_MS, Answer, Journal, Record, Undo
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


def standing_answers(records: Iterable[Record]) -> dict[str, list[Answer]]:
    """The answers of each rater that were not undone, in order.

    Raises:
      UserError: the records contradict each other.
    """
    standing: dict[str, list[Answer]] = {}
    for record in records:
        if isinstance(record, Answer):
            answers = standing.setdefault(record.rater, [])
            if record.trial.number != len(answers) + 1:
                raise UserError(_contradiction(record.rater, record.trial.number, len(answers)))
            answers.append(record)
        elif isinstance(record, Undo):
            answers = standing.setdefault(record.rater, [])
            if record.number != len(answers) or not answers:
                raise UserError(_contradiction(record.rater, record.number, len(answers)))
            answers.pop()
    return standing


def _contradiction(rater: str, number: int, n: int) -> str:
    return (
        f"answers.jsonl: a record of rater {rater} is about trial {number}, after {n} answers. "
        "Lines are missing or in another order: restore the file from a copy."
    )


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
        for name, answers in standing_answers(journal.records).items():
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
          JSON values: rater, answered, session (its length), trials: the current one and some
          ahead, each {"number", "id", "faces"}; none if everything is judged.

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
            "answered": len(rater.answers),
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
        n = len(rater.answers)
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
        if number != len(rater.answers):
            raise Conflict(f"trial {number} is not the last that was answered", state)
        self._journal.append(Undo(state["rater"], number, _now()))
        trial = rater.answers.pop().trial
        rater.ahead.insert(0, trial)
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
