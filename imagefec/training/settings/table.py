"""The table of settings: every parameter that a gin file may bind, with kind, default and meaning.

It is made from the declarations: dataclasses in config.py, and functions and layers elsewhere.
"""

import dataclasses
import functools
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from imagefec.model import layers, resnet
from imagefec.parameters import Integer, Kind, kinds_of
from imagefec.training import optimizers, schedules
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
    gin_group,
)
from imagefec.training.step import objectives

REQUIRED = object()  # the default of a setting that must be bound
# Fields of TrainConfig that gin binds; the others are groups, or not settings.
_TRAIN_CONFIG_FIELDS = (
    "model",
    "loss",
    "optimizer",
    "learning_rate",
    "augment",
    "lr_multipliers",
    "ema_decay",
    "seed",
)
_CONFIGS = (
    (TrainConfig, ScheduleConfig, DataConfig, StepConfig, InitConfig),
    (UdaConfig,),
    (IdentityRemovalConfig,),
    (DivergenceConfig,),
    (HostsConfig,),
)
_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "ImageFEC": resnet.ImageFEC,
    "Augment": layers.Augment,
    "TripletLoss": objectives.TripletLoss,
    "OddOneOutCrossEntropy": objectives.OddOneOutCrossEntropy,
    "IdentityLoss": objectives.IdentityLoss,
    "warmup_cosine": schedules.warmup_cosine,
    "imagefec.Adam": optimizers.Adam,
    "imagefec.Adafactor": optimizers.Adafactor,
    "imagefec.Momentum": optimizers.Momentum,
    "imagefec.SGD": optimizers.SGD,
}
FORMER_NAMES = {"ChoiceLoss": "OddOneOutCrossEntropy"}
_NOT_SETTINGS = ("mode",)
# The second view comes with uda_consistency.weight. Earlier runs' config.gin bind 1.
_NARROWER: Mapping[str, Kind] = {"Augment.views": Integer(1, 1)}


@dataclass(frozen=True)
class Setting:
    """A parameter that a gin file may bind.

    Attributes:
      name: such as "training.steps".
      kind: what it may be.
      default: its value unless bound; REQUIRED if it must be bound.
      meaning: a phrase.
    """

    name: str
    kind: Kind
    default: Any
    meaning: str


@dataclass(frozen=True)
class Group:
    """The settings of one gin name.

    Attributes:
      name: such as "training" or "ImageFEC".
      summary: a sentence.
      settings: by the name of the parameter.
    """

    name: str
    summary: str
    settings: Mapping[str, Setting]


@functools.cache
def groups() -> Mapping[str, Group]:
    """All groups by their gin name, former names included."""
    found = {}
    for classes in _CONFIGS:
        settings: dict[str, Setting] = {}
        for config in classes:
            settings |= _of_dataclass(config)
        name = gin_group(classes[0])
        found[name] = Group(name, _documented(classes[0])[0], settings)
    for name, function in _FUNCTIONS.items():
        found[name] = Group(name, _documented(function)[0], _of_function(name, function))
    for former, name in FORMER_NAMES.items():
        renamed = {
            parameter: dataclasses.replace(setting, name=f"{former}.{parameter}")
            for parameter, setting in found[name].settings.items()
        }
        found[former] = Group(former, f"Former name of {name}.", renamed)
    return found


def gin_names(config: type) -> dict[str, str]:
    """Field -> gin parameter, of a dataclass; of TrainConfig only the fields that gin binds."""
    names = (
        _TRAIN_CONFIG_FIELDS
        if config is TrainConfig
        else [field.name for field in dataclasses.fields(config)]
    )
    return {name: GIN_NAMES.get((config, name), name) for name in names}


def _of_dataclass(config: type) -> dict[str, Setting]:
    kinds, (_, meanings) = kinds_of(config), _documented(config)
    defaults = {field.name: field.default for field in dataclasses.fields(config)}
    return {
        parameter: Setting(
            f"{gin_group(config)}.{parameter}",
            kinds[field],
            REQUIRED if defaults[field] is dataclasses.MISSING else defaults[field],
            meanings[field],
        )
        for field, parameter in gin_names(config).items()
    }


def _of_function(group: str, function: Callable[..., Any]) -> dict[str, Setting]:
    kinds, (_, meanings) = kinds_of(function), _documented(function)
    return {
        name: Setting(
            f"{group}.{name}",
            _NARROWER.get(f"{group}.{name}", kinds[name]),
            parameter.default,
            meanings[name],
        )
        for name, parameter in inspect.signature(function).parameters.items()
        if name not in _NOT_SETTINGS
    }


def _documented(declared: Callable[..., Any]) -> tuple[str, dict[str, str]]:
    """The summary of a docstring, and name -> text of its section Args or Attributes."""
    summary, *others = (inspect.getdoc(declared) or "").split("\n")
    section: dict[str, str] = {}
    name = inside = None
    for line in others:
        if line and not line.startswith(" "):
            inside = line in ("Args:", "Attributes:")
        elif inside and (entry := re.match(r"  (\w+): (.*)", line)):
            name = entry[1]
            section[name] = entry[2]
        elif inside and name and line.strip():
            section[name] += f" {line.strip()}"
    return summary, section
