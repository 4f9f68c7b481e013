"""Trax's training loop with whole-split evaluation and checkpoints that are one file each, free of pickle."""

import json
import os
import pathlib
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from imagefec import compat  # noqa: F401  (before trax: it quiets its import and mends it)
from imagefec.errors import UserError
from imagefec.model import checkpoint

from trax.supervised import history as trax_history  # isort: skip
from trax.supervised import training  # isort: skip

LATEST, BEST = "model.npz", "best.npz"
_COLLAPSED = 1e-4  # spread of unit vectors below which all faces embed alike


class FaceLoop(training.Loop):
    """`training.Loop` that evaluates a whole split and saves what resuming needs in one atomic file.

    Args:
      model: Trax layer from faces to embeddings; its last sublayer is the ImageFEC whose weights are saved.
      task: the TrainTask.
      eval_model: the same in eval mode.
      evaluation: called with the eval model; returns name -> measure, "tpa" among them.
      output_dir: run directory.
      steps_per_eval: evaluate at step 1 and at every n-th.
      steps_per_checkpoint: save at every n-th step, and after each evaluation.
      last_step: evaluate there too.
      seed: of initial weights and of all draws on the device.
      report: called with (step, measures) after each evaluation.
    """

    def __init__(self, model: Any, task: training.TrainTask, eval_model: Any,
                 evaluation: Callable[[Any], dict[str, float]], output_dir: str | os.PathLike,
                 steps_per_eval: int, steps_per_checkpoint: int, last_step: int, seed: int,
                 report: Callable[[int, dict[str, float]], None] | None = None):
        self._evaluation, self._report = evaluation, report
        self._run_dir = pathlib.Path(output_dir)
        self._measured = time.monotonic(), 0
        super().__init__(
            model, [task], eval_model=eval_model, eval_tasks=[_WholeSplit()], output_dir=str(output_dir),
            eval_at=lambda step: step in (1, last_step) or step % steps_per_eval == 0,
            checkpoint_at=lambda step: step % steps_per_checkpoint == 0,
            permanent_checkpoint_at=lambda step: False, random_seed=seed)
        self._commit_to_device()
        self._measured = time.monotonic(), self.step

    def _commit_to_device(self) -> None:
        """Ties weights and state to the device as a step's results are, or JAX compiles step 2 anew."""
        accelerated = self._trainer_per_task[0].accelerated_model_with_loss
        device = jax.local_devices()[0]
        accelerated.weights = jax.device_put(accelerated.weights, device)
        accelerated.state = jax.device_put(accelerated.state, device)

    def _init_evaluator(self, eval_task: Any) -> None:
        """Trax would compile its metric layers here; `evaluation` compiles what it needs itself."""

    def run_evals(self, summary_writers: Any = None) -> None:
        """Evaluates the whole split, logs, and saves: best.npz where TPA has not been higher, then model.npz."""
        self._eval_model.weights, self._eval_model.state = self._model.weights, self._model.state
        measures = self._evaluation(self._eval_model)
        train_losses = self.history.get("train", f"metrics/{self._tasks[0].loss_name}")
        self._stop_if_broken(float(train_losses[-1][1]), measures)
        now, (then, last_step) = time.monotonic(), self._measured
        measures["steps_per_second"] = (self.step - last_step) / max(now - then, 1e-9)
        earlier = [value for _, value in self.history.get("eval", "metrics/tpa")]
        self.log_summary(measures, summary_writers[0] if summary_writers else None, "metrics/", "eval")
        if measures["tpa"] >= max(earlier, default=0.0):
            self._save(BEST, self._model_arrays())
        self._save_latest()
        if self._report:
            self._report(self.step, {"train_loss": float(train_losses[-1][1]), **measures})
        self._measured = time.monotonic(), self.step

    def save_checkpoint(self, basename: str) -> None:
        """Saves model.npz, unless an evaluation is due at this step: it saves with its measures included."""
        del basename
        if not self._eval_at(self.step):
            self._save_latest()

    def load_checkpoint(self, directory: str | None = None, filename: str | None = None) -> None:
        """Resumes from model.npz where there is one.

        Raises:
          UserError: it is broken, or of a model with other shapes.
        """
        path = pathlib.Path(directory or self._run_dir) / (filename or LATEST)
        if not path.is_file():
            return
        arrays, meta = checkpoint.load(path)
        checkpoint.set_named_weights(self._model.sublayers[-1], arrays, source=path)
        self._model.weights = tuple(layer.weights for layer in self._model.sublayers)
        self._model.state = tuple(layer.state for layer in self._model.sublayers)
        self.update_weights_and_state(self._model.weights, self._model.state)
        trainer = self._trainer_per_task[0]
        trainer.slots = checkpoint.filled_leaves(trainer.slots, arrays, "slots", source=path)
        self._rng = jnp.asarray(arrays["rng"])
        self._step = meta["step"]
        self._history = trax_history.History.from_dict(meta["history"])

    def _model_arrays(self) -> dict[str, np.ndarray]:
        model = self._model.sublayers[-1]
        return checkpoint.named_weights(model, model.weights, model.state)

    def _save_latest(self) -> None:
        slots = checkpoint.named_leaves(self._trainer_per_task[0].slots, "slots")
        self._save(LATEST, {**self._model_arrays(), **slots, "rng": np.asarray(self._rng)})

    def _save(self, name: str, arrays: dict[str, np.ndarray]) -> None:
        history = json.loads(json.dumps(self.history.to_dict(), default=float))
        try:
            checkpoint.save(self._run_dir / name, arrays, {"step": self.step, "history": history})
        except OSError as error:
            raise UserError(f"{self._run_dir / name}: cannot be written at step {self.step} ({error.strerror}); the "
                            "checkpoint before it is whole. Make room or mend the rights, then run again: "
                            "training goes on from there.") from error

    def _stop_if_broken(self, train_loss: float, measures: dict[str, float]) -> None:
        """Stops before a broken model replaces the last good checkpoint."""
        spread = measures["embedding_spread"]
        if not np.isfinite([train_loss, spread]).all():
            trouble = f"the loss is {train_loss} and the embedding spread {spread}: training has diverged"
        elif spread < _COLLAPSED:
            trouble = f"the embedding spread is {spread:.1e}: all faces embed alike, the model has collapsed"
        else:
            return
        raise UserError(f"{self._run_dir}: at step {self.step} {trouble}. The checkpoint of the evaluation before is "
                        "kept. Lower the learning rate or lengthen its warm-up, and start a new run.")


class _WholeSplit:
    """What Loop asks of an EvalTask where the evaluation is not a mean over batches."""

    metric_names = ("tpa",)
    export_prefix = None
