"""One training run from plain arguments: data in, run directory out. What gin binds is in configurables.py."""

import contextlib
import dataclasses
import json
import os
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from imagefec.compat import shapes, tl, training
from imagefec.data.samplers import IdentitySampler, TripletSampler
from imagefec.data.store import datasets
from imagefec.errors import UserError
from imagefec.model import checkpoint
from imagefec.model.layers import Augment
from imagefec.model.run import CHANNEL_ORDER, RUN_FORMAT, check_channel_order
from imagefec.training import cores, initial_weights
from imagefec.training.input import FaceInput
from imagefec.training.loop import LATEST, FaceLoop, Schedule
from imagefec.training.monitor.divergence import Guards, TrainingMonitor
from imagefec.training.monitor.evaluation import SplitEvaluation
from imagefec.training.monitor.progress import Reporter
from imagefec.training.monitor.signals import heed_signals
from imagefec.training.step.compilation_cache import cache_compilations
from imagefec.training.step.mesh import all_devices, is_chief
from imagefec.training.step.mesh_trainer import StepConfig
from imagefec.training.step.objectives import Objective, Uda, faces_a_label
from imagefec.training.step.precision import rematerialised


def train(
    output_dir: str | os.PathLike,
    data_dir: str | os.PathLike,
    model: Callable[..., tl.Layer],
    loss: Callable[[], tl.Layer],
    optimizer: Callable[[], Any],
    learning_rate: Callable[[int], float],
    model_arguments: dict[str, Any],
    steps: int,
    batch_triplets: int = 0,
    batch_people: int = 0,
    faces_each: int = 4,
    image_size: int = 128,
    dataset: str = "fec",
    train_dataset: str | None = None,
    train_split: str = "train",
    eval_split: str = "test",
    balanced: bool = False,
    augment: Callable[..., tl.Layer] = Augment,
    steps_per_eval: int = 500,
    steps_per_checkpoint: int = 500,
    stop_at_tpa: float = 0.0,
    seed: int = 0,
    init_checkpoint: str | None = None,
    init_part: str = "whole",
    layer_rates: Mapping[str, float] | None = None,
    recipe: str | None = None,
    uda: Uda | None = None,
    engine: StepConfig | None = None,
    guards: Guards | None = None,
    cores_as_devices: bool = False,
) -> pathlib.Path:
    """Trains a model over all devices on triplets or on people's faces, or goes on with the run that output_dir holds.

    Args:
      output_dir: run directory; gets run.json, model.npz, best.npz, history.json, views.png and
        TensorBoard files.
      data_dir: where TFDS datasets are built.
      model: called with mode="train" and mode="eval" for the network; model_arguments are what it
        is called with besides, for run.json.
      loss: gives a layer from (embeddings [3 * batch, dim], types [batch]) to a scalar.
      optimizer: gives a Trax optimizer.
      learning_rate: step -> rate.
      model_arguments: keyword arguments of ImageFEC, JSON values.
      steps: the run's length; a run that has as many does nothing.
      batch_triplets: triplets a step, all devices together, for a loss of triplets.
      batch_people: people a step, for a loss of faces.
      faces_each: faces of each of these people.
      image_size: side in pixels at which the network sees faces.
      dataset: TFDS name of triplets, to measure on and, for a loss of triplets, to train on.
      train_dataset: what to train on where that is another one: for a loss of faces, one such as
        "vggface2/faces".
      train_split: split to train on.
      eval_split: split to measure on.
      balanced: as many triplets of each type in a batch.
      augment: called with mode, and with views=2 for UDA, for the layer ahead of the network.
      steps_per_eval: steps between evaluations.
      steps_per_checkpoint: steps between checkpoints.
      stop_at_tpa: end the run at the first evaluation with such a TPA; 0 for not before the last
        step.
      seed: of weights, order and augmentation.
      init_checkpoint: run, checkpoint or state dict that a new run takes its weights from; None for
        random ones.
      init_part: how much of it, "whole" or "body".
      layer_rates: factors of parts' learning rates, as `layer_rates.lr_multipliers` takes them.
      recipe: what reports call this run's settings.
      uda: the consistency term; None for none.
      engine: how a step is computed; None for StepConfig's defaults.
      guards: what stops a run that has broken; None for Guards' defaults.
      cores_as_devices: take each core of a CPU as a device, where they can share the batch: about
        as quick for small networks, slower for large ones, whose weights then lie in memory several
        times.

    Returns:
      output_dir.

    Raises:
      UserError: no data, a batch that does not fit them or the devices, a folder that cannot be
        written, a run of another model, or training that diverged or collapsed.
      KeyboardInterrupt: ctrl-C or SIGTERM; what was done is saved.
    """
    uda, engine, guards = uda or Uda(), engine or StepConfig(), guards or Guards()
    run_dir = _writable(output_dir)
    cache_compilations()
    _check_steps(steps, steps_per_eval, steps_per_checkpoint)
    uda.check()
    with _refused_in_a_sentence():
        train_loss, objective, made_optimizer = loss(), Objective(loss(), uda), optimizer()
    of_triplets = faces_a_label(train_loss) == 3
    items = (
        (batch_triplets, 3, "training.batch_triplets")
        if of_triplets
        else (batch_people, faces_each, "training.batch_people")
    )
    if cores_as_devices:
        cores.split_cpu((items[0] * items[1] + uda.batch_faces) // max(1, engine.accumulate))
    mesh = all_devices()
    engine.check(*items, uda.batch_faces, mesh)
    start = 0
    if (run_dir / LATEST).is_file():
        _check_network(run_dir, model_arguments, image_size)
        start = checkpoint.load_meta(run_dir / LATEST)["step"]
    draws = (
        TripletSampler(
            datasets.load_triplets(data_dir, train_dataset or dataset, train_split, image_size),
            batch_triplets,
            seed,
            balanced,
        )
        if of_triplets
        else IdentitySampler(
            datasets.load_faces(data_dir, train_dataset or dataset, train_split, image_size),
            batch_people,
            faces_each,
            seed,
        )
    )
    extra = (
        datasets.load_triplets(data_dir, uda.dataset, uda.split, image_size).faces
        if uda.dataset
        else None
    )
    faces = FaceInput(draws, seed, mesh, uda, extra, engine.faces_on_device)
    eval_data = datasets.load_triplets(data_dir, dataset, eval_split, image_size)
    sample = faces.sample()
    with _refused_in_a_sentence():
        two_views = {"views": uda.views} if uda.views > 1 else {}
        network = (
            rematerialised(model(mode="train")) if engine.rematerialise else model(mode="train")
        )
        train_model = tl.Serial(augment(mode="train", **two_views), network)
        eval_model = tl.Serial(augment(mode="eval"), model(mode="eval"))
    labels = sample[1 : 1 + len(sample[1:]) - (uda.views - 1)]
    collapsed = _loss_at_collapse(train_loss, labels)
    reporter = Reporter(steps, faces.faces_per_step, silent=not is_chief())
    watch = TrainingMonitor(guards, collapsed, reporter.step)
    with (
        contextlib.closing(faces.batches(start)) as batches,
        contextlib.closing(reporter),
        heed_signals() as stop,
        _trax_speaks_to_nobody(),
        _memory_in_a_sentence(),
    ):
        task = training.TrainTask(
            batches,
            objective,
            made_optimizer,
            lr_schedule=learning_rate,
            loss_name="loss",
            sample_batch=sample,
            n_steps_per_checkpoint=steps_per_checkpoint,
        )
        loop = FaceLoop(
            train_model,
            task,
            eval_model,
            SplitEvaluation(
                eval_data, (lambda *inputs: train_loss(inputs)) if of_triplets else None, mesh
            ),
            run_dir,
            Schedule(steps, steps_per_eval, steps_per_checkpoint, stop_at_tpa),
            seed,
            mesh,
            engine,
            watch,
            faces.resident,
            initialise=init_checkpoint
            and (
                lambda network: initial_weights.load_pretrained_weights(
                    network, init_checkpoint, init_part
                )
            ),
            layer_rates=layer_rates,
            report=reporter.evaluated,
            stop=stop,
        )
        if is_chief():
            _write_json(
                run_dir / "run.json",
                {
                    "format": RUN_FORMAT,
                    "model": model_arguments,
                    "image_size": image_size,
                    "channel_order": CHANNEL_ORDER,
                    "dataset": dataset,
                    "eval_split": eval_split,
                    "steps": steps,
                    "images_per_step": faces.faces_per_step,
                    "seed": seed,
                    "recipe": recipe,
                    "uda": dataclasses.asdict(uda),
                },
            )
        if loop.step:
            reporter.say(f"going on from step {loop.step} of {run_dir}")
        reporter.begin(loop.step)
        loop.run(max(0, steps - loop.step))
    if is_chief():
        _write_json(run_dir / "history.json", _plain_history(loop.history))
    return run_dir


def _loss_at_collapse(loss: tl.Layer, labels: Sequence[Any]) -> float:
    """Initialises the loss and says what it is where all faces embed alike: 2 x margin for the hinge."""
    alike = jnp.zeros((faces_a_label(loss) * len(labels[0]), 2)).at[:, 0].set(1.0)
    inputs = (alike, *(jnp.asarray(label) for label in labels))
    loss.init(shapes.signature(inputs))
    return float(loss(inputs))


@contextlib.contextmanager
def _refused_in_a_sentence() -> Iterator[None]:
    try:
        yield
    except (TypeError, ValueError) as error:
        raise UserError(
            f"the settings make no run: {' '.join(str(error).split())}. Mend the gin file or the "
            "--config binding."
        ) from error


@contextlib.contextmanager
def _memory_in_a_sentence() -> Iterator[None]:
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        raise UserError(
            "the device's memory does not hold a training step. Take a smaller training.batch_triplets, or "
            "training.accumulate = 2 or more, training.rematerialise = True, training.precision = "
            f"'bfloat16'. The device said: {' '.join(str(error).split())[:200]}"
        ) from error


@contextlib.contextmanager
def _trax_speaks_to_nobody() -> Iterator[None]:
    """Trax prints every measure to stdout, which belongs to the verb's result; history and logs keep them."""
    with open(os.devnull, "w") as nobody, contextlib.redirect_stdout(nobody):
        yield


def _check_steps(steps: int, steps_per_eval: int, steps_per_checkpoint: int) -> None:
    for name, value in (
        ("steps", steps),
        ("steps_per_eval", steps_per_eval),
        ("steps_per_checkpoint", steps_per_checkpoint),
    ):
        if value < 1:
            raise UserError(
                f"training.{name} is {value}; it must be 1 or more. Bind it in a gin file or with "
                f"--config='training.{name} = 1000'."
            )


def _check_network(run_dir: pathlib.Path, model_arguments: dict[str, Any], image_size: int) -> None:
    """Refuses to go on with another network: one of the same shapes, such as other scaling, would fit without a word."""
    wanted = json.loads(json.dumps({"model": model_arguments, "image_size": image_size}))
    path = run_dir / "run.json"
    try:
        info = json.loads(path.read_text())
        kept = {name: info[name] for name in wanted}
    except (OSError, ValueError, KeyError, TypeError):
        return  # without its settings the checkpoint's names and shapes alone are compared
    check_channel_order(path, info)
    if kept != wanted:
        raise UserError(
            f"{run_dir}: holds a run of {json.dumps(kept)}, and the settings ask for {json.dumps(wanted)}. Give that "
            "run's own settings (its config.gin), or another --output_dir."
        )


def _writable(output_dir: str | os.PathLike) -> pathlib.Path:
    run_dir = pathlib.Path(output_dir).expanduser()
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        probe = run_dir / f".probe.{os.getpid()}"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise UserError(
            f"--output_dir={output_dir}: cannot be written ({error.strerror}). Choose a folder you may "
            "write to, on a disk with room."
        ) from error
    return run_dir


def _plain_history(history: Any) -> dict[str, dict[str, list]]:
    return {
        mode: {
            metric: [[int(step), float(value)] for step, value in history.get(mode, metric)]
            for metric in history.metrics_for_mode(mode)
        }
        for mode in history.modes
    }


def _write_json(path: pathlib.Path, value: dict) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(value, indent=1) + "\n")
    partial.replace(path)
