"""The answers on disk: one JSON object a line, forced to disk before it counts."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from imagefec import files, json_files
from imagefec.errors import UserError
from imagefec.fec import SPLITS, TYPE_KEYS
from imagefec.serving.judging.schedule import (
    ACTIVE,
    CATCH,
    COMMON,
    JUDGEMENT,
    OWN,
    REPEAT,
    Trial,
)

NAME = "answers.jsonl"
MAX_MS = 10_000_000  # of a reaction time: almost three hours
_MAX_BYTES = 2**30


@dataclass(frozen=True)
class Answer:
    """A rater's answer to a trial.

    Attributes:
      rater: name.
      trial: what was shown.
      choice: place of the chosen face from the left, 0 to 2.
      ms: reaction time from the moment of showing, milliseconds.
      away: whether the page was hidden meanwhile, so that the time means nothing.
      at: when it came, ISO 8601 in UTC.
    """

    rater: str
    trial: Trial
    choice: int
    ms: float
    away: bool
    at: str

    @property
    def chosen(self) -> str:
        """The id of the chosen face."""
        return self.trial.faces[self.choice]


@dataclass(frozen=True)
class Undo:
    """A rater takes the last answer back.

    Attributes:
      rater: name.
      number: of the trial that is not answered any more.
      at: when, ISO 8601 in UTC.
    """

    rater: str
    number: int
    at: str


@dataclass(frozen=True)
class Torn:
    """A line that a killed process had begun was cut off; its answer was not confirmed.

    Attributes:
      torn_bytes: its length.
    """

    torn_bytes: int


@dataclass(frozen=True)
class Lost:
    """Somebody replaced a damaged line by this one; what it said is lost."""


Record = Answer | Undo | Torn | Lost
LOST = '{"op": "lost"}'  # as a line


class Journal:
    """An open file of records; only one process at a time may have it open.

    Attributes:
      path: of the file.
      records: all of them, in order; the record of line n is at n - 1.
    """

    def __init__(self, path: Path, is_face: Callable[[str], bool]) -> None:
        """Reads the records of a file, made if it is missing.

        Args:
          path: the file.
          is_face: whether an id is one of the project's faces.

        Raises:
          UserError: a complete line is no record.
          OSError: the file cannot be read or written.
        """
        self.path = path
        files.refuse_links(path.parent, [path.name])
        data = _read(path)
        whole, torn = _without_torn_line(data)
        self.records = _parsed(path, whole, is_face)
        self._file = path.open("ab", buffering=0)
        self._bytes = len(whole)
        if len(whole) != len(data):
            self._file.truncate(len(whole))
        if torn:
            self.append(Torn(torn))

    def append(self, record: Record) -> None:
        """Writes a record and forces it to disk; if that fails, the file is as before.

        Raises:
          OSError: the disk is full, for example.
        """
        line = json.dumps(_as_json(record), ensure_ascii=False).encode() + b"\n"
        try:
            if self._file.write(line) != len(line):
                raise OSError(28, "No space left on device")
            os.fsync(self._file.fileno())
        except OSError:
            self._file.truncate(self._bytes)
            raise
        self._bytes += len(line)
        self.records.append(record)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def read_records(path: Path, is_face: Callable[[str], bool]) -> list[Record]:
    """The records of a file, which is not changed; arguments and errors as for `Journal`."""
    whole, torn = _without_torn_line(_read(path))
    return [*_parsed(path, whole, is_face), *([Torn(torn)] if torn else [])]


def _read(path: Path) -> bytes:
    try:
        return json_files.read_bytes(path, _MAX_BYTES)
    except FileNotFoundError:
        return b""
    except ValueError as error:
        raise UserError(f"{path}: {error}. Move it away, or give another --out.") from None


def _without_torn_line(data: bytes) -> tuple[bytes, int]:
    """The complete lines, and the length of an incomplete one that followed."""
    end = data.rfind(b"\n") + 1
    return data[:end], len(data) - end


def _as_json(record: Record) -> dict[str, Any]:
    if isinstance(record, Torn):
        return {"op": "torn", "bytes": record.torn_bytes}
    if isinstance(record, Lost):
        return {"op": "lost"}
    if isinstance(record, Undo):
        return {"op": "undo", **asdict(record)}
    trial = {name: value for name, value in asdict(record.trial).items() if value not in (None, "")}
    rest = {"choice": record.choice, "ms": round(record.ms, 1), "at": record.at}
    away = {"away": True} if record.away else {}
    return {"op": "answer", "rater": record.rater, **trial, **rest, **away}


def _parsed(path: Path, data: bytes, is_face: Callable[[str], bool]) -> list[Record]:
    records: list[Record] = []
    for number, line in enumerate(data.splitlines(), start=1):
        try:
            records.append(_record_of(json_files.parse_object(line, constants=False), is_face))
        except ValueError as error:
            raise UserError(
                f"{path}, line {number}: not a record of an answer ({error}). Restore the file "
                f"from a copy; if there is none, put {LOST} in place of the line, whose answer is "
                "then lost."
            ) from None
    return records


def _record_of(found: dict[str, Any], is_face: Callable[[str], bool]) -> Record:
    op = found.get("op")
    if op == "torn":
        return Torn(_int(found, "bytes"))
    if op == "lost":
        return Lost()
    rater, at = _text(found, "rater"), _text(found, "at")
    if not rater:
        raise ValueError("rater is empty")
    if op == "undo":
        return Undo(rater, _int(found, "number", 1), at)
    if op != "answer":
        raise ValueError(f"op must be answer, undo, torn or lost, found {json_files.shown(op)}")
    trial, choice = _trial_of(found, is_face), _int(found, "choice", 0, 2)
    return Answer(rater, trial, choice, _number(found, "ms"), found.get("away") is True, at)


def _trial_of(found: dict[str, Any], is_face: Callable[[str], bool]) -> Trial:
    faces = found.get("faces")
    if not isinstance(faces, list) or len(faces) != 3:
        raise ValueError("faces must be three ids")
    for face in faces:
        if not isinstance(face, str) or not is_face(face):
            raise ValueError(f"there is no face {json_files.shown(face)}")
    texts = {
        name: _one_of(found, name, allowed)
        for name, allowed in (
            ("kind", (JUDGEMENT, REPEAT, CATCH)),
            ("split", ("", *SPLITS)),
            ("source", ("", COMMON, OWN, ACTIVE)),
            ("type", ("", *TYPE_KEYS)),
        )
    }
    kind = texts["kind"]
    if len(set(faces)) != (2 if kind == CATCH else 3):
        raise ValueError(
            f"faces of a {kind} must be {'two, one twice' if kind == CATCH else 'three'}"
        )
    if kind == JUDGEMENT and not (texts["split"] and texts["source"]):
        raise ValueError("a judgement must have split and source")
    first, second, third = faces
    return Trial(
        _int(found, "number", 1),
        faces=(first, second, third),
        repeats=_int(found, "repeats", 1) if kind == REPEAT else None,
        margin=None if found.get("margin") is None else _number(found, "margin"),
        **texts,
    )


def _text(found: dict[str, Any], name: str) -> str:
    value = found.get(name)
    if not isinstance(value, str) or not value.isprintable():
        raise ValueError(f"{name} must be text, found {json_files.shown(value)}")
    return value


def _one_of(found: dict[str, Any], name: str, allowed: tuple[str, ...]) -> str:
    value = found.get(name, "")
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(filter(None, allowed))}")
    return value


def _int(found: dict[str, Any], name: str, least: int = 0, most: int = 2**53) -> int:
    value = found.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(
            f"{name} must be a whole number from {least}, found {json_files.shown(value)}"
        )
    return value


def _number(found: dict[str, Any], name: str) -> float:
    value = found.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e18:
        raise ValueError(f"{name} must be a number, found {json_files.shown(value)}")
    return float(value)
