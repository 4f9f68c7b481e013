"""One training run, from datasets to a run directory. Gin is in configurables.py."""

# Over 350 lines: one run, in the order in which it happens.

import contextlib
import dataclasses
import inspect
import json
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from imagefec import files
from imagefec.compat import shapes, tl, training
from imagefec.data.samplers import IdentitySampler, TripletSampler
from imagefec.data.shared_faces import SharedFacesSampler
from imagefec.data.store import datasets
from imagefec.data.store.tfds_source import TfdsSource, open_source
from imagefec.errors import UserError
from imagefec.faces.crop_settings import CropSettings
from imagefec.model import ImageFEC, checkpoint, run_schema
from imagefec.model.run import (
    CHANNEL_ORDER,
    FACES,
    HISTORY,
    INFO,
    LATEST,
    RUN_FORMAT,
    SETTINGS,
    Run,
    prepare_directory,
    write_json,
)
from imagefec.paths import user_path
from imagefec.training.config import TrainConfig
from imagefec.training.initial_weights import find_pretrained_weights
from imagefec.training.input import FaceInput
from imagefec.training.loop import FaceLoop
from imagefec.training.monitor.divergence import TrainingMonitor
from imagefec.training.monitor.evaluation import SplitEvaluation
from imagefec.training.monitor.progress import Reporter
from imagefec.training.monitor.signals import stop_on_signals
from imagefec.training.persons import persons_of_faces
from imagefec.training.step.compilation_cache import cache_compilations
from imagefec.training.step.mesh import all_devices, is_chief
from imagefec.training.step.objectives import Objective, faces_per_label, takes_triplets
from imagefec.training.step.precision import check_precision, with_remat


def train(
    run_dir: str | os.PathLike[str], data_dir: str | os.PathLike[str], config: TrainConfig
) -> pathlib.Path:
    """Trains a model over all devices, or resumes the run in run_dir.

    Args:
      run_dir: run directory; gets run.json, settings.json, model.npz, best.npz, history.json,
        views.png and TensorBoard files.
      data_dir: where TFDS datasets are built.
      config: settings of the run.

    Returns:
      run_dir.

    Raises:
      UserError: no data, a batch that does not fit the data or the devices, a directory that cannot
        be written or that another process trains in, a run of another model, or training that
        diverged or collapsed.
      Stopped: ctrl-C or SIGTERM; the run's state is saved.
    """
    run_dir = prepare_directory(run_dir)
    data_dir = user_path(data_dir, "data_dir")
    cache_compilations()
    check_precision(config.step.precision)
    mesh = all_devices()
    with _disk_errors(run_dir), _lock(run_dir):
        _train(run_dir, data_dir, config, mesh)
    return run_dir


def _train(
    run_dir: pathlib.Path, data_dir: str | os.PathLike[str], config: TrainConfig, mesh: Mesh
) -> None:
    with settings_errors():
        loss, optimizer = config.loss(), config.optimizer()
        objective = Objective(
            config.loss(),
            config.uda,
            config.data.batch_faces > 0,
            config.identity_removal.weight > 0,
        )
        models = _models(config)
    config.check_batch(takes_triplets(loss), mesh.size)
    n_done = done_steps(run_dir, config)
    if config.init.checkpoint and not n_done:
        find_pretrained_weights(config.init.checkpoint)
    crop_settings = open_splits(data_dir, config)["train"].crop_settings
    faces = _face_input(data_dir, config, takes_triplets(loss), mesh)
    evaluation = _evaluation(data_dir, config, loss, mesh)
    sample = faces.sample()
    labels = sample[1 : loss.n_in]
    reporter = Reporter(config.schedule.steps, faces.faces_per_step, silent=not is_chief())
    monitor = TrainingMonitor(config.divergence, _collapsed_loss(loss, labels), reporter.step)
    with (
        contextlib.closing(faces.batches(min(n_done, config.schedule.steps))) as batches,
        contextlib.closing(reporter),
        stop_on_signals() as stop,
        _without_trax_output(),
        _out_of_memory_errors(),
    ):
        reporter.say("initialising the network and compiling its first step")
        loop = FaceLoop(
            run_dir,
            config,
            *models,
            _task(config, batches, sample, objective, optimizer),
            evaluation,
            mesh,
            monitor,
            faces.device_faces,
            reporter.evaluated,
            stop,
        )
        if is_chief():
            _write_settings(run_dir, config, faces.faces_per_step, crop_settings)
        if loop.step:
            reporter.say(f"resuming from step {loop.step} of {run_dir}")
        reporter.begin(loop.step)
        loop.run(max(0, config.schedule.steps - loop.step))
    if is_chief():
        write_json(run_dir, HISTORY, _plain_history(loop.history))


def _lock(run_dir: pathlib.Path) -> contextlib.AbstractContextManager[None]:
    """The run's lock, for the chief: other hosts write nothing."""
    if not is_chief():
        return contextlib.nullcontext()
    return files.folder_lock(run_dir, "train", "--output_dir")


def done_steps(run_dir: pathlib.Path, config: TrainConfig) -> int:
    """The number of steps that a run has done; 0 if there is none.

    Raises:
      UserError: it is a run of another network, or its state is damaged.
    """
    path = run_dir / LATEST
    if not path.is_file():
        return 0
    _check_same_network(run_dir, config)
    step, _ = run_schema.check_state(path, checkpoint.load_meta(path))
    return step


def _check_same_network(run_dir: pathlib.Path, config: TrainConfig) -> None:
    """Refuses to resume a run of another network, even one with weights of the same shapes."""
    if not (run_dir / INFO).exists():
        return  # loading compares only the names and shapes of the weights
    run = Run.open(run_dir)
    required = json.loads(json.dumps(dict(config.model_settings)))
    if run.image_size != config.data.image_size or (
        _with_defaults(run.model_settings) != _with_defaults(required)
    ):
        found = {"model": run.model_settings, "image_size": run.image_size}
        raise UserError(
            f"{run_dir}: holds a run of {json.dumps(found)}, but the settings are "
            f"{json.dumps({'model': required, 'image_size': config.data.image_size})}. Use that "
            "run's own settings (its config.gin), or another --output_dir."
        )


def _with_defaults(model_settings: dict[str, Any]) -> dict[str, Any]:
    """Adds ImageFEC's defaults, all of which config.gin binds, but a recipe's files need not."""
    parameters = inspect.signature(ImageFEC).parameters
    defaults = {name: parameter.default for name, parameter in parameters.items()}
    return {**json.loads(json.dumps(defaults)), **model_settings}


def open_splits(data_dir: str | os.PathLike[str], config: TrainConfig) -> dict[str, TfdsSource]:
    """Opens the splits "train", "evaluation" and, if there is a dataset for UDA, "uda".

    Raises:
      UserError: one does not exist. So this is known before any of them is loaded.
    """
    data, uda = config.data, config.uda
    named = {
        "train": (data.train_dataset or data.dataset, data.train_split),
        "evaluation": (data.dataset, data.eval_split),
        **({"uda": (uda.dataset, uda.split)} if uda.dataset else {}),
    }
    return {
        name: open_source(pathlib.Path(data_dir), dataset, split)
        for name, (dataset, split) in named.items()
    }


def _face_input(
    data_dir: str | os.PathLike[str], config: TrainConfig, of_triplets: bool, mesh: Mesh
) -> FaceInput:
    data, uda = config.data, config.uda
    source = (data_dir, data.train_dataset or data.dataset, data.train_split, data.image_size)
    sampler: TripletSampler | SharedFacesSampler | IdentitySampler
    if of_triplets and data.batch_faces:
        triplets = datasets.load_triplets(*source)
        sampler = SharedFacesSampler(triplets, data.batch_triplets, data.batch_faces, config.seed)
    elif of_triplets:
        triplets = datasets.load_triplets(*source)
        sampler = TripletSampler(triplets, data.batch_triplets, config.seed, data.balanced)
    else:
        sampler = IdentitySampler(
            datasets.load_faces(*source),
            data.batch_identities,
            data.images_per_identity,
            config.seed,
        )
    unlabelled = (
        datasets.load_triplets(data_dir, uda.dataset, uda.split, data.image_size).faces
        if uda.dataset
        else None
    )
    removal = config.identity_removal
    return FaceInput(
        sampler,
        config.seed,
        mesh,
        uda,
        unlabelled,
        config.step.device_resident,
        removal,
        persons_of_faces(triplets, config.data) if removal.weight else None,
    )


def _evaluation(
    data_dir: str | os.PathLike[str], config: TrainConfig, loss: tl.Layer, mesh: Mesh
) -> SplitEvaluation:
    data = config.data
    split = datasets.load_triplets(data_dir, data.dataset, data.eval_split, data.image_size)
    loss_of = (lambda *inputs: loss(inputs)) if takes_triplets(loss) else None
    return SplitEvaluation(split, loss_of, mesh)


def _models(config: TrainConfig) -> tuple[tl.Layer, tl.Layer]:
    """Augmentation and network in train mode, and in eval mode."""
    two_views = {"views": config.uda.views} if config.uda.views > 1 else {}
    network = config.model(mode="train")
    model = tl.Serial(
        config.augment(mode="train", **two_views),
        with_remat(network) if config.step.remat else network,
    )
    return model, tl.Serial(config.augment(mode="eval"), config.model(mode="eval"))


def _task(
    config: TrainConfig,
    batches: Iterator[tuple],
    sample: tuple,
    objective: tl.Layer,
    optimizer: Any,
) -> training.TrainTask:
    return training.TrainTask(
        batches,
        objective,
        optimizer,
        lr_schedule=config.learning_rate,
        loss_name="loss",
        sample_batch=sample,
        n_steps_per_checkpoint=config.schedule.steps_per_checkpoint,
    )


def _collapsed_loss(loss: tl.Layer, labels: Sequence[Any]) -> float:
    """Initialises the loss; returns its value for equal embeddings: 2 x margin for the hinge."""
    alike = jnp.zeros((faces_per_label(loss) * len(labels[0]), 2)).at[:, 0].set(1.0)
    inputs = (alike, *(jnp.asarray(label) for label in labels))
    loss.init(shapes.signature(inputs))
    return float(loss(inputs))


def _write_settings(
    run_dir: pathlib.Path,
    config: TrainConfig,
    images_per_step: int,
    crop_settings: CropSettings | None,
) -> None:
    info = {
        "format": RUN_FORMAT,
        "model": dict(config.model_settings),
        "image_size": config.data.image_size,
        "channel_order": CHANNEL_ORDER,
        "dataset": config.data.dataset,
        "eval_split": config.data.eval_split,
        "steps": config.schedule.steps,
        "images_per_step": images_per_step,
        "seed": config.seed,
        "recipe": config.recipe,
        "uda": dataclasses.asdict(config.uda),
        **({FACES: crop_settings.as_json()} if crop_settings else {}),
    }
    write_json(run_dir, INFO, info)
    if config.settings:
        write_json(run_dir, SETTINGS, config.settings())


def _plain_history(history: Any) -> dict[str, dict[str, list]]:
    return {
        mode: {
            metric: [[int(step), float(value)] for step, value in history.get(mode, metric)]
            for metric in history.metrics_for_mode(mode)
        }
        for mode in history.modes
    }


@contextlib.contextmanager
def _disk_errors(run_dir: pathlib.Path) -> Iterator[None]:
    """Raises errors of files as UserError that names the file, or the run if it is not known."""
    try:
        yield
    except OSError as error:
        if error.errno is None or isinstance(error, BrokenPipeError):
            raise
        where = run_dir if error.filename is None else os.fsdecode(error.filename)
        raise UserError(
            f"{where}: {error.strerror}. Checkpoints that were saved are complete: free disk space "
            "or fix the permissions, then run the same command again; training resumes from the "
            "last one."
        ) from error


@contextlib.contextmanager
def settings_errors() -> Iterator[None]:
    """Raises errors of layers and optimizers about their arguments as UserError."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise UserError(
            f"these settings cannot be used: {' '.join(str(error).split())}. Correct the gin file "
            "or the --config binding."
        ) from error


@contextlib.contextmanager
def _out_of_memory_errors() -> Iterator[None]:
    """Raises XLA's error about memory as UserError."""
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        raise UserError(
            "a training step needs more memory than the device has. Use a smaller "
            "training.batch_triplets, training.accumulate = 2 or more, training.rematerialise = "
            "True, or training.precision = 'bfloat16'. XLA reports: "
            f"{' '.join(str(error).split())[:200]}"
        ) from error


@contextlib.contextmanager
def _without_trax_output() -> Iterator[None]:
    """Discards what Trax prints: stdout is for the command's result; history has the numbers."""
    with pathlib.Path(os.devnull).open("w") as devnull, contextlib.redirect_stdout(devnull):
        yield
