"""Groups runs into conditions: runs that differ only in their seed form one. No measures."""

import inspect
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from imagefec.errors import UserError
from imagefec.model.run import AUGMENT_OPTIONS, INIT_CHECKPOINT, SEED, Run
from imagefec.paths import readable

UDA = "uda_consistency."
_WITHOUT_EFFECT = (SEED, "training.cores_as_devices")  # the second is only in old runs
# Options that earlier versions did not have, and so do not record; they are off at 0.
_OPTIONS = {
    **{f"Augment.{name}": size and f"Augment.{size}" for name, size in AUGMENT_OPTIONS.items()},
    **dict.fromkeys(("ImageFEC.dropout", "training.ema_decay"), ""),
    "OddOneOutCrossEntropy.label_smoothing": "",
}
_MAX_SETTINGS_IN_NAME, _MAX_NAME_LENGTH = 2, 40
_UDA_TERM = ("distance", "stop_gradient", "ramp_steps", "dataset", "batch_faces")
_BOOKKEEPING = ("training.steps_per_eval", "training.steps_per_checkpoint", "training.eval_split")


@dataclass(frozen=True)
class Condition:
    """Runs of equal settings, ordered by seed.

    Attributes:
      name: distinguishes it from the other conditions; short enough for a table.
      runs: one or more.
    """

    name: str
    runs: tuple[Run, ...]

    @property
    def uda_weight(self) -> float:
        """Weight of the UDA term; 0 for none."""
        return self.runs[0].uda_weight

    @property
    def uda_term(self) -> str:
        """Settings of the UDA term except its weight, such as "distance l2, ramp steps 2000"."""
        return readable(_uda_term(self.runs[0]))


def read_runs(run_dirs: Sequence[str | os.PathLike[str]]) -> list[Run]:
    """Opens runs that can be compared in one report.

    Raises:
      UserError: there is no run, one is repeated, damaged or has no checkpoint, or they differ in
        dataset or dimension.
    """
    if not run_dirs:
        raise UserError("No run was given. Give run directories, such as --runs runs/*.")
    runs = [_opened(path) for path in run_dirs]
    first_of: dict[str, Run] = {}
    for run in runs:
        other = first_of.setdefault(os.path.realpath(run.path), run)
        if other is not run:
            raise UserError(f"{run.path}: the same run as {other.path}. Give each run once.")
    for what, values in (
        ("dataset", [str(run.info.get("dataset", "fec")) for run in runs]),
        ("d_embedding", [_dimension(run) for run in runs]),
    ):
        for run, value in zip(runs, values):
            if value != values[0]:
                raise UserError(
                    f"{run.path}: its {what} is {value}, but that of {runs[0].path} is "
                    f"{values[0]}. All runs of a report must have the same {what}; make one report "
                    "for each."
                )
    return runs


def refuse_copies(runs: Sequence[Run]) -> None:
    """Refuses runs with the same weights, whose standard error would be 0.

    Two seeds never agree in every weight; a run repeated with the same seed does.

    Raises:
      UserError: a checkpoint has the weights of another, or cannot be read.
    """
    first_with: dict[str, Run] = {}
    for run in runs:
        other = first_with.setdefault(run.checkpoint_digest, run)
        if other is not run:
            raise UserError(
                f"{run.checkpoint}: a copy of {other.checkpoint}, or the same run with the same "
                "seed: their weights are equal. Give one of them."
            )


def group_by_condition(runs: Sequence[Run]) -> list[Condition]:
    """Groups runs whose settings are equal except for the seed and the path of init_checkpoint.

    A run without settings is a separate condition. The conditions are in the order of their first
    runs.
    """
    groups: dict[str, list[Run]] = {}
    for run in runs:
        key = _key(comparable_settings(run)) if run.settings else str(run.path)
        groups.setdefault(key, []).append(run)
    members = [
        tuple(sorted(group, key=lambda run: (run.seed, run.name))) for group in groups.values()
    ]
    names = _unique([readable(name) for name in _names(members)])
    return [Condition(name, group) for name, group in zip(names, members)]


def comparable_settings(run: Run, without_uda: bool = False) -> dict[str, Any]:
    """The settings that define a condition: without the seed, init_checkpoint only as "given".

    Args:
      run: the run.
      without_uda: leave out the UDA term and the second view that it requires.
    """
    settings = {
        name: value
        for name, value in _without_macros(run.settings).items()
        if name not in _WITHOUT_EFFECT
    }
    for option, its_size in _OPTIONS.items():
        if settings.setdefault(option, 0.0) == 0:
            settings.pop(its_size, None)
    if settings.get(INIT_CHECKPOINT) is not None:
        settings[INIT_CHECKPOINT] = "given"
    # Without weight, the other settings of the term have no effect.
    if without_uda or run.uda_weight == 0:
        settings = {name: value for name, value in settings.items() if not name.startswith(UDA)}
    if without_uda:
        settings.pop("Augment.views", None)
    return settings


def uda_series(conditions: Sequence[Condition]) -> list[list[Condition]]:
    """Series of conditions that differ only in the weight of the UDA term, by weight, from 0."""
    without: dict[str, Condition] = {}
    series: dict[tuple[str, str], list[Condition]] = {}
    for condition in conditions:
        if condition.runs[0].settings:
            key = _key(comparable_settings(condition.runs[0], without_uda=True))
            if condition.uda_weight == 0:
                without[key] = condition
            else:
                series.setdefault((key, condition.uda_term), []).append(condition)
    return [
        [without[key], *sorted(found, key=lambda condition: condition.uda_weight)]
        for (key, _), found in series.items()
        if key in without
    ]


def _opened(path: str | os.PathLike[str]) -> Run:
    run = Run.open(path)
    _ = run.checkpoint, run.settings, run.history  # raise UserError before any work
    return run


def _without_macros(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with macros replaced: old runs have steps = 300 and training.steps = %steps."""
    return {
        name: settings.get(value[1:], value)
        if isinstance(value, str) and value.startswith("%")
        else value
        for name, value in settings.items()
        if "." in name
    }


def _key(value: Any) -> str:
    """A text that is equal for equal settings: 1 and 1.0, or a list and a tuple, are equal."""
    return json.dumps(_floats(value), sort_keys=True, default=str)


def _floats(value: Any) -> Any:
    match value:
        case bool():
            return value
        case int():
            return float(value)
        case dict():
            return {name: _floats(item) for name, item in value.items()}
        case list() | tuple():
            return [_floats(item) for item in value]
        case _:
            return value


def _names(members: Sequence[Sequence[Run]]) -> list[str]:
    """Names of conditions: the recipe and the settings that differ within it, or the folder."""
    recipes = [str(group[0].info.get("recipe") or "") for group in members]
    one_recipe = len(members) > 1 and len(set(recipes)) == 1  # the recipe distinguishes nothing
    names = []
    for group, recipe in zip(members, recipes):
        same_recipe = [
            other[0] for other, other_recipe in zip(members, recipes) if other_recipe == recipe
        ]
        parts, n_settings = _name_parts(group[0], same_recipe)
        name = ", ".join([*([recipe] if recipe and not (one_recipe and parts) else []), *parts])
        short = n_settings <= _MAX_SETTINGS_IN_NAME and len(name) <= _MAX_NAME_LENGTH
        names.append(name if name and short else _folder_name(group[0]))
    return names


def _name_parts(run: Run, same_recipe: Sequence[Run]) -> tuple[list[str], int]:
    """What distinguishes a run from others, and in how many settings other than UDA's."""
    settings = [comparable_settings(other) for other in same_recipe]
    differing = _differing(settings)
    own = comparable_settings(run)
    named = [name for name in differing if not name.startswith(UDA)]
    named = [name for name in named if name not in _BOOKKEEPING] or named
    named = _without_repeats(named, settings)
    parts = [_setting_text(name, own[name]) for name in named if name in own]
    if f"{UDA}weight" in differing:
        terms = {_uda_term(other) for other in same_recipe if other.uda_weight}
        term = f" ({_uda_term(run)})" if len(terms) > 1 and run.uda_weight else ""
        parts.append(f"UDA {run.uda_weight:g}{term}")
    return parts, len(named)


def _differing(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    names = {name for each in settings for name in each}
    return sorted(name for name in names if len({_key(each.get(name)) for each in settings}) > 1)


def _without_repeats(names: Sequence[str], settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Leaves out repeated names, such as warmup_cosine.steps beside an equal training.steps."""
    first_of: dict[tuple[str, str], str] = {}
    for name in names:
        values = _key([each.get(name) for each in settings])
        first_of.setdefault((name.rpartition(".")[2], values), name)
    return list(first_of.values())


def _folder_name(run: Run) -> str:
    """The run's folder without its seed."""
    name = run.path.resolve().name  # not the readable one, whose escapes may end in digits
    return re.sub(r"[-_.]?(seed|s)?[-_=]?\d+$", "", name) or name


def _uda_term(run: Run) -> str:
    found = {name: run.settings.get(UDA + name) for name in _UDA_TERM}
    return ", ".join(
        f"{name.replace('_', ' ')} {value}"
        for name, value in found.items()
        if value not in (None, False, 0)
    )


def _setting_text(setting: str, value: Any) -> str:
    """`TripletLoss.margin`, 0.2 -> "margin 0.2"; the owner is named unless the name is clear."""
    owner, _, name = setting.rpartition(".")
    clear = owner in ("training", "") or name in ("margin", "temperature")
    label = name.replace("_", " ") if clear else f"{owner} {name}"
    match value:
        case None | False:
            return f"no {label}"
        case True:
            return label
        case str():
            return f"{label} {value.removeprefix('@').removesuffix('()')}"
        case list() | tuple():
            return f"{label} {' '.join(map(str, value))}"
        case _:
            return f"{label} {value}"


def _unique(names: Sequence[str]) -> list[str]:
    """The names, with numbers added to repeated ones."""
    return [
        name if names.count(name) == 1 else f"{name} ({names[: place + 1].count(name)})"
        for place, name in enumerate(names)
    ]


def _dimension(run: Run) -> int:
    from imagefec.model import ImageFEC

    default = inspect.signature(ImageFEC).parameters["d_embedding"].default
    return run.model_settings.get("d_embedding", default)
