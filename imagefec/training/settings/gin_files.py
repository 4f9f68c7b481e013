"""Parses gin files and bindings into values with the places where they are bound.

Gin's own parser reads each statement. What a statement may do is decided here: bind a setting of
the table, name a value (a macro) or include a file. Nothing is imported, and no other library's
function can be bound or referred to, so a gin file runs no code.
"""

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import gin
from gin import config_parser

from imagefec.errors import UserError
from imagefec.parameters import described, shown
from imagefec.training.settings.gin_text import find_gin_file, read_gin_file
from imagefec.training.settings.table import groups

_MAX_INCLUDES = 1000  # files that include each other twice would otherwise be read indefinitely
_DOCUMENTED = "docs/settings.md lists all settings."
# What Trax writes to a run's config.gin, with the only values that it is accepted with.
_WRITTEN_BY_TRAX = {
    "TrainTask.export_prefix": None,
    "TrainTask.n_steps_per_permanent_checkpoint": None,
    "backend.name": "jax",
}


class Key(NamedTuple):
    """What is bound: a setting, or a macro if the parameter is empty."""

    scope: str
    group: str
    parameter: str

    def __str__(self) -> str:
        return "/".join(filter(None, [self.scope, self.group])) + (
            f".{self.parameter}" if self.parameter else ""
        )


class Bound(NamedTuple):
    """A value as it is written, macros and references included, and where: "a.gin, line 3"."""

    value: Any
    place: str


@dataclass
class Bindings:
    """What gin files and --config bind; a later binding replaces an earlier one.

    Attributes:
      bound: key -> value.
      macros_used: names of macros that some binding refers to, replaced bindings included.
      scopes_used: scopes in which some binding refers to a function.
      groups_used: names of the table that are bound or referred to.
    """

    bound: dict[Key, Bound] = field(default_factory=dict)
    macros_used: set[str] = field(default_factory=set)
    scopes_used: set[str] = field(default_factory=set)
    groups_used: set[str] = field(default_factory=set)


def own_name(selector: str) -> str | None:
    """The table's name for a gin selector, which may be longer or shorter; None for no such name.

    "Adam" is "imagefec.Adam"; "imagefec.model.resnet.ImageFEC" is "ImageFEC".
    """
    for name in groups():
        complete = gin.config._REGISTRY.get_match(name).selector
        if selector in (name, complete) or complete.endswith(f".{selector}"):
            return name
    return None


def nearest(name: str, names: Iterable[str]) -> str:
    """A question with the name that was meant, for a misspelt one; empty if no name is near."""
    by_end = {known.rsplit(".", 1)[-1]: known for known in names}
    by_end |= {known: known for known in names}
    found = difflib.get_close_matches(name, by_end, n=1, cutoff=0.7)
    return f"; did you mean {by_end[found[0]]}" if found else ""


class GinReader:
    """Reads gin files and bindings.

    Args:
      folders: where included files are searched, after the including file's own folder and the
        current one.
      renamed: former name -> name of the project's files, for messages.
    """

    def __init__(self, folders: Sequence[Path], renamed: Mapping[str, str]) -> None:
        self.bindings = Bindings()
        self._folders, self._renamed = folders, renamed
        self._n_read = 0

    def read_file(self, path: Path, including: tuple[Path, ...] = ()) -> None:
        """Reads a file and those that it includes.

        Args:
          path: an existing file.
          including: files that include this one, the outermost first.

        Raises:
          UserError: a file cannot be read, a statement is not allowed, or files include each other.
        """
        self._n_read += 1
        if self._n_read > _MAX_INCLUDES:
            raise UserError(f"{path}: more than {_MAX_INCLUDES} files are included. Include fewer.")
        resolved = path.resolve()
        if resolved in including:
            circle = " -> ".join(each.name for each in (*including, resolved))
            raise UserError(f"{path}: files include each other: {circle}. Remove one include.")
        text = read_gin_file(path)
        places: dict[Key, str] = {}
        for statement, place in self._statements(text, lambda line: f"{path}, line {line}"):
            if isinstance(statement, config_parser.IncludeStatement):
                included = self._find(statement.filename, place, path.parent)
                self.read_file(included, (*including, resolved))
            elif isinstance(statement, config_parser.BindingStatement):
                key = self._bind(statement, place)
                if key in places:
                    raise UserError(
                        f"{place}: {key} is bound here and in {places[key]}. Remove one of them."
                    )
                places[key] = place

    def read_binding(self, text: str) -> None:
        """Reads one --config.

        Raises:
          UserError: it is not a binding, or not an allowed one.
        """
        place = f"--config={shown(text)}"
        for statement, _ in self._statements(text, lambda _line: place):
            if isinstance(statement, config_parser.IncludeStatement):
                self.read_file(self._find(statement.filename, place))
            elif isinstance(statement, config_parser.BindingStatement):
                self._bind(statement, place)

    def _find(self, name: str, place: str, *beside: Path) -> Path:
        folders = (*beside, Path(), *self._folders)
        what = f"{place}: include {shown(name)}"
        return find_gin_file(name, folders, [], self._renamed, what)

    def _statements(self, text: str, place_of: Callable[[int], str]) -> Iterator[tuple[Any, str]]:
        """Gin's statements with their places; imports are refused."""
        delegate = _Delegate(self.bindings)
        try:
            parser = config_parser.ConfigParser(text, delegate)
        except Exception as error:
            raise _unreadable(place_of(1), error) from error
        while True:
            line = parser.current_token.start[0]
            try:
                statement = parser.parse_statement()
            # Whatever fails in gin's parser or Python's tokenizer, on text from elsewhere, is
            # about the text.
            except Exception as error:
                raise _unreadable(
                    place_of(getattr(error, "lineno", None) or line), error
                ) from error
            if statement is None:
                return
            place = place_of(statement.location.line_num)
            if delegate.unknown:
                raise UserError(f"{place}: {_unknown_group(delegate.unknown[0], '@')}")
            if isinstance(statement, config_parser.ImportStatement):
                raise UserError(
                    f"{place}: {shown(statement.format())} is refused: a gin file may bind "
                    "settings and include other gin files, but import no code. Remove the line. To "
                    "train with code of your own, call imagefec.training.trainer.train from Python."
                )
            if isinstance(statement, config_parser.BlockDeclaration):
                _checked_group(statement.selector, place)
            yield statement, place

    def _bind(self, statement: config_parser.BindingStatement, place: str) -> Key:
        scope, selector, parameter, value, _ = statement
        if not parameter:
            key = Key(scope, selector, "")
            if own_name(selector):
                raise UserError(
                    f"{place}: {selector} is a group of settings. Write {selector}.PARAMETER = "
                    f"VALUE. {_DOCUMENTED}"
                )
            self.bindings.bound[key] = Bound(value, place)
            return key
        if _is_written_by_trax(selector, parameter, value):
            return Key(scope, selector, parameter)
        group = _checked_group(selector, place)
        known = groups()[group].settings
        if parameter not in known and f"{group}.{parameter}" not in FORMER_PARAMETERS:
            raise UserError(
                f"{place}: {group} has no parameter {parameter!r}{nearest(parameter, known)}. It "
                f"has {described(list(known), 40)}. {_DOCUMENTED}"
            )
        key = Key(scope, group, parameter)
        self.bindings.bound[key] = Bound(value, place)
        self.bindings.groups_used.add(group)
        return key


FORMER_PARAMETERS = ("training.cores_as_devices",)


class _Delegate(gin.config.ParserDelegate):
    """Makes references for gin's parser, to names of the table only, and records them."""

    def __init__(self, bindings: Bindings) -> None:
        super().__init__()
        self.unknown: list[str] = []
        self._bindings = bindings

    def configurable_reference(self, scoped_configurable_name: str, evaluate: bool) -> Any:
        """A reference; None if it is to another library's function, which is recorded."""
        *scopes, selector = scoped_configurable_name.split("/")
        name = own_name(selector)
        if name is None:
            self.unknown.append(selector)
            return None
        self._bindings.scopes_used.add("/".join(scopes))
        self._bindings.groups_used.add(name)
        return super().configurable_reference("/".join([*scopes, name]), evaluate)

    def macro(self, macro_name: str) -> Any:
        """A reference to a value of this file; gin's constants are not looked up."""
        self._bindings.macros_used.add(macro_name)
        return gin.config.ConfigurableReference(f"{macro_name}/gin.macro", True)


def _checked_group(selector: str, place: str) -> str:
    group = own_name(selector)
    if group is None:
        raise UserError(f"{place}: {_unknown_group(selector)}")
    return group


def _unknown_group(selector: str, sign: str = "") -> str:
    names = list(groups())
    return (
        f"there is no {sign}{selector}{nearest(selector, names)}. A gin file may name only this "
        f"project's settings and functions: {', '.join(names)}. {_DOCUMENTED}"
    )


def _is_written_by_trax(selector: str, parameter: str, value: Any) -> bool:
    """Whether a binding is one that Trax adds to a run's config.gin, without effect."""
    written = dict(_WRITTEN_BY_TRAX)
    for name, group in groups().items():
        if name.startswith("imagefec."):
            short = f"optimizers.{name.removeprefix('imagefec.')}"
            written |= {f"{short}.{s}": each.default for s, each in group.settings.items()}
    name = f"{selector.removeprefix('trax.')}.{parameter}"
    return name in written and type(value) is type(written[name]) and value == written[name]


def _unreadable(place: str, error: Exception) -> UserError:
    if isinstance(error, StopIteration):
        said = "a statement ends too early"
    elif isinstance(error, RecursionError):
        said = "too many brackets within each other"
    else:
        said = " ".join(str(getattr(error, "msg", None) or error).split())
    line = getattr(error, "text", None)
    found = f": {shown(line.strip())}" if line and line.strip() else ""
    return UserError(
        f"{place}: gin cannot read this{found} ({said[:200]}). Write a statement as training.steps "
        f"= 1000. {_DOCUMENTED}"
    )
