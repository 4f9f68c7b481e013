"""What the JSON of a run may contain, whoever wrote it; runs of earlier versions included.

It applies to run.json, settings.json, history.json and the meta of a checkpoint. Where they are and
what they mean is in run.py.
"""

import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from imagefec.errors import UserError
from imagefec.faces.crop_settings import read_crop_settings
from imagefec.json_files import shown

REMEDY = "Copy it again from its source, or train a new run."
MAX_BYTES = 2**20  # of run.json, settings.json and config.gin, which have some kilobytes
MAX_HISTORY_BYTES = 64 * 2**20
MAX_STEP = 10**8
MAX_IMAGE_SIZE = 4096
_MAX_INTEGER = 2**63


class Kind(NamedTuple):
    """A kind of JSON value: in words, and a function that tells whether a value is of it."""

    words: str
    fits: Callable[[Any], bool]


def integer(lowest: int, highest: int) -> Kind:
    """An integer in a range; true and false are none."""
    return Kind(
        f"an integer, {lowest} to {highest}",
        lambda value: _is(value, int) and lowest <= value <= highest,
    )


def number(lowest: float, highest: float) -> Kind:
    """A finite number in a range."""
    return Kind(
        f"a number, {lowest:g} to {highest:g}",
        lambda value: _is(value, (int, float)) and lowest <= value <= highest,
    )


def list_of(kind: Kind, shortest: int, longest: int) -> Kind:
    """A list whose items are all of one kind."""
    return Kind(
        f"a list of {shortest} to {longest} items, each {kind.words}",
        lambda value: (
            _is(value, list) and shortest <= len(value) <= longest and all(map(kind.fits, value))
        ),
    )


def optional(kind: Kind) -> Kind:
    """A kind, or null."""
    return Kind(f"{kind.words}, or null", lambda value: value is None or kind.fits(value))


TEXT = Kind("text", lambda value: _is(value, str))
SWITCH = Kind("true or false", lambda value: _is(value, bool))
OBJECT = Kind("an object", lambda value: _is(value, dict))
_SEED = integer(-_MAX_INTEGER, _MAX_INTEGER)
_WEIGHT = number(0, 1e30)

_INFO = {
    "image_size": integer(1, MAX_IMAGE_SIZE),
    "model": OBJECT,
    "dataset": optional(TEXT),
    "eval_split": optional(TEXT),
    "steps": optional(integer(0, _MAX_INTEGER)),
    "images_per_step": optional(integer(0, 10**9)),
    "batch_triplets": optional(integer(0, 10**9)),
    "seed": optional(_SEED),
    "recipe": optional(TEXT),
    "uda": optional(OBJECT),
    "faces": optional(OBJECT),
}
_REQUIRED = ("image_size", "model")
# Larger networks are refused before they are built, which would take minutes or all memory.
_MODEL = {
    "d_hidden": integer(1, 2**14),
    "d_embedding": integer(1, 2**16),
    "fc_widths": list_of(integer(1, 2**17), 0, 16),
    "stage_blocks": list_of(integer(1, 256), 1, 8),
    **dict.fromkeys(("norm_momentum", "dropout"), number(0, 1)),
    "zero_init_residual": SWITCH,
    **dict.fromkeys(("block", "stem", "pool", "norm", "padding", "scaling", "mode"), TEXT),
}
_SETTINGS = {
    "training.seed": _SEED,
    "training.train_split": TEXT,
    "uda_consistency.weight": _WEIGHT,
    "Augment.crop": number(0, 0.45),
    "Augment.flip": number(0, 1),
    "Augment.brightness": number(0, 0.999999),
    "Augment.contrast": number(0, 0.999999),
    "Augment.rotation": number(0, 180),
    "Augment.scale": number(0, 0.5),
    "Augment.translation": number(0, 0.5),
    "Augment.blur": number(0, 1),
    "Augment.blur_sigma": number(0, 16),
    "Augment.saturation": number(0, 0.99),
    "Augment.hue": number(0, 180),
    "Augment.channel_gain": number(0, 0.99),
    "Augment.grey": number(0, 1),
    "Augment.cutout": integer(0, 16),
    "Augment.cutout_size": number(0, 1),
}


def check_info(path: str | os.PathLike[str], info: Mapping[str, Any]) -> None:
    """Checks run.json: every key that this version reads, and the size of the network.

    Args:
      path: of the file, for the message.
      info: its contents.

    Raises:
      UserError: a value is missing or not allowed; the first one is named.
    """
    for name in _REQUIRED:
        if name not in info:
            raise UserError(f"{path}: {name} is missing. {REMEDY}")
    _check(path, "", info, _INFO)
    _check(path, "model.", info["model"], _MODEL)
    _check(path, "uda.", info.get("uda") or {}, {"weight": _WEIGHT})
    try:
        read_crop_settings(info.get("faces") or {})
    except ValueError as error:
        raise UserError(f"{path}: faces: {error}. {REMEDY}") from None


def check_settings(path: str | os.PathLike[str], settings: Mapping[str, Any]) -> None:
    """Checks the settings that evaluation and reports use; the others are only shown.

    Raises:
      UserError: a value is not allowed; the first one is named.
    """
    # A gin reference, such as "%seed" in config.gin of old runs, is resolved or ignored elsewhere.
    values = {
        name: value
        for name, value in settings.items()
        if not (isinstance(value, str) and value.startswith(("%", "@")))
    }
    _check(path, "", values, _SETTINGS)


def check_history(source: str | os.PathLike[str], history: Any) -> dict[str, dict[str, list]]:
    """Checks measures by step: mode -> measure -> [[step, value], …].

    Args:
      source: the file that it comes from, for the message.
      history: JSON.

    Returns:
      history.

    Raises:
      UserError: it has another form.
    """
    if not isinstance(history, dict):
        raise UserError(f"{source}: the history is {shown(history)}, not an object. {REMEDY}")
    for mode, measures in history.items():
        if not isinstance(measures, dict):
            raise UserError(
                f"{source}: {mode} of the history is {shown(measures)}, not an object. {REMEDY}"
            )
        for name, points in measures.items():
            if not isinstance(points, list) or not all(map(_is_point, points)):
                wrong = (
                    next(point for point in points if not _is_point(point))
                    if isinstance(points, list)
                    else points
                )
                raise UserError(
                    f"{source}: {name} of the history must be a list of [step, value], each step "
                    f"0 to {MAX_STEP}; found {shown(wrong)}. {REMEDY}"
                )
    return history


def check_step(source: str | os.PathLike[str], meta: Mapping[str, Any]) -> int | None:
    """The training step in a checkpoint's meta; None if it has none.

    Raises:
      UserError: it is not an integer, 0 to MAX_STEP.
    """
    _check(source, "", meta, {"step": optional(integer(0, MAX_STEP))})
    return meta.get("step")


def check_state(
    source: str | os.PathLike[str], meta: Mapping[str, Any]
) -> tuple[int, dict[str, dict[str, list]]]:
    """Checks the meta of a checkpoint to resume from.

    Args:
      source: the checkpoint, for the message.
      meta: {"step": int, "history": {"_values": …}}, the latter as Trax writes it.

    Returns:
      (step, history as `check_history` returns it).

    Raises:
      UserError: it has another form, or the history goes beyond the step.
    """
    step, history = check_step(source, meta), meta.get("history")
    if step is None or not isinstance(history, dict) or list(history) != ["_values"]:
        raise UserError(
            f"{source}: its meta.json must have a step and a history; found step "
            f"{shown(step)} and history {shown(history)}. {REMEDY}"
        )
    values = check_history(source, history["_values"])
    last = max((p[0] for of in values.values() for ps in of.values() for p in ps), default=0)
    if last > step:
        raise UserError(f"{source}: is of step {step}, but its history has step {last}. {REMEDY}")
    return step, values


def _check(
    path: str | os.PathLike[str], prefix: str, values: Mapping[str, Any], kinds: Mapping[str, Kind]
) -> None:
    for name, kind in kinds.items():
        if name in values and not kind.fits(values[name]):
            raise UserError(
                f"{path}: {prefix}{name} is {shown(values[name])}; it must be {kind.words}. "
                f"{REMEDY}"
            )


def _is(value: Any, types: type | tuple[type, ...]) -> bool:
    """isinstance, except that a bool is no number."""
    return isinstance(value, types) and (types is bool or not isinstance(value, bool))


def _is_point(point: Any) -> bool:
    return (
        _is(point, list)
        and len(point) == 2
        and _is(point[0], int)
        and 0 <= point[0] <= MAX_STEP
        and (_is(point[1], float) or (_is(point[1], int) and abs(point[1]) < _MAX_INTEGER))
    )
