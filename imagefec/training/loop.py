"""Trax's training loop over the mesh, with evaluation on a complete split and .npz checkpoints."""

# Over 350 lines: one class, all in which it differs from Trax's Loop.

import contextlib
import json
import logging
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from imagefec import files
from imagefec.compat import History, jaxboard, training
from imagefec.errors import UserError
from imagefec.model import checkpoint, run_schema
from imagefec.model.run import BEST, LATEST, LEGACY_CONFIG
from imagefec.process import Stopped
from imagefec.training import initial_weights
from imagefec.training.config import TrainConfig
from imagefec.training.monitor import views
from imagefec.training.monitor.divergence import TrainingDiverged, TrainingMonitor
from imagefec.training.monitor.event_file import EventWriter
from imagefec.training.monitor.signals import StopRequest
from imagefec.training.step import averaging
from imagefec.training.step.lr_multipliers import lr_multipliers
from imagefec.training.step.mesh import is_chief
from imagefec.training.step.objectives import faces_per_label
from imagefec.training.step.trainer import MeshTrainer
from imagefec.with_tensorflow import has_tensorflow


class FaceLoop(training.Loop):
    """`training.Loop` over a mesh that evaluates a complete split and saves to one file.

    Args:
      run_dir: run directory; the loop resumes from its model.npz if there is one.
      config: settings of the run; its factories are not called here.
      model: Trax layer from faces to embeddings. Its first sublayer is the augmentation, its last
        the ImageFEC whose weights are saved.
      eval_model: the same in eval mode.
      task: the TrainTask; its batches are on the mesh.
      evaluation: called with the eval model; returns name -> measure, including "tpa" and
        "embedding_spread".
      mesh: all devices.
      monitor: gets each step's statistics.
      device_faces: replicated faces that batches contain indices of; None if batches contain
        images.
      report: called with (step, measures) after each evaluation.
      stop: checked before each step.
    """

    def __init__(
        self,
        run_dir: pathlib.Path,
        config: TrainConfig,
        model: Any,
        eval_model: Any,
        task: training.TrainTask,
        evaluation: Callable[[Any], dict[str, float]],
        mesh: Mesh,
        monitor: TrainingMonitor,
        device_faces: jax.Array | None = None,
        report: Callable[[int, dict[str, float]], None] | None = None,
        stop: StopRequest | None = None,
    ) -> None:
        self._run_dir, self._config = run_dir, config
        self._evaluation, self._monitor, self._report = evaluation, monitor, report
        self._mesh, self._device_faces = mesh, device_faces
        self._stop = stop or StopRequest()
        self._last_evaluated: int | None = None
        self._rng: Any
        super().__init__(
            model,
            [task],
            eval_model=eval_model,
            eval_tasks=[_CompleteSplit()],
            # Trax would unpickle a file of the directory, and write to it through TensorFlow.
            output_dir=None,
            eval_at=config.schedule.evaluates,
            checkpoint_at=config.schedule.saves,
            permanent_checkpoint_at=lambda _step: False,
            random_seed=config.seed,
        )
        # The run's key. A step's key is derived from it and the step number, so that a resumed run
        # has the same keys.
        self._rng = np.asarray(self._rng)

    def run(self, n_steps: int = 1) -> None:
        """Runs n steps, or fewer if the schedule's TPA is reached.

        Args:
          n_steps: number of steps.

        Raises:
          TrainingDiverged: training has failed; the last checkpoint precedes the failure.
          UserError: a checkpoint cannot be written.
          Stopped: the run was asked to stop; its state is saved.
        """
        self._monitor.reset_means()
        if self._tpa_reached():
            return
        try:
            super().run(n_steps)
        except _TpaReached:
            pass
        except TrainingDiverged as error:
            raise TrainingDiverged(f"{self._run_dir}: {error} {self._last_checkpoint()}") from error

    def run_evals(self, summary_writers: Any = None) -> None:
        """Evaluates, logs, and saves: best.npz if no earlier TPA was higher, then model.npz.

        Evaluations before `select_from` do not count as earlier ones.

        Args:
          summary_writers: Trax's writers for TensorBoard; None for none.
        """
        self._monitor.drain()
        means = self._monitor.means()
        self._eval_model.weights, self._eval_model.state = self._evaluated()
        measures = self._evaluation(self._eval_model)
        self._monitor.check_spread(self.step, measures["embedding_spread"])
        measures["steps_per_second"] = means["steps_per_second"]
        first = self._config.schedule.select_from
        history = self.history.get("eval", "metrics/tpa")
        earlier = [value for step, value in history if step >= first]
        self.log_summary(
            measures, summary_writers[0] if summary_writers else None, "metrics/", "eval"
        )
        if measures["tpa"] >= max(earlier, default=0.0):
            self._save_best()
        self._save_latest()
        if self._report:
            named = ("loss", "uda", "identity")
            terms = {f"train_{name}": means[name] for name in named if name in means}
            self._report(self.step, {**terms, **measures})
        self._last_evaluated = self.step
        self._monitor.reset_means()

    def save_checkpoint(self, basename: str) -> None:
        """Saves model.npz, unless the loop evaluates after this step, which saves as well.

        Args:
          basename: Trax's name for the file, which is not used.
        """
        del basename
        if not self._eval_at(self.step):
            self._monitor.drain()
            self._save_latest()

    def load_checkpoint(self, directory: str | None = None, filename: str | None = None) -> None:
        """Resumes from model.npz; if there is none, loads the pretrained weights of the settings.

        Args:
          directory: the run directory by default.
          filename: model.npz by default.

        Raises:
          UserError: the checkpoint is broken, or its model has other shapes.
        """
        path = pathlib.Path(directory or self._run_dir) / (filename or LATEST)
        trainer, network = self._trainer_per_task[0], self._model.sublayers[-1]
        init = self._config.init
        if not path.is_file():
            if init.checkpoint:
                initial_weights.load_pretrained_weights(network, init.checkpoint, init.part)
                self._place_weights()
            return
        expected = {
            **checkpoint.named_weights(network),
            **checkpoint.named_leaves(trainer.slots, "slots"),
            "rng": np.asarray(self._rng),
        }
        expected |= self._expected_average(path)
        arrays, meta = checkpoint.load(path, expected)
        step, history = run_schema.check_state(path, meta)
        checkpoint.set_named_weights(network, arrays, source=path)
        self._place_weights()
        if any(name.startswith(averaging.PREFIX) for name in expected):
            weights, state = averaging.filled_average(network, arrays, path)
            trainer.average = (
                ((*self._model.weights[:-1], weights),),
                ((*self._model.state[:-1], state),),
            )
        trainer.slots = checkpoint.filled_leaves(trainer.slots, arrays, "slots", source=path)
        self._rng, self._step, self._history = arrays["rng"], step, History()
        for mode, measures in history.items():
            for name, points in measures.items():
                for point in points:
                    self._history.append(mode, name, *point)
        first = self._history.get("train", "training/triplet")
        self._monitor.start_loss = float(first[0][1]) if first else None

    def _init_trainer(self, task: Any) -> MeshTrainer:
        # Only its model_with_loss is used: it compiles nothing before its first step.
        plain = super()._init_trainer(task)
        return MeshTrainer(
            plain.model_with_loss,
            task.optimizer,
            self._mesh,
            self._config.step,
            self._device_faces,
            faces_per_label(task.loss_layer),
            self._lr_multipliers(plain.model_with_loss),
            self._config.ema_decay,
        )

    def _lr_multipliers(self, model_with_loss: Any) -> Any:
        if not self._config.lr_multipliers:
            return None
        *others, network = self._model.sublayers
        ones = jax.tree.map(lambda _weight: 1.0, tuple(layer.weights for layer in others))
        factors = lr_multipliers(network, self._config.lr_multipliers)
        return ((*ones, factors), *model_with_loss.weights[1:])

    def _init_evaluator(self, eval_task: Any) -> None:
        """Does nothing: Trax would compile its metric layers, which `evaluation` replaces."""

    def _run_one_step(self, task_index: int, task_changed: bool) -> tuple[float, dict]:
        """Starts a step and returns; Trax's own method would wait for each step's statistics."""
        del task_changed
        if self._last_evaluated == self._step - 1 and self._tpa_reached():
            self._step -= 1
            raise _TpaReached
        if self._stop.number is not None:
            self._step -= 1  # Trax counts a step before it runs
            self._monitor.drain()
            self._save_latest()
            raise Stopped(self._stop.number)
        task, trainer = self._tasks[task_index], self._trainer_per_task[task_index]
        _, statistics = trainer.one_step(
            task.next_batch(), self._rng, self.step, task.learning_rate(self.step)
        )
        self._monitor.push(self.step, statistics)
        return self._monitor.last_loss, {}

    def _log_training_progress(
        self,
        task: Any,
        total_loss: float,
        n_steps: int,
        elapsed_time: float,
        optimizer_metrics: dict,
        summary_writer: Any,
    ) -> None:
        """Logs means of all terms since the last report, instead of Trax's sums."""
        del total_loss, n_steps, elapsed_time, optimizer_metrics
        self._monitor.drain()
        means = self._monitor.means()
        loss, speed = means.pop("loss"), means.pop("steps_per_second")
        means["images_per_second"] = speed * len(task.sample_batch[0])
        super()._log_training_progress(task, loss, 1, 1 / speed, means, summary_writer)
        if self.step == 1 and is_chief():
            augment, faces = self._model.sublayers[0], task.sample_batch[0]
            views.write(augment, faces, self._run_dir / "views.png", summary_writer)

    def _save_gin(self, summary_writer: Any) -> None:
        """Writes config.gin atomically, which Trax's own method does not."""
        if is_chief():
            config = training.gin.operative_config_str()
            files.write_text(self._run_dir / LEGACY_CONFIG, config)
            if summary_writer is not None:
                summary_writer.text("gin_config", jaxboard.markdownify_operative_config_str(config))

    @contextlib.contextmanager
    def _open_summary_writers(self) -> Iterator[tuple[list, list]]:
        """Opens TensorBoard's files for training and evaluation; none without TensorFlow.

        Only the chief writes them.
        """
        writes = is_chief() and has_tensorflow()
        if is_chief() and not writes:
            logging.warning(
                "TensorFlow is not installed: no files for TensorBoard are written. The measures "
                "are in the checkpoints, as ever."
            )
        with contextlib.ExitStack() as stack:
            train, evaluation = (
                stack.enter_context(contextlib.closing(EventWriter(self._run_dir / name)))
                if writes
                else None
                for name in ("train", "eval")
            )
            yield [train], [evaluation]

    def _place_weights(self) -> None:
        """Sends the model's weights and state, which were set in its sublayers, to the devices."""
        self._model.weights = tuple(layer.weights for layer in self._model.sublayers)
        self._model.state = tuple(layer.state for layer in self._model.sublayers)
        self.update_weights_and_state(self._model.weights, self._model.state)
        self._trainer_per_task[0].place()

    def _evaluated(self) -> tuple[Any, Any]:
        """(weights, state) of the model that evaluation uses: the averages, if there are any."""
        average = self._trainer_per_task[0].average
        if average is None:
            return self._model.weights, self._model.state
        (weights,), (state,) = average
        return weights, state

    def _expected_average(self, path: pathlib.Path) -> dict[str, np.ndarray]:
        """The arrays to load of an average: none if it is off, or not in the file."""
        if not self._config.ema_decay:
            return {}
        named = averaging.named_average(self._model.sublayers[-1])
        if not checkpoint.array_names(path).isdisjoint(named):
            return named
        logging.warning(
            "%s has no average of the weights, since training.ema_decay was 0: the average starts "
            "from its weights.",
            path,
        )
        return {}

    def _save_best(self) -> None:
        weights, state = self._evaluated()
        network = self._model.sublayers[-1]
        self._save(BEST, checkpoint.named_weights(network, weights[-1], state[-1]))

    def _save_latest(self) -> None:
        network, trainer = self._model.sublayers[-1], self._trainer_per_task[0]
        arrays = checkpoint.named_weights(network, network.weights, network.state)
        arrays |= checkpoint.named_leaves(trainer.slots, "slots")
        if trainer.average is not None:
            weights, state = self._evaluated()
            arrays |= averaging.named_average(network, weights[-1], state[-1])
        self._save(LATEST, {**arrays, "rng": np.asarray(self._rng)})

    def _save(self, name: str, arrays: dict[str, np.ndarray]) -> None:
        self._monitor.check_arrays(self.step, arrays)
        if not is_chief():
            return
        history = json.loads(json.dumps(self.history.to_dict(), default=float))
        try:
            checkpoint.save(self._run_dir / name, arrays, {"step": self.step, "history": history})
        except OSError as error:
            raise UserError(
                f"{self._run_dir / name}: cannot be written at step {self.step} "
                f"({error.strerror}). The previous checkpoint is complete. Free disk space or fix "
                "the permissions, then run the same command again: training resumes from there."
            ) from error

    def _tpa_reached(self) -> bool:
        measured = self.history.get("eval", "metrics/tpa")
        target = self._config.schedule.stop_at_tpa
        return bool(target and measured and measured[-1][1] >= target)

    def _last_checkpoint(self) -> str:
        path = self._run_dir / LATEST
        if not path.is_file():
            return "No checkpoint had been saved yet."
        step, _ = run_schema.check_state(path, checkpoint.load_meta(path))
        return f"The last checkpoint is from step {step}."


class _TpaReached(Exception):
    """The run has reached the TPA at which to stop."""


class _CompleteSplit:
    """Replaces the EvalTask that Loop requires; our evaluation is not a mean over batches."""

    metric_names = ("tpa",)
    export_prefix = None
