"""One training run from plain arguments: data in, run directory out. What gin binds is in configurables.py."""

import contextlib
import json
import os
import pathlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from imagefec import compat  # noqa: F401  (before trax: it quiets its import and mends it)
from imagefec.data import pipeline
from imagefec.errors import UserError
from imagefec.model import checkpoint
from imagefec.model.embedder import RUN_FORMAT
from imagefec.model.layers import Augment
from imagefec.training.evaluation import SplitEvaluation
from imagefec.training.loop import LATEST, FaceLoop

from trax import layers as tl  # isort: skip
from trax import shapes  # isort: skip
from trax.supervised import training  # isort: skip


def train(output_dir: str | os.PathLike, data_dir: str | os.PathLike, model: Callable[..., tl.Layer],
          loss: Callable[[], tl.Layer], optimizer: Callable[[], Any], learning_rate: Callable[[int], float],
          model_arguments: dict[str, Any], steps: int, batch_triplets: int, image_size: int = 128,
          dataset: str = "fec", train_split: str = "train", eval_split: str = "test", balanced: bool = False,
          augment: Callable[..., tl.Layer] = Augment, steps_per_eval: int = 500,
          steps_per_checkpoint: int = 500, seed: int = 0) -> pathlib.Path:
    """Trains a model on triplets, or goes on with the run that output_dir holds.

    Args:
      output_dir: run directory; gets run.json, model.npz, best.npz, history.json and TensorBoard files.
      data_dir: where TFDS datasets are built.
      model: called with mode="train" and mode="eval" for the network; model_arguments are what it is called
        with besides, for run.json.
      loss: gives a layer from (embeddings [3 * batch, dim], types [batch]) to a scalar.
      optimizer: gives a Trax optimizer.
      learning_rate: step -> rate.
      model_arguments: keyword arguments of ImageFEC, JSON values.
      steps: the run's length; a run that has as many does nothing.
      batch_triplets: triplets a step.
      image_size: side in pixels at which the network sees faces.
      dataset: TFDS name.
      train_split: split to train on.
      eval_split: split to measure on.
      balanced: as many triplets of each type in a batch.
      augment: called with mode for the layer ahead of the network.
      steps_per_eval: steps between evaluations.
      steps_per_checkpoint: steps between checkpoints.
      seed: of weights, order and augmentation.

    Returns:
      output_dir.

    Raises:
      UserError: no data, a batch that does not fit them, a folder that cannot be written, a run of another
        model, or training that diverged or collapsed.
    """
    run_dir = _writable(output_dir)
    _check_steps(steps, steps_per_eval, steps_per_checkpoint)
    start = checkpoint.load_meta(run_dir / LATEST)["step"] if (run_dir / LATEST).is_file() else 0
    train_data = pipeline.load_triplets(data_dir, dataset, train_split, image_size)
    eval_data = pipeline.load_triplets(data_dir, dataset, eval_split, image_size)
    batches = pipeline.triplet_batches(train_data, batch_triplets, seed, balanced, skip=start)
    sample = next(pipeline.triplet_batches(train_data, batch_triplets, seed, balanced))

    try:
        train_model = tl.Serial(augment(mode="train"), model(mode="train"))
        eval_model = tl.Serial(augment(mode="eval"), model(mode="eval"))
        task = training.TrainTask(batches, loss(), optimizer(), lr_schedule=learning_rate, loss_name="loss",
                                  sample_batch=sample, n_steps_per_checkpoint=steps_per_checkpoint)
        loss_of = loss()
    except (TypeError, ValueError) as error:
        raise UserError(f"the settings make no run: {' '.join(str(error).split())}. Mend the gin file or the "
                        "--config binding.") from error
    loss_of.init(shapes.signature((sample[0][:3, 0, 0].astype("float32"), sample[1][:1])))
    reporter = _Reporter(steps, 3 * batch_triplets)
    with _trax_speaks_to_nobody():
        loop = FaceLoop(train_model, task, eval_model, SplitEvaluation(eval_data, lambda e, t: loss_of((e, t))),
                        run_dir, steps_per_eval, steps_per_checkpoint, steps, seed, reporter)
        _write_json(run_dir / "run.json", {
            "format": RUN_FORMAT, "model": model_arguments, "image_size": image_size, "dataset": dataset,
            "eval_split": eval_split, "steps": steps, "batch_triplets": batch_triplets, "seed": seed})
        if loop.step:
            reporter.say(f"going on from step {loop.step} of {run_dir}")
        reporter.start = loop.step
        loop.run(max(0, steps - loop.step))
    _write_json(run_dir / "history.json", _plain_history(loop.history))
    return run_dir


class _Reporter:
    """One line to stderr after each evaluation: step, losses, TPA, speed, time to go."""

    def __init__(self, steps: int, faces_per_step: int):
        self._steps, self._faces_per_step, self.start = steps, faces_per_step, 0

    def __call__(self, step: int, measures: dict[str, float]) -> None:
        speed = measures["steps_per_second"]
        line = (f"step {step}/{self._steps}  loss {measures['train_loss']:.4f}  TPA {measures['tpa']:.3f} "
                f"± {measures['tpa_se']:.3f}  spread {measures['embedding_spread']:.2f}")
        if step > self.start + 1:  # the first step's time is mostly compiling
            line += f"  {speed * self._faces_per_step:.0f} images/s  {_clock((self._steps - step) / speed)} to go"
        self.say(line)

    def say(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)


def _clock(seconds: float) -> str:
    return time.strftime("%H:%M:%S" if seconds >= 3600 else "%M:%S", time.gmtime(seconds))


@contextlib.contextmanager
def _trax_speaks_to_nobody() -> Iterator[None]:
    """Trax prints every measure to stdout, which belongs to the verb's result; history and logs keep them."""
    with open(os.devnull, "w") as nobody, contextlib.redirect_stdout(nobody):
        yield


def _check_steps(steps: int, steps_per_eval: int, steps_per_checkpoint: int) -> None:
    for name, value in (("steps", steps), ("steps_per_eval", steps_per_eval),
                        ("steps_per_checkpoint", steps_per_checkpoint)):
        if value < 1:
            raise UserError(f"training.{name} is {value}; it must be 1 or more. Bind it in a gin file or with "
                            f"--config='train.{name} = 1000'.")


def _writable(output_dir: str | os.PathLike) -> pathlib.Path:
    run_dir = pathlib.Path(output_dir).expanduser()
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        probe = run_dir / ".probe"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise UserError(f"--output_dir={output_dir}: cannot be written ({error.strerror}). Choose a folder you may "
                        "write to, on a disk with room.") from error
    return run_dir


def _plain_history(history: Any) -> dict[str, dict[str, list]]:
    return {mode: {metric: [[int(step), float(value)] for step, value in history.get(mode, metric)]
                   for metric in history.metrics_for_mode(mode)} for mode in history.modes}


def _write_json(path: pathlib.Path, value: dict) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(value, indent=1) + "\n")
    partial.replace(path)
