"""Types and ranges of settings, declared in annotations: `steps: Annotated[int, Integer(1)]`.

The same declaration checks a value, describes it in error messages and in docs/settings.md, and
tells tests which values to try. Gin is not known here.
"""

import functools
import inspect
import numbers
import re
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, ParamSpec, TypeVar

from imagefec.errors import UserError

LIMIT = 10**9  # of every number without a limit of its own; larger ones are typing errors
_SHOWN = 80  # characters of a value in a message

P = ParamSpec("P")
R = TypeVar("R")


class Kind:
    """What a setting may be."""

    allowed: str  # for messages, after "must be"

    def accepts(self, value: Any) -> bool:
        """Whether the value is allowed."""
        raise NotImplementedError

    def hint(self, value: Any) -> str:
        """How to write a value that was meant, as a sentence; empty if that is not known."""
        del value
        return ""


@dataclass(frozen=True)
class Number(Kind):
    """A finite number; not True or False.

    Attributes:
      low: lowest value.
      high: highest value.
      above: whether the lowest value itself is excluded.
      below: whether the highest value itself is excluded.
    """

    low: float = 0
    high: float = LIMIT
    above: bool = False
    below: bool = False

    _type: ClassVar[Any] = numbers.Real
    _noun: ClassVar[str] = "a number"

    @property
    def allowed(self) -> str:  # type: ignore[override]
        """Such as "a number, 0 to 1"; the general limit is given as "0 or more, at most …"."""
        low, high = f"{self.low:,}", f"{self.high:,}"
        if not self.above and not self.below and self.high < LIMIT:
            return f"{self._noun}, {low}" if low == high else f"{self._noun}, {low} to {high}"
        lowest = f"above {low}" if self.above else f"{low} or more"
        return f"{self._noun}, {lowest}, {'below' if self.below else 'at most'} {high}"

    def accepts(self, value: Any) -> bool:
        """Whether the value is a number in the range."""
        if isinstance(value, bool) or not isinstance(value, self._type):
            return False
        enough = self.low < value if self.above else self.low <= value
        return bool(enough and (value < self.high if self.below else value <= self.high))

    def hint(self, value: Any) -> str:
        """The number in a text, or the integer that a float equals."""
        try:
            meant = float(value)
        except (TypeError, ValueError, OverflowError):
            return ""
        written = int(meant) if abs(meant) <= LIMIT and meant == int(meant) else meant
        if isinstance(value, bool) or not self.accepts(written):
            return ""
        return f"Write {written}{' without quotes' if isinstance(value, str) else ''}."


class Integer(Number):
    """An integer; not True or False, and not 1e4."""

    _type = numbers.Integral
    _noun = "an integer"


@dataclass(frozen=True)
class Flag(Kind):
    """True or False."""

    allowed = "True or False"

    def accepts(self, value: Any) -> bool:
        """Whether the value is True or False."""
        return isinstance(value, bool)


@dataclass(frozen=True)
class Text(Kind):
    """Text that is not empty.

    Attributes:
      pattern: regular expression that the complete text matches.
      described: the pattern in words.
    """

    pattern: str = r"[^\0]+"
    described: str = "text in quotes, not empty"

    @property
    def allowed(self) -> str:  # type: ignore[override]
        """The pattern in words."""
        return self.described

    def accepts(self, value: Any) -> bool:
        """Whether the value is such a text."""
        return isinstance(value, str) and bool(re.fullmatch(self.pattern, value, re.DOTALL))


class OneOf(Kind):
    """One of several texts."""

    def __init__(self, *choices: str) -> None:
        self.choices = choices
        self.allowed = f"one of {', '.join(choices)}"

    def accepts(self, value: Any) -> bool:
        """Whether the value is one of the texts."""
        return isinstance(value, str) and value in self.choices


@dataclass(frozen=True)
class RegularExpression(Kind):
    """The text of a regular expression."""

    allowed = "a regular expression in quotes"

    def accepts(self, value: Any) -> bool:
        """Whether `re` can read the value."""
        try:
            re.compile(value)
        except (re.error, TypeError, ValueError, RecursionError, OverflowError):
            return False
        return isinstance(value, str)


@dataclass(frozen=True)
class Items(Kind):
    """A tuple or list of values of one kind.

    Attributes:
      item: kind of each value.
      fewest: number of values.
      most: number of values.
    """

    item: Kind
    fewest: int = 0
    most: int = 100

    @property
    def allowed(self) -> str:  # type: ignore[override]
        """Such as "a tuple of 1 to 8 values, each an integer, 1 to 100"."""
        count = f"{self.fewest}" if self.fewest == self.most else f"{self.fewest} to {self.most}"
        return f"a tuple of {count} values, each {self.item.allowed}"

    def accepts(self, value: Any) -> bool:
        """Whether the value is such a tuple or list."""
        return (
            isinstance(value, tuple | list)
            and self.fewest <= len(value) <= self.most
            and all(self.item.accepts(part) for part in value)
        )

    def hint(self, value: Any) -> str:
        """A tuple of the single value that was given without a comma."""
        return f"Write ({value!r},)." if self.accepts((value,)) else ""


@dataclass(frozen=True)
class Table(Kind):
    """A dict.

    Attributes:
      key: kind of each key.
      value: kind of each value.
    """

    key: Kind
    value: Kind

    @property
    def allowed(self) -> str:  # type: ignore[override]
        """Such as "a dict of {a regular expression: a number, 0 or more}"."""
        return f"a dict of {{{self.key.allowed}: {self.value.allowed}}}"

    def accepts(self, value: Any) -> bool:
        """Whether the value is such a dict."""
        return isinstance(value, Mapping) and all(
            self.key.accepts(key) and self.value.accepts(part) for key, part in value.items()
        )


@dataclass(frozen=True)
class Maybe(Kind):
    """Another kind, or None.

    Attributes:
      kind: the other kind.
    """

    kind: Kind

    @property
    def allowed(self) -> str:  # type: ignore[override]
        """That of the other kind, or None."""
        return f"{self.kind.allowed}, or None"

    def accepts(self, value: Any) -> bool:
        """Whether the value is None or of the other kind."""
        return value is None or self.kind.accepts(value)

    def hint(self, value: Any) -> str:
        """That of the other kind."""
        return self.kind.hint(value)


class Function(Kind):
    """A function of this project, which a gin file refers to by name.

    Args:
      *names: their gin names.
      called: whether the value is what the function returns: "@warmup_cosine()", not "@ImageFEC".
    """

    def __init__(self, *names: str, called: bool = False) -> None:
        self.names, self.called = names, called
        written = [f"@{name}{'()' if called else ''}" for name in names]
        self.allowed = f"one of {', '.join(written)}" if len(written) > 1 else written[0]

    def accepts(self, value: Any) -> bool:
        """Whether the value is callable."""
        return callable(value)


def kinds_of(declared: Callable[..., Any]) -> dict[str, Kind]:
    """Name -> kind of a dataclass's fields, or of a function's or class's parameters.

    A parameter whose annotation names no kind is a Flag if it is a bool, a Text if it is a str, and
    otherwise left out.
    """
    annotated = declared
    if inspect.isclass(declared) and not hasattr(declared, "__dataclass_fields__"):
        annotated = declared.__init__  # a layer
    hints = typing.get_type_hints(inspect.unwrap(annotated), include_extras=True)
    plain: dict[Any, Kind] = {bool: Flag(), str: Text()}
    kinds = {}
    for name, hint in hints.items():
        given = [part for part in getattr(hint, "__metadata__", ()) if isinstance(part, Kind)]
        kind = given[0] if given else plain.get(hint)
        if kind is not None and name != "return":
            kinds[name] = kind
    return kinds


def problem(name: str, value: Any, kind: Kind) -> str:
    """What is wrong with a value, in one or two sentences; empty if nothing is."""
    if kind.accepts(value):
        return ""
    return f"{name} is {shown(value)}; it must be {kind.allowed}. {kind.hint(value)}".rstrip()


def check_fields(config: Any, name_of: Callable[[str], str]) -> None:
    """Checks a dataclass's fields, except those that are functions.

    Args:
      config: instance of a dataclass whose annotations name kinds.
      name_of: field -> its name in messages.

    Raises:
      UserError: a value is not allowed.
    """
    kinds = kinds_of(type(config))
    for field in fields(config):
        kind = kinds.get(field.name)
        if kind is None or isinstance(kind, Function):
            continue
        if wrong := problem(name_of(field.name), getattr(config, field.name), kind):
            raise UserError(f"{wrong} Bind it in a gin file or with --config='NAME = VALUE'.")


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """Decorates a function whose annotations name kinds: it raises ValueError for other values."""
    signature, kinds = inspect.signature(function), kinds_of(function)

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        for name, value in signature.bind(*args, **kwargs).arguments.items():
            kind = kinds.get(name)
            if kind is not None and not kind.accepts(value):
                raise ValueError(f"{name} must be {kind.allowed}; found {shown(value)}")
        return function(*args, **kwargs)

    call.__signature__ = signature  # type: ignore[attr-defined]  # gin reads it with inspect
    return call


def shown(value: Any) -> str:
    """The value as Python writes it, shortened."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an integer of more than 4,300 digits, a very deep list
        text = f"a value of type {type(value).__name__} that is too large to show"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def described(sequence: Sequence[str], limit: int = 20) -> str:
    """Names in a message: the first ones, separated by commas."""
    return ", ".join(sequence[:limit]) + (", …" if len(sequence) > limit else "")
