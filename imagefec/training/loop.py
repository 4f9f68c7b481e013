"""Trax's training loop over the mesh, with whole-split evaluation and checkpoints that are one file each, free of pickle."""

import json
import os
import pathlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from imagefec.compat import History, training
from imagefec.errors import UserError
from imagefec.model import checkpoint
from imagefec.training.monitor import views
from imagefec.training.monitor.divergence import TrainingDiverged, TrainingMonitor
from imagefec.training.monitor.signals import StopRequest
from imagefec.training.step.lr_multipliers import lr_multipliers
from imagefec.training.step.mesh import is_chief
from imagefec.training.step.mesh_trainer import MeshTrainer, StepConfig
from imagefec.training.step.objectives import faces_a_label

LATEST, BEST = "model.npz", "best.npz"


@dataclass(frozen=True)
class Schedule:
    """When things happen: the length of the run and how often it evaluates and saves, in steps.

    Attributes:
      stop_at_tpa: end the run at the first evaluation with such a TPA; 0 for not before the last
        step.
    """

    steps: int
    steps_per_eval: int
    steps_per_checkpoint: int
    stop_at_tpa: float = 0.0

    def evaluates(self, step: int) -> bool:
        """At step 1, at every steps_per_eval-th and at the last."""
        return step in (1, self.steps) or step % self.steps_per_eval == 0

    def saves(self, step: int) -> bool:
        """At every steps_per_checkpoint-th step; an evaluation saves as well."""
        return step % self.steps_per_checkpoint == 0


class FaceLoop(training.Loop):
    """`training.Loop` whose steps run over a mesh, that evaluates a whole split and saves what resuming needs in one file.

    Args:
      model: Trax layer from faces to embeddings; its first sublayer is the augmentation, its last
        the ImageFEC whose weights are saved.
      task: the TrainTask; its batches are placed on the mesh.
      eval_model: the same in eval mode.
      evaluation: called with the eval model; returns name -> measure, "tpa" among them.
      output_dir: run directory.
      timetable: when it evaluates and saves.
      seed: of initial weights and of all draws on the device.
      mesh: of all devices.
      engine: how a step is computed.
      watch: takes each step's statistics.
      resident: faces on the devices, of which batches are rows; None where batches bring pictures.
      initialise: called with the ImageFEC where there is no checkpoint to go on from.
      layer_rates: factors of parts' learning rates, as `layer_rates.lr_multipliers` takes them.
      report: called with (step, measures) after each evaluation.
      stop: asked ahead of each step.
    """

    def __init__(
        self,
        model: Any,
        task: training.TrainTask,
        eval_model: Any,
        evaluation: Callable[[Any], dict[str, float]],
        output_dir: str | os.PathLike,
        timetable: Schedule,
        seed: int,
        mesh: Mesh,
        engine: StepConfig,
        watch: TrainingMonitor,
        resident: jax.Array | None = None,
        initialise: Callable[[Any], None] | None = None,
        layer_rates: Mapping[str, float] | None = None,
        report: Callable[[int, dict[str, float]], None] | None = None,
        stop: StopRequest | None = None,
    ):
        self._evaluation, self._report, self._timetable = evaluation, report, timetable
        self._mesh, self._engine, self._resident, self._watch = mesh, engine, resident, watch
        self._initialise, self._stop, self._layer_rates = (
            initialise,
            stop or StopRequest(),
            layer_rates,
        )
        self._run_dir = pathlib.Path(output_dir)
        self._evaluated_last: int | None = None
        super().__init__(
            model,
            [task],
            eval_model=eval_model,
            eval_tasks=[_WholeSplit()],
            output_dir=str(output_dir) if is_chief() else None,
            eval_at=timetable.evaluates,
            checkpoint_at=timetable.saves,
            permanent_checkpoint_at=lambda step: False,
            random_seed=seed,
        )
        # From here on it is the run's key, from which each step draws its own by number.
        self._rng = np.asarray(self._rng)

    def _init_trainer(self, task: Any) -> MeshTrainer:
        plain = super()._init_trainer(
            task
        )  # it compiles nothing before its first step, which never comes
        network = self._model.sublayers[-1]
        rates = None
        if self._layer_rates:
            ones = jax.tree.map(
                lambda weight: 1.0, tuple(layer.weights for layer in self._model.sublayers[:-1])
            )
            rates = (
                (*ones, lr_multipliers(network, self._layer_rates)),
                *plain.model_with_loss.weights[1:],
            )
        return MeshTrainer(
            plain.model_with_loss,
            task.optimizer,
            self._mesh,
            self._engine,
            self._resident,
            faces_a_label(task.loss_layer),
            rates,
        )

    def _init_evaluator(self, eval_task: Any) -> None:
        """Trax would compile its metric layers here; `evaluation` compiles what it needs itself."""

    def run(self, n_steps: int = 1) -> None:
        """Runs n steps, or fewer where the timetable's TPA is reached.

        Raises:
          TrainingDiverged: the numbers say that going on is no use; the checkpoint before is kept.
          UserError: a checkpoint cannot be written.
          KeyboardInterrupt: it was asked to stop, and has saved.
        """
        self._watch.forget()
        if self._reached():
            return
        try:
            super().run(n_steps)
        except _Reached:
            pass
        except TrainingDiverged as error:
            raise TrainingDiverged(f"{self._run_dir}: {error} {self._kept()}") from error

    def _run_one_step(self, task_index: int, task_changed: bool) -> tuple[float, dict]:
        """Starts a step without waiting for it; Trax's own loop would fetch numbers of each."""
        del task_changed
        if self._evaluated_last == self._step - 1 and self._reached():
            self._step -= 1
            raise _Reached
        if self._stop.asked:
            self._step -= 1  # Trax counts a step before it is made
            self._watch.drain()
            self._save_latest()
            raise KeyboardInterrupt(f"saved at step {self._step}")
        task, trainer = self._tasks[task_index], self._trainer_per_task[task_index]
        _, statistics = trainer.one_step(
            task.next_batch(), self._rng, self.step, task.learning_rate(self.step)
        )
        self._watch.push(self.step, statistics)
        return self._watch.last_loss, {}

    def _log_training_progress(
        self,
        task: Any,
        total_loss: float,
        n_steps: int,
        elapsed_time: float,
        optimizer_metrics: dict,
        summary_writer: Any,
    ) -> None:
        """Logs the means of all steps since the last report, each with its terms, in place of Trax's own sums."""
        del total_loss, optimizer_metrics
        self._watch.drain()
        means = self._watch.means()
        loss, speed = means.pop("loss"), means.pop("steps_per_second")
        means["images_per_second"] = speed * len(task.sample_batch[0])
        super()._log_training_progress(task, loss, 1, 1 / speed, means, summary_writer)
        if self.step == 1 and is_chief():
            views.write(
                self._model.sublayers[0],
                task.sample_batch[0],
                self._run_dir / "views.png",
                summary_writer,
            )

    def run_evals(self, summary_writers: Any = None) -> None:
        """Evaluates the whole split, logs, and saves: best.npz where TPA has not been higher, then model.npz."""
        self._watch.drain()
        means = self._watch.means()
        self._eval_model.weights, self._eval_model.state = self._model.weights, self._model.state
        measures = self._evaluation(self._eval_model)
        self._watch.check_spread(self.step, measures["embedding_spread"])
        measures["steps_per_second"] = means["steps_per_second"]
        earlier = [value for _, value in self.history.get("eval", "metrics/tpa")]
        self.log_summary(
            measures, summary_writers[0] if summary_writers else None, "metrics/", "eval"
        )
        if measures["tpa"] >= max(earlier, default=0.0):
            self._save(BEST, self._model_arrays())
        self._save_latest()
        if self._report:
            terms = {f"train_{name}": means[name] for name in ("loss", "uda") if name in means}
            self._report(self.step, {**terms, **measures})
        self._evaluated_last = self.step
        self._watch.forget()

    def save_checkpoint(self, basename: str) -> None:
        """Saves model.npz, unless an evaluation is due at this step: it saves with its measures included."""
        del basename
        if not self._eval_at(self.step):
            self._watch.drain()
            self._save_latest()

    def load_checkpoint(self, directory: str | None = None, filename: str | None = None) -> None:
        """Resumes from model.npz where there is one.

        Raises:
          UserError: it is broken, or of a model with other shapes.
        """
        path = pathlib.Path(directory or self._run_dir) / (filename or LATEST)
        trainer = self._trainer_per_task[0]
        if not path.is_file():
            if self._initialise:
                self._initialise(self._model.sublayers[-1])
                self._take_over_weights()
            return
        arrays, meta = checkpoint.load(path)
        checkpoint.set_named_weights(self._model.sublayers[-1], arrays, source=path)
        self._take_over_weights()
        trainer.slots = checkpoint.filled_leaves(trainer.slots, arrays, "slots", source=path)
        self._rng = arrays["rng"]
        self._step = meta["step"]
        self._history = History.from_dict(meta["history"])
        first = self._history.get("train", "training/triplet")
        self._watch.start_loss = float(first[0][1]) if first else None

    def _take_over_weights(self) -> None:
        """Sends the model's weights and state, which were set in its sublayers, to the devices."""
        self._model.weights = tuple(layer.weights for layer in self._model.sublayers)
        self._model.state = tuple(layer.state for layer in self._model.sublayers)
        self.update_weights_and_state(self._model.weights, self._model.state)
        self._trainer_per_task[0].place()

    def _model_arrays(self) -> dict[str, np.ndarray]:
        model = self._model.sublayers[-1]
        return checkpoint.named_weights(model, model.weights, model.state)

    def _save_latest(self) -> None:
        slots = checkpoint.named_leaves(self._trainer_per_task[0].slots, "slots")
        self._save(LATEST, {**self._model_arrays(), **slots, "rng": np.asarray(self._rng)})

    def _save(self, name: str, arrays: dict[str, np.ndarray]) -> None:
        self._watch.check_arrays(self.step, arrays)
        if not is_chief():
            return
        history = json.loads(json.dumps(self.history.to_dict(), default=float))
        try:
            checkpoint.save(self._run_dir / name, arrays, {"step": self.step, "history": history})
        except OSError as error:
            raise UserError(
                f"{self._run_dir / name}: cannot be written at step {self.step} ({error.strerror}); the "
                "checkpoint before it is whole. Make room or mend the rights, then run again: "
                "training goes on from there."
            ) from error

    def _reached(self) -> bool:
        measured = self.history.get("eval", "metrics/tpa")
        wanted = self._timetable.stop_at_tpa
        return bool(wanted and measured and measured[-1][1] >= wanted)

    def _kept(self) -> str:
        path = self._run_dir / LATEST
        if not path.is_file():
            return "No checkpoint had been written yet."
        return f"The checkpoint of step {checkpoint.load_meta(path)['step']} is kept."


class _Reached(Exception):
    """The run has the TPA that it was to reach."""


class _WholeSplit:
    """What Loop asks of an EvalTask where the evaluation is not a mean over batches."""

    metric_names = ("tpa",)
    export_prefix = None
