"""Gin: what it binds and the settings in force. Its files are read in settings/.

Other files do not import gin.
"""

# Over 350 lines: all that uses gin, but for the reading of its files.

import dataclasses
import importlib.util  # noqa: F401  # gin 0.5.0 uses importlib.util without importing it
import inspect
import logging
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import gin

from imagefec.compat import tl
from imagefec.config_dirs import CONFIG_DIRS
from imagefec.errors import UserError
from imagefec.model import layers, resnet
from imagefec.training import optimizers, schedules, trainer
from imagefec.training.config import (
    GIN_NAMES,
    DataConfig,
    DivergenceConfig,
    HostsConfig,
    IdentityRemovalConfig,
    InitConfig,
    ScheduleConfig,
    StepConfig,
    TrainConfig,
    UdaConfig,
)
from imagefec.training.settings import gin_files
from imagefec.training.settings.check import check_bindings
from imagefec.training.settings.gin_text import find_gin_file
from imagefec.training.settings.table import FORMER_NAMES, gin_names, groups
from imagefec.training.step import mesh, objectives

__all__ = [
    "GIN_NAMES",
    "hosts_config",
    "known_configs",
    "parse",
    "run",
    "settings_in_force",
    "train_config",
]

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
# What gin binds as training.*: the fields of these groups, and some of TrainConfig's own.
_GROUPS = {"data": DataConfig, "schedule": ScheduleConfig, "step": StepConfig, "init": InitConfig}
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
    temperature: float = 0.05,
    distance: str = "squared_l2",
    from_votes: bool = False,
    label_smoothing: float = 0.0,
) -> tl.Layer:
    """Former name of OddOneOutCrossEntropy in gin files; `parse` warns."""
    return objectives.OddOneOutCrossEntropy(temperature, distance, from_votes, label_smoothing)


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
    config = parsed_config(config_files, bindings)
    mesh.join_hosts(hosts_config())
    return trainer.train(output_dir, data_dir, config)


def parsed_config(
    config_files: Sequence[str | os.PathLike[str]], bindings: Sequence[str]
) -> TrainConfig:
    """The settings of a run from gin; arguments and errors as for `run`."""
    files = parse(config_files, bindings)
    config = train_config(recipe=pathlib.Path(files[0]).stem if files else None)
    if config.data.eval_split == "test":
        logging.warning(
            "training.eval_split is 'test', so best.npz is chosen on the triplets that `evaluate` "
            "measures by default. Bind another split, such as 'validation' or 'train[95%:]'."
        )
    return config


def printed(config_files: Sequence[str | os.PathLike[str]], bindings: Sequence[str] = ()) -> str:
    """All settings that these files and bindings give, defaults included, as gin bindings.

    Args:
      config_files: as for `parse`.
      bindings: as for `parse`.

    Returns:
      Lines NAME = VALUE, sorted; as a gin file they give the same settings.

    Raises:
      UserError: as for `parse`; also if a required parameter is not bound.
    """
    parse(config_files, bindings)
    config = train_config()
    config.model(mode="eval")  # what is not called has no defaults in force
    config.augment(mode="eval")
    config.loss()
    config.optimizer()
    hosts_config()
    return "\n".join(
        f"{name} = {_as_gin(value)}"
        for name, value in settings_in_force().items()
        if name.rpartition(".")[0].rpartition("/")[2] in groups()
    )


def _as_gin(value: Any) -> str:
    """A JSON value as gin writes it; text that begins with @ is a reference."""
    return value if isinstance(value, str) and value.startswith("@") else repr(value)


def parse(
    config_files: Sequence[str | os.PathLike[str]], bindings: Sequence[str] = ()
) -> list[str]:
    """Clears gin, reads files and bindings and checks them.

    Args:
      config_files: paths, or names of files in gin_configs. Former names are replaced, with a
        warning.
      bindings: such as "training.steps = 10"; they override the files.

    Returns:
      The files that were read.

    Raises:
      UserError: a file does not exist or cannot be read, a name is unknown or a value is not
        allowed. The message names the file and line, or the binding.
    """
    gin.clear_config()
    reader = gin_files.GinReader(CONFIG_DIRS, RENAMED_CONFIGS)
    files = [_current_name(os.fspath(name)) for name in config_files]
    for name in files:
        folders = (pathlib.Path(), *CONFIG_DIRS)
        reader.read_file(find_gin_file(name, folders, known_configs(), {}, f"--config_file={name}"))
    for binding in bindings:
        reader.read_binding(binding)
    check_bindings(reader.bindings)
    for former in sorted(reader.bindings.groups_used & FORMER_NAMES.keys()):
        logging.warning(
            "gin: %s is now %s; the former name will be removed.", former, FORMER_NAMES[former]
        )
    for (scope, group, parameter), (value, _) in reader.bindings.bound.items():
        macro = "/".join(filter(None, [scope, group]))
        gin.bind_parameter(
            (scope, group, parameter) if parameter else (macro, "gin.macro", "value"), value
        )
    gin.finalize()
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
        identity_removal=_config_from(IdentityRemovalConfig, _bound_identity_removal()),
        divergence=_config_from(DivergenceConfig, _bound_guards()),
        model_settings=dict(gin.get_bindings(_scoped_model())),
        recipe=recipe,
        settings=settings_in_force,
    )


def hosts_config() -> HostsConfig:
    """The hosts that gin has bound.

    Raises:
      UserError: a value is not allowed.
    """
    return _config_from(HostsConfig, _bound_hosts())


def _scoped_model() -> str:
    """ImageFEC, or big/ImageFEC where training.model is @big/ImageFEC."""
    model = gin.query_parameter("training.model")
    while model.configurable.wrapped is gin.config.macro:
        model = gin.query_parameter(f"{model.scoped_selector}.value")
    return model.scoped_selector


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
        for field, parameter in gin_names(config).items():
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
        for field, parameter in gin_names(config).items()
        if parameter in bound
    }


def _current_name(name: str) -> str:
    """The name, or that of the file that replaced a file of this name."""
    folders = (pathlib.Path(), *CONFIG_DIRS)
    renamed = RENAMED_CONFIGS.get(pathlib.Path(name).name)
    if renamed and not any(folder.joinpath(name).exists() for folder in folders):
        now = pathlib.Path(name).with_name(renamed)
        if any(folder.joinpath(now).is_file() for folder in folders):
            logging.warning("--config_file=%s: this file is now %s.", name, now)
            return os.fspath(now)
    return name


# Last, since they need the functions above.
_bound_training = _configurable(
    "training", TrainConfig, *_GROUPS.values(), deprecated=["cores_as_devices"]
)
_bound_uda = _configurable("uda_consistency", UdaConfig)
_bound_identity_removal = _configurable("identity_removal", IdentityRemovalConfig)
_bound_guards = _configurable("guards", DivergenceConfig)
_bound_hosts = _configurable("hosts", HostsConfig)
