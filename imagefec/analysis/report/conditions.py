"""Runs sorted into conditions: runs that differ in their seed alone are one; nothing is measured here."""

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from imagefec.errors import UserError
from imagefec.model.run import INIT_CHECKPOINT, SEED, Run

UDA = "uda_consistency."
_MOST_SETTINGS_IN_A_NAME, _LONGEST_NAME = 2, 40
_UDA_TERM = ("distance", "stop_gradient", "ramp_steps", "dataset", "batch_faces")
_BOOKKEEPING = ("training.steps_per_eval", "training.steps_per_checkpoint", "training.eval_split")


@dataclass(frozen=True)
class Condition:
    """Runs of equal settings, in the order of their seeds.

    Attributes:
      name: what tells it from the others, short enough for a table.
      runs: one or more.
    """

    name: str
    runs: tuple[Run, ...]

    @property
    def uda_weight(self) -> float:
        return self.runs[0].uda_weight

    @property
    def uda_term(self) -> str:
        """UDA's settings but its weight, where they are set: "distance squared_l2, ramp steps 2000"."""
        return _uda_term(self.runs[0])


def read_runs(run_dirs: Sequence[str | os.PathLike]) -> list[Run]:
    """Reads runs that can stand in one report.

    Raises:
      UserError: none is given, one comes twice, lacks a checkpoint or is broken, or they differ in
        dataset or dimension.
    """
    if not run_dirs:
        raise UserError(
            "no run is given. Name run directories after --runs, such as --runs runs/*."
        )
    runs = [_opened(path) for path in run_dirs]
    where: dict[str, Run] = {}
    for run in runs:
        other = where.setdefault(os.path.realpath(run.path), run)
        if other is not run:
            raise UserError(f"{run.path}: the same run as {other.path}. Name each run once.")
    for what, values in (
        ("dataset", [str(run.info.get("dataset", "fec")) for run in runs]),
        ("d_embedding", [_dimension(run) for run in runs]),
    ):
        for run, value in zip(runs, values):
            if value != values[0]:
                raise UserError(
                    f"{run.path}: its {what} is {value}, that of {runs[0].path} is {values[0]}. One report holds "
                    f"runs of one {what}; make one report for each."
                )
    return runs


def sort_into_conditions(runs: Sequence[Run]) -> list[Condition]:
    """Puts runs together whose settings are equal but for the seed and the path of the run that they began from.

    A run without config.gin is a condition of its own. The conditions come in the order of their
    first runs.
    """
    groups: dict[str, list[Run]] = {}
    for run in runs:
        key = _key(comparable(run)) if run.settings else str(run.path)
        groups.setdefault(key, []).append(run)
    members = [
        tuple(sorted(group, key=lambda run: (run.seed, run.name))) for group in groups.values()
    ]
    return [Condition(name, group) for name, group in zip(_distinct(_names(members)), members)]


def comparable(run: Run, without_uda: bool = False) -> dict[str, Any]:
    """The settings that make a condition: no seed, and of the run begun from only that there is one.

    Args:
      run: its files.
      without_uda: leave out the consistency term and the second view that it takes as well.
    """
    settings = {name: value for name, value in run.settings.items() if name != SEED}
    if settings.get(INIT_CHECKPOINT) is not None:
        settings[INIT_CHECKPOINT] = "given"
    if without_uda:
        settings = {
            name: value
            for name, value in settings.items()
            if not name.startswith(UDA) and name != "Augment.views"
        }
    elif run.uda_weight == 0:  # without weight the term's other settings do nothing
        settings = {name: value for name, value in settings.items() if not name.startswith(UDA)}
    return settings


def uda_series(conditions: Sequence[Condition]) -> list[list[Condition]]:
    """Conditions that differ in UDA's weight alone, and before them the one that differs by having none; by weight."""
    without: dict[str, Condition] = {}
    series: dict[tuple, list[Condition]] = {}
    for condition in conditions:
        if condition.runs[0].settings:
            key = _key(comparable(condition.runs[0], without_uda=True))
            if condition.uda_weight == 0:
                without[key] = condition
            else:
                series.setdefault((key, condition.uda_term), []).append(condition)
    return [
        [without[key], *sorted(found, key=lambda one: one.uda_weight)]
        for (key, _), found in series.items()
        if key in without
    ]


def _opened(path: str | os.PathLike) -> Run:
    run = Run.open(path)
    _ = run.checkpoint, run.settings, run.history  # broken ones are refused before any work
    return run


def _key(settings: Any) -> str:
    return json.dumps(settings, sort_keys=True, default=str)


def _names(members: Sequence[Sequence[Run]]) -> list[str]:
    """A recipe's name, and what differs among the conditions of that recipe; else the folder's name without its seed."""
    recipes = [str(group[0].info.get("recipe") or "") for group in members]
    one_recipe = len(members) > 1 and len(set(recipes)) == 1  # then it tells none from the others
    names = []
    for group, recipe in zip(members, recipes):
        beside = [comparable(other[0]) for other, its in zip(members, recipes) if its == recipe]
        own = comparable(group[0])
        every = {name for settings in beside for name in settings}
        differing = sorted(
            name for name in every if len({_key(settings.get(name)) for settings in beside}) > 1
        )
        beyond = [name for name in differing if not name.startswith(UDA)]
        beyond = [name for name in beyond if name not in _BOOKKEEPING] or beyond
        parts = [f"{_short(name)} {own[name]}" for name in beyond if name in own]
        if f"{UDA}weight" in differing:
            terms = {
                _uda_term(other[0])
                for other, its in zip(members, recipes)
                if its == recipe and other[0].uda_weight
            }
            parts.append(
                f"UDA {group[0].uda_weight:g}"
                + (f" ({_uda_term(group[0])})" if len(terms) > 1 and group[0].uda_weight else "")
            )
        name = ", ".join([*([recipe] if recipe and not (one_recipe and parts) else []), *parts])
        if name and len(beyond) <= _MOST_SETTINGS_IN_A_NAME and len(name) <= _LONGEST_NAME:
            names.append(name)
        else:
            names.append(re.sub(r"[-_.]?(seed|s)?[-_=]?\d+$", "", group[0].name) or group[0].name)
    return names


def _uda_term(run: Run) -> str:
    found = {name.replace("_", " "): run.settings.get(UDA + name) for name in _UDA_TERM}
    return ", ".join(
        f"{name} {value}" for name, value in found.items() if value not in (None, False, 0)
    )


def _short(setting: str) -> str:
    """`TripletLoss.margin` -> margin; what says little alone keeps its owner."""
    owner, _, name = setting.rpartition(".")
    return (
        name.replace("_", " ")
        if owner in ("training", "") or name in ("margin", "temperature")
        else f"{owner} {name}"
    )


def _distinct(names: list[str]) -> list[str]:
    """Names as they are where they differ, else numbered."""
    return [
        name if names.count(name) == 1 else f"{name} ({names[: place + 1].count(name)})"
        for place, name in enumerate(names)
    ]


def _dimension(run: Run) -> int:
    import inspect

    from imagefec.model import ImageFEC

    default = inspect.signature(ImageFEC).parameters["d_embedding"].default
    return run.info["model"].get("d_embedding", default)
