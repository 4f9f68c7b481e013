"""Everything that gin binds, and the reading of gin files: the only file that knows gin."""

import contextlib
import dataclasses
import importlib.util  # noqa: F401  (gin 0.5.0 uses importlib.util and forgets to import it)
import logging
import os
import pathlib
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import gin

from imagefec.compat import optimizers, tl
from imagefec.errors import UserError
from imagefec.model import layers, resnet
from imagefec.training import schedules, trainer
from imagefec.training.monitor import divergence
from imagefec.training.step import mesh, mesh_trainer, objectives

CONFIG_DIRS = (
    pathlib.Path(__file__).parents[2] / "gin_configs",
    pathlib.Path(sys.prefix) / "share" / "imagefec" / "gin_configs",
)

ImageFEC = gin.external_configurable(resnet.ImageFEC, "ImageFEC", denylist=["mode"])
Augment = gin.external_configurable(layers.Augment, "Augment", denylist=["mode"])
TripletLoss = gin.external_configurable(objectives.TripletLoss, "TripletLoss")
OddOneOutCrossEntropy = gin.external_configurable(
    objectives.OddOneOutCrossEntropy, "OddOneOutCrossEntropy"
)


@gin.configurable("ChoiceLoss")
def _choice_loss(
    temperature: float = 0.05, distance: str = "squared_l2", from_votes: bool = False
) -> tl.Layer:
    """Former name of OddOneOutCrossEntropy in gin files."""
    logging.warning(
        "gin: ChoiceLoss is now OddOneOutCrossEntropy; the former name will be removed."
    )
    return objectives.OddOneOutCrossEntropy(temperature, distance, from_votes)


IdentityLoss = gin.external_configurable(objectives.IdentityLoss, "IdentityLoss")
warmup_cosine = gin.external_configurable(schedules.warmup_cosine, "warmup_cosine")
for _optimizer in (optimizers.Adam, optimizers.Adafactor, optimizers.Momentum, optimizers.SGD):
    # Trax registers its optimizers itself, under trax.optimizers; a short name reads better in a
    # gin file.
    gin.external_configurable(_optimizer, f"imagefec.{_optimizer.__name__}")


uda_consistency = gin.external_configurable(objectives.Uda, "uda_consistency")
guard_values = gin.external_configurable(divergence.Guards, "guards")


@gin.configurable("training")
def settings(
    model=gin.REQUIRED,
    loss=gin.REQUIRED,
    optimizer=gin.REQUIRED,
    learning_rate=gin.REQUIRED,
    steps=gin.REQUIRED,
    batch_triplets=0,
    batch_people=0,
    faces_each=4,
    image_size=128,
    dataset="fec",
    train_dataset=None,
    train_split="train",
    eval_split="test",
    balanced=False,
    augment=Augment,
    steps_per_eval=500,
    steps_per_checkpoint=500,
    stop_at_tpa=0.0,
    seed=0,
    layer_rates=None,
    init_checkpoint=None,
    init_part="whole",
    precision="float32",
    rematerialise=False,
    accumulate=1,
    faces_on_device=False,
    cores_as_devices=False,
) -> dict[str, Any]:
    """What gin binds of `trainer.train`; it runs outside of gin, which would add its own words to every error."""
    return locals()


@gin.configurable("hosts")
def hosts(coordinator=None, processes=None, process=None) -> None:
    """What gin binds of `mesh.join_hosts`: several processes, each on its own devices, that train one model."""
    mesh.join_hosts(coordinator, processes, process)


def parse(config_files: Sequence[str], bindings: Sequence[str] = ()) -> None:
    """Reads gin files and bindings afresh.

    Args:
      config_files: paths, or names of files in gin_configs.
      bindings: such as "training.steps = 10"; they go over the files.

    Raises:
      UserError: a file is missing, or a file or binding is not understood; gin's own words are
        quoted.
    """
    gin.clear_config()
    for folder in CONFIG_DIRS:
        gin.add_config_file_search_path(str(folder))
    for name in config_files:
        if not any(
            os.path.isfile(path) for path in (name, *(folder / name for folder in CONFIG_DIRS))
        ):
            raise UserError(
                f"--config_file={name}: there is no such file, neither here nor among "
                f"{', '.join(known_configs()) or 'the installed ones (none found: ' + _no_configs() + ')'}."
            )
    try:
        with _gin_searches_silently():
            gin.parse_config_files_and_bindings(list(config_files), list(bindings))
    except (ValueError, SyntaxError, OSError, TypeError, LookupError) as error:
        said = " ".join(str(error).split())
        raise UserError(
            f"gin cannot read {', '.join([*config_files, *bindings])}: {said} "
            "Mend the file or binding; `imagefec train --help` shows one that works."
        ) from error


def known_configs() -> list[str]:
    """Names of the gin files that come with the project."""
    return sorted({path.name for folder in CONFIG_DIRS for path in folder.glob("*.gin")})


def run(
    config_files: Sequence[str],
    bindings: Sequence[str],
    output_dir: str | os.PathLike,
    data_dir: str | os.PathLike,
) -> pathlib.Path:
    """Parses gin and trains; the run directory gets config.gin, the operative configuration.

    Raises:
      UserError: as `parse` and `trainer.train`; also a parameter that no file binds.
    """
    parse(config_files, bindings)
    try:
        bound = settings()
    except RuntimeError as error:  # gin's word for a parameter that is REQUIRED and not bound
        if "Required bindings" in str(error):
            raise UserError(
                f"{' '.join(str(error).split())} Give --config_file, or bind it with --config."
            ) from error
        raise
    hosts()
    engine = {
        field.name: bound.pop(field.name) for field in dataclasses.fields(mesh_trainer.StepConfig)
    }
    return trainer.train(
        output_dir,
        data_dir,
        model_arguments=dict(gin.get_bindings("ImageFEC")),
        recipe=pathlib.Path(config_files[0]).stem if config_files else None,
        engine=mesh_trainer.StepConfig(**engine),
        uda=uda_consistency(),
        guards=guard_values(),
        **bound,
    )


@contextlib.contextmanager
def _gin_searches_silently() -> Iterator[None]:
    """Gin logs an error for each folder that lacks a file before the one that has it."""

    def keep(record: logging.LogRecord) -> bool:
        return "Path not found" not in record.getMessage()

    logging.getLogger().addFilter(keep)
    try:
        yield
    finally:
        logging.getLogger().removeFilter(keep)


def _no_configs() -> str:
    return "install from a checkout with pip install -e ."
