"""Checks what gin files and --config bind against the table of settings, before any work."""

import logging
from typing import Any

import gin

from imagefec.errors import UserError
from imagefec.parameters import Function, Kind, problem
from imagefec.training.settings.gin_files import Bindings, Bound, Key, nearest, own_name
from imagefec.training.settings.table import groups

_MAX_VALUES = 10_000  # of one binding with its macros replaced
_CALLED_WITHOUT_SCOPE = ("training", "uda_consistency", "identity_removal", "guards", "hosts")
_CONSTANT_RATE = (
    "For a constant rate, bind warmup_cosine.learning_rate to it, warmup_cosine.warmup_steps to 0 "
    "and warmup_cosine.final_fraction to 1.0."
)


def check_bindings(bindings: Bindings) -> None:
    """Checks every binding, also those without effect on this run.

    Raises:
      UserError: a value is not allowed, a macro does not exist or refers to itself, or a binding
        of --config has no effect. The message names the file and line, or the --config.
    """
    for key, bound in bindings.bound.items():
        value, place = _Macros(bindings, bound.place).replaced(bound)
        setting = groups()[key.group].settings.get(key.parameter) if key.parameter else None
        if setting is not None and (wrong := _problem(str(key), value, setting.kind)):
            raise UserError(f"{place}: {wrong}")
        _check_effect(key, bound.place, bindings)


def own_reference(value: Any) -> tuple[str, bool] | None:
    """Name of the table and whether it is called, of a reference such as @ImageFEC; else None."""
    if not isinstance(value, gin.config.ConfigurableReference):
        return None
    name = own_name(value.selector)
    return None if name is None else (name, value.evaluate)


def _problem(name: str, value: Any, kind: Kind) -> str:
    if not isinstance(kind, Function):
        return problem(name, value, kind)
    found = own_reference(value)
    if found is not None and found in [(each, kind.called) for each in kind.names]:
        return ""
    hint = f"{problem(name, _not_callable(value), kind)} "
    if found is not None and found[0] in kind.names:
        return f"{hint}Write @{found[0]}{'()' if kind.called else ''}."
    is_rate = kind.called and isinstance(value, int | float) and not isinstance(value, bool)
    return (hint + _CONSTANT_RATE) if is_rate else hint.rstrip()


def _not_callable(value: Any) -> Any:
    """The value, or what it is written as if Python could call it."""
    return value if not callable(value) else repr(value)


class _Macros:
    """Replaces macros in one value."""

    def __init__(self, bindings: Bindings, place: str) -> None:
        self._bindings, self._place, self._n_values = bindings, place, 0

    def replaced(self, bound: Bound) -> tuple[Any, str]:
        """The value without macros, and where it is written."""
        place = bound.place
        if (name := _macro_name(bound.value)) is not None:
            place = f"{self._of(name).place}, used in {place}"
        return self._value(bound.value, ()), place

    def _value(self, value: Any, within: tuple[str, ...]) -> Any:
        self._n_values += 1
        if self._n_values > _MAX_VALUES:
            raise UserError(f"{self._place}: more than {_MAX_VALUES:,} values. Bind fewer.")
        name = _macro_name(value)
        if name in within:
            raise UserError(
                f"{self._place}: %{name} refers to itself. Bind it to a value: {name} = 1."
            )
        if name is not None:
            return self._value(self._of(name).value, (*within, name))
        if isinstance(value, list | tuple):
            return type(value)(self._value(part, within) for part in value)
        if isinstance(value, dict):
            return {key: self._value(part, within) for key, part in value.items()}
        return value

    def _of(self, name: str) -> Bound:
        scope, _, last = name.rpartition("/")
        found = self._bindings.bound.get(Key(scope, last, ""))
        if found is None:
            known = [str(key) for key in self._bindings.bound if not key.parameter]
            raise UserError(
                f"{self._place}: %{name} is bound nowhere{nearest(name, known)}. Bind it: {name} = "
                "VALUE."
            )
        return found


def _macro_name(value: Any) -> str | None:
    if not isinstance(value, gin.config.ConfigurableReference):
        return None
    return "/".join(value.scopes) if value.configurable.wrapped is gin.config.macro else None


def _check_effect(key: Key, place: str, bindings: Bindings) -> None:
    """Refuses a binding that nothing reads because of its scope or name."""
    if not key.parameter:
        if str(key) in bindings.macros_used:
            return
        names = [setting.name for group in groups().values() for setting in group.settings.values()]
        macros = sorted(bindings.macros_used)
        message = f"{place}: nothing uses %{key}{nearest(str(key), [*names, *macros])}."
        if place.startswith("--config="):
            raise UserError(f"{message} Correct the name, or leave the binding out.")
        logging.warning("%s It has no effect.", message)
    elif key.scope:
        used = [f"{scope}/" for scope in bindings.scopes_used]
        if key.group in _CALLED_WITHOUT_SCOPE or not any(
            scope.startswith(f"{key.scope}/") for scope in used
        ):
            raise UserError(
                f"{place}: {key} has no effect, since nothing refers to @{key.scope}/{key.group}. "
                f"Bind {key.group}.{key.parameter}."
            )
