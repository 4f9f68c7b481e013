"""Gin: what it binds, its files, and the settings in force; no other file imports gin."""

import contextlib
import dataclasses
import importlib.util  # noqa: F401  # gin 0.5.0 uses importlib.util without importing it
import inspect
import logging
import os
import pathlib
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import gin

from imagefec.compat import optimizers, tl
from imagefec.config_dirs import CONFIG_DIRS
from imagefec.errors import UserError
from imagefec.model import layers, resnet
from imagefec.training import schedules, trainer
from imagefec.training.config import (
    DataConfig,
    DivergenceConfig,
    HostsConfig,
    InitConfig,
    ScheduleConfig,
    StepConfig,
    TrainConfig,
    UdaConfig,
)
from imagefec.training.step import mesh, objectives

RENAMED_CONFIGS = {
    "fec.gin": "resnet50_hinge.gin",
    "fec_uda.gin": "resnet50_hinge_uda.gin",
    "paper.gin": "resnet50_paper.gin",
    "clarify.gin": "resnet50_hinge_identity_uda.gin",
    "identity.gin": "resnet50_identity.gin",
    "best.gin": "small_cross_entropy.gin",
    "best_uda.gin": "small_cross_entropy_uda.gin",
    "best_resnet50.gin": "resnet50_cross_entropy.gin",
    "best_resnet50_uda.gin": "resnet50_cross_entropy_uda.gin",
}
# Fields whose gin parameter has another name. Gin's names are an interface for users' files.
GIN_NAMES = {
    (DataConfig, "batch_identities"): "batch_people",
    (DataConfig, "images_per_identity"): "faces_each",
    (StepConfig, "remat"): "rematerialise",
    (StepConfig, "accumulation_steps"): "accumulate",
    (StepConfig, "device_resident"): "faces_on_device",
    (InitConfig, "checkpoint"): "init_checkpoint",
    (InitConfig, "part"): "init_part",
    (TrainConfig, "lr_multipliers"): "layer_rates",
}
# What gin binds as training.*: the fields of these groups, and these fields of TrainConfig.
_GROUPS = {"data": DataConfig, "schedule": ScheduleConfig, "step": StepConfig, "init": InitConfig}
_TRAIN_CONFIG_FIELDS = (
    "model",
    "loss",
    "optimizer",
    "learning_rate",
    "augment",
    "lr_multipliers",
    "seed",
)
T = TypeVar("T")
_UNSET = object()  # not a literal, so gin leaves it out of config.gin

ImageFEC = gin.external_configurable(resnet.ImageFEC, "ImageFEC", denylist=["mode"])
Augment = gin.external_configurable(layers.Augment, "Augment", denylist=["mode"])
TripletLoss = gin.external_configurable(objectives.TripletLoss, "TripletLoss")
OddOneOutCrossEntropy = gin.external_configurable(
    objectives.OddOneOutCrossEntropy, "OddOneOutCrossEntropy"
)
IdentityLoss = gin.external_configurable(objectives.IdentityLoss, "IdentityLoss")
warmup_cosine = gin.external_configurable(schedules.warmup_cosine, "warmup_cosine")
for _optimizer in (optimizers.Adam, optimizers.Adafactor, optimizers.Momentum, optimizers.SGD):
    # Trax registers its optimizers as trax.optimizers.Adam; a short name reads better.
    gin.external_configurable(_optimizer, f"imagefec.{_optimizer.__name__}")


@gin.configurable("ChoiceLoss")
def _choice_loss(
    temperature: float = 0.05, distance: str = "squared_l2", from_votes: bool = False
) -> tl.Layer:
    """Former name of OddOneOutCrossEntropy in gin files."""
    logging.warning(
        "gin: ChoiceLoss is now OddOneOutCrossEntropy; the former name will be removed."
    )
    return objectives.OddOneOutCrossEntropy(temperature, distance, from_votes)


def run(
    config_files: Sequence[str | os.PathLike[str]],
    bindings: Sequence[str],
    output_dir: str | os.PathLike[str],
    data_dir: str | os.PathLike[str],
) -> pathlib.Path:
    """Parses gin and trains.

    Args:
      config_files: as for `parse`.
      bindings: as for `parse`.
      output_dir: run directory; besides the files of `trainer.train` it gets config.gin, gin's
        operative configuration.
      data_dir: where TFDS datasets are built.

    Returns:
      output_dir.

    Raises:
      UserError: as for `parse` and `trainer.train`; also if a required parameter is not bound.
    """
    files = parse(config_files, bindings)
    config = train_config(recipe=pathlib.Path(files[0]).stem if files else None)
    mesh.join_hosts(_config_from(HostsConfig, _bound_hosts()))
    return trainer.train(output_dir, data_dir, config)


def parse(
    config_files: Sequence[str | os.PathLike[str]], bindings: Sequence[str] = ()
) -> list[str]:
    """Clears gin and reads files and bindings.

    Args:
      config_files: paths, or names of files in gin_configs. Former names are replaced, with a
        warning.
      bindings: such as "training.steps = 10"; they override the files.

    Returns:
      The files that were read.

    Raises:
      UserError: a file does not exist, or gin cannot read a file or binding; its message is quoted.
    """
    gin.clear_config()
    for folder in CONFIG_DIRS:
        gin.add_config_file_search_path(str(folder))
    files = [_find(os.fspath(name)) for name in config_files]
    try:
        with _quiet_gin_search():
            gin.parse_config_files_and_bindings(files, list(bindings))
    except (ValueError, SyntaxError, OSError, TypeError, LookupError) as error:
        message = " ".join(str(error).split())
        raise UserError(
            f"gin cannot read {', '.join([*files, *bindings])}: {message} "
            f"{_renamed_include(message)}Correct the file or binding; `imagefec train --help` "
            "shows one that works."
        ) from error
    return files


def known_configs() -> list[str]:
    """Names of the project's run files; the models and recipes they include are in subfolders."""
    return sorted({path.name for folder in CONFIG_DIRS for path in folder.glob("*.gin")})


def train_config(recipe: str | None = None) -> TrainConfig:
    """The settings that gin has bound.

    Args:
      recipe: name of these settings in reports.

    Raises:
      UserError: a required parameter is not bound, or a value is not allowed.
    """
    try:
        bound = _bound_training()
    except RuntimeError as error:  # gin's error for a parameter that is REQUIRED and not bound
        if "Required bindings" not in str(error):
            raise
        raise UserError(
            f"{' '.join(str(error).split())} Give --config_file, or bind it with --config."
        ) from error
    if "cores_as_devices" in bound:
        for parameters in gin.config._OPERATIVE_CONFIG.values():
            parameters.pop("cores_as_devices", None)  # not in this run's config.gin
        logging.warning(
            "gin: training.cores_as_devices is ignored, since it made no run faster. Remove it."
        )
    return TrainConfig(
        **{"augment": Augment, **_fields(TrainConfig, bound)},
        **{name: _config_from(config, bound) for name, config in _GROUPS.items()},
        uda=_config_from(UdaConfig, _bound_uda()),
        divergence=_config_from(DivergenceConfig, _bound_guards()),
        model_settings=dict(gin.get_bindings("ImageFEC")),
        recipe=recipe,
        settings=settings_in_force,
    )


def settings_in_force() -> dict[str, Any]:
    """Every parameter of the configurables called so far, by gin name, as JSON values.

    Macros are replaced by their values; a reference to a configurable is text such as
    "@TripletLoss".
    """
    # Gin returns this only as text in which macros are not replaced.
    operative = gin.config._OPERATIVE_CONFIG
    settings = {}
    for (scope, selector), parameters in operative.items():
        if gin.config._REGISTRY[selector].wrapped is gin.config.macro:
            continue
        name = gin.config._REGISTRY.minimal_selector(selector)
        for parameter, value in parameters.items():
            settings[f"{scope}/{name}.{parameter}".removeprefix("/")] = _as_json(value)
    return dict(sorted(settings.items()))


def _as_json(value: Any) -> Any:
    if isinstance(value, gin.config.ConfigurableReference):
        if value.configurable.wrapped is not gin.config.macro:
            return str(value)
        return _as_json(gin.query_parameter(f"{value.scoped_selector}.value"))
    if isinstance(value, dict):
        return {str(key): _as_json(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_as_json(part) for part in value]
    return value if isinstance(value, str | int | float | None) else str(value)


def _gin_names(config: type) -> dict[str, str]:
    """Field -> gin parameter, of a dataclass; of TrainConfig only _TRAIN_CONFIG_FIELDS."""
    names = (
        _TRAIN_CONFIG_FIELDS
        if config is TrainConfig
        else [field.name for field in dataclasses.fields(config)]
    )
    return {name: GIN_NAMES.get((config, name), name) for name in names}


def _configurable(
    name: str, *configs: type, deprecated: Sequence[str] = ()
) -> Callable[[], dict[str, Any]]:
    """Registers a gin configurable whose parameters and defaults are the fields of dataclasses.

    Args:
      name: gin's name for it.
      *configs: the dataclasses; a field without a default is required.
      deprecated: more parameters, without a value unless bound.

    Returns:
      A function that returns the bound parameters. The dataclasses are made outside gin, because
      gin would add text to their errors.
    """
    defaults: dict[str, Any] = dict.fromkeys(deprecated, _UNSET)
    for config in configs:
        of_field = {field.name: field.default for field in dataclasses.fields(config)}
        for field, parameter in _gin_names(config).items():
            required = of_field[field] is dataclasses.MISSING
            defaults[parameter] = gin.REQUIRED if required else of_field[field]

    def bound(**parameters: Any) -> dict[str, Any]:
        return parameters

    keyword = inspect.Parameter.KEYWORD_ONLY
    bound.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # read by inspect
        [inspect.Parameter(name, keyword, default=value) for name, value in defaults.items()]
    )
    return gin.external_configurable(bound, name)


def _config_from(config: type[T], bound: dict[str, Any]) -> T:
    """The dataclass with the bound parameters; its own defaults for the others."""
    return config(**_fields(config, bound))


def _fields(config: type, bound: dict[str, Any]) -> dict[str, Any]:
    """Field -> bound value."""
    return {
        field: bound[parameter]
        for field, parameter in _gin_names(config).items()
        if parameter in bound
    }


def _find(name: str) -> str:
    """The name of a file that exists: the given one, or the one that replaced it."""
    if _exists(name):
        return name
    renamed = RENAMED_CONFIGS.get(pathlib.Path(name).name)
    if renamed:
        found = str(pathlib.Path(name).with_name(renamed))
        if _exists(found):
            logging.warning("--config_file=%s: this file is now %s.", name, found)
            return found
    known = ", ".join(known_configs()) or (
        "the installed ones (none found: install from a checkout with pip install -e .)"
    )
    raise UserError(
        f"--config_file={name}: there is no such file, neither at this path nor among {known}."
    )


def _exists(name: str) -> bool:
    return any(folder.joinpath(name).is_file() for folder in (pathlib.Path(), *CONFIG_DIRS))


def _renamed_include(message: str) -> str:
    """A sentence with the new name of an included file that gin did not find by its former name."""
    missing = re.search(r"Unable to open file: (\S+?)\. ", message)
    renamed = RENAMED_CONFIGS.get(pathlib.Path(missing[1]).name) if missing else None
    return f"{missing[1]} is now {renamed}: include that. " if missing and renamed else ""


@contextlib.contextmanager
def _quiet_gin_search() -> Iterator[None]:
    """Drops the errors that gin logs for each folder that it searches before the file's own."""

    def is_other(record: logging.LogRecord) -> bool:
        return "Path not found" not in record.getMessage()

    logging.getLogger().addFilter(is_other)
    try:
        yield
    finally:
        logging.getLogger().removeFilter(is_other)


# Last, since they need the functions above.
_bound_training = _configurable(
    "training", TrainConfig, *_GROUPS.values(), deprecated=["cores_as_devices"]
)
_bound_uda = _configurable("uda_consistency", UdaConfig)
_bound_guards = _configurable("guards", DivergenceConfig)
_bound_hosts = _configurable("hosts", HostsConfig)
