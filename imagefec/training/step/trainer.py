"""Trax's Trainer whose step is one program over the mesh, for any model, loss and data.

Jit with shardings computes the same function on one device and on many. Norm statistics are those
of the global batch, and the random augmentation of an image depends on its index in the batch.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from imagefec.compat import optimizers
from imagefec.training.config import StepConfig
from imagefec.training.step.averaging import moved_average
from imagefec.training.step.compiler import step_options
from imagefec.training.step.mesh import batch_sharded, replicate, replicated
from imagefec.training.step.precision import in_bfloat16


class MeshTrainer(optimizers.Trainer):
    """`trax.optimizers.Trainer` whose step runs on every device of a mesh.

    A batch is (images, labels, ...): images [n, ...] sharded over the mesh, or int32 [n] indices
    into `device_faces`. The first images belong to the labels, `faces_per_label` to each; more
    arrays of len(labels) and scalars may follow. If the loss layer's state is a dict of scalars,
    the statistics include it.

    Args:
      model_with_loss: initialised Trax Serial of model and loss layer.
      optimizer: Trax optimizer with slots for its weights.
      mesh: all devices.
      config: how a step is computed; None for StepConfig's defaults.
      device_faces: uint8 [faces, h, w, 3], replicated; batches then contain indices. None if
        batches contain images.
      faces_per_label: 3 if labels describe triplets, 1 if they are identities.
      lr_multipliers: one factor per weight, in the model's structure, for the optimizer's change of
        the weight; weights with factor 0 are frozen. None for 1 everywhere.
      ema_decay: keep a moving average of the weights and running statistics with this decay; 0
        keeps none.
    """

    def __init__(
        self,
        model_with_loss: Any,
        optimizer: Any,
        mesh: Mesh,
        config: StepConfig | None = None,
        device_faces: jax.Array | None = None,
        faces_per_label: int = 3,
        lr_multipliers: Any = None,
        ema_decay: float = 0.0,
    ) -> None:
        super().__init__(model_with_loss, optimizer, n_devices=1)
        self._ema_decay, self._average = ema_decay, None
        self._faces_per_label, self._lr_multipliers = faces_per_label, lr_multipliers
        self._mesh, self._config, self._device_faces = mesh, config or StepConfig(), device_faces
        self._step = jax.jit(
            self._compute,
            donate_argnums=(0, 1, 2, 3),
            out_shardings=replicated(mesh),
            compiler_options=step_options(),
        )
        self._parameters = {name: np.asarray(value) for name, value in self._opt_params.items()}
        self.place()

    def place(self) -> None:
        """Sends weights, state and slots to every device; call it after setting them.

        The average starts anew from these weights.
        """
        accelerated = self.accelerated_model_with_loss
        accelerated.weights = replicate(accelerated.weights, self._mesh)
        accelerated.state = replicate(accelerated.state, self._mesh)
        self.slots = self.slots
        if self._ema_decay:
            self.average = _averaged(accelerated.weights, accelerated.state)

    @property
    def average(self) -> Any:
        """The averages of (weights, state) of all layers but the loss, replicated; None if off."""
        return self._average

    @average.setter
    def average(self, average: Any) -> None:
        self._average = replicate(average, self._mesh)

    @property
    def slots(self) -> Any:
        """The optimizer's slots, replicated."""
        return self._optimizer.slots

    @slots.setter
    def slots(self, slots: Any) -> None:
        self._optimizer.slots = self._slots = replicate(slots, self._mesh)

    def one_step(
        self, batch: Any, rng: Any, step: int = 0, learning_rate: float | None = None
    ) -> tuple[Any, dict]:
        """Starts one step and returns before it has finished.

        Args:
          batch: a batch, placed on the mesh.
          rng: PRNG key of the run; the step's key is derived from it and the step number.
          step: number of the step.
          learning_rate: None for the optimizer's own.

        Returns:
          (loss, statistics), scalars on the device.
        """
        parameters = dict(self._parameters)
        if learning_rate is not None:
            parameters["learning_rate"] = np.float32(learning_rate)
        accelerated = self.accelerated_model_with_loss
        weights, slots, state, self._average, statistics = self._step(
            *self._arguments(batch, rng, step, parameters)
        )
        accelerated.weights, accelerated.state = weights, state
        self._optimizer.slots = self._slots = slots
        # All devices hold the same scalar. One copy is quicker to fetch, and other hosts' copies
        # cannot be fetched.
        statistics = {name: value.addressable_data(0) for name, value in statistics.items()}
        return statistics["loss"], statistics

    def _arguments(self, batch: Any, rng: Any, step: int, parameters: dict) -> tuple:
        model = self.accelerated_model_with_loss
        model_arguments = (model.weights, self._slots, model.state, self._average)
        return (
            *model_arguments,
            batch,
            self._device_faces,
            np.asarray(rng),
            np.int32(step),
            parameters,
        )

    def _compute(
        self,
        weights: Any,
        slots: Any,
        state: Any,
        average: Any,
        batch: Any,
        device_faces: Any,
        rng: Any,
        step: Any,
        parameters: dict,
    ) -> tuple:
        rng = jax.random.fold_in(rng, step)
        gradients_of = (
            self._loss_and_gradients
            if self._config.accumulation_steps == 1
            else self._accumulated_gradients
        )
        loss, state, gradients = gradients_of(weights, state, batch, device_faces, rng)
        updated, slots, statistics = self._optimizer.tree_update(
            step, gradients, weights, slots, parameters, store_slots=False
        )
        if self._lr_multipliers is not None:
            updated = jax.tree.map(
                lambda old, new, factor: old + factor * (new - old),
                weights,
                updated,
                self._lr_multipliers,
            )
        if self._ema_decay:
            values = _averaged(updated, state)
            average = moved_average(average, values, self._ema_decay, step)
        reported = state[-1] if isinstance(state[-1], dict) else {}
        return updated, slots, state, average, {**statistics, **reported, "loss": loss}

    def _loss_and_gradients(
        self, weights: Any, state: Any, batch: Any, device_faces: Any, rng: Any
    ) -> tuple:
        images, *others = batch
        if device_faces is not None:
            images = jax.lax.with_sharding_constraint(
                device_faces[images], batch_sharded(self._mesh)
            )

        def loss_of(weights: Any) -> tuple:
            if self._lr_multipliers is not None:
                weights = jax.tree.map(_frozen_if_zero, weights, self._lr_multipliers)
            if self._config.precision == "bfloat16":
                weights = in_bfloat16(self._model_with_loss, weights)
            return self._model_with_loss.pure_fn((images, *others), weights, state, rng)

        (loss, state), gradients = jax.value_and_grad(loss_of, has_aux=True)(weights)
        return loss, state, gradients

    def _accumulated_gradients(
        self, weights: Any, state: Any, batch: Any, device_faces: Any, rng: Any
    ) -> tuple:
        n_parts = self._config.accumulation_steps

        def add(carried: tuple, part: tuple) -> tuple:
            (state, total), (part_batch, part_rng) = carried, part
            loss, state, gradients = self._loss_and_gradients(
                weights, state, part_batch, device_faces, part_rng
            )
            return (state, jax.tree.map(jnp.add, total, gradients)), (loss, state[-1])

        start = (state, jax.tree.map(jnp.zeros_like, weights))
        parts = (self._split_batch(batch, n_parts), jax.random.split(rng, n_parts))
        losses: jax.Array
        reported: dict[str, jax.Array]
        (state, total), (losses, reported) = jax.lax.scan(add, start, parts)
        state = (*state[:-1], jax.tree.map(lambda values: jnp.mean(values, axis=0), reported))
        return jnp.mean(losses), state, jax.tree.map(lambda gradient: gradient / n_parts, total)

    def _split_batch(self, batch: Any, n_parts: int) -> tuple:
        """Adds a leading axis of parts; each has its share of labelled and of unlabelled faces."""
        images, *labels = batch
        n = self._faces_per_label * len(labels[0])
        shares = [
            faces.reshape(n_parts, len(faces) // n_parts, *faces.shape[1:])
            for faces in (images[:n], images[n:])
        ]
        images = jax.lax.with_sharding_constraint(
            jnp.concatenate(shares, axis=1), batch_sharded(self._mesh, axis=1)
        )
        split_labels = (
            label.reshape(n_parts, -1, *label.shape[1:])
            if jnp.ndim(label)
            else jnp.broadcast_to(label, (n_parts,))
            for label in labels
        )
        return (images, *split_labels)


def _averaged(weights: Any, state: Any) -> tuple:
    """What the average is of: all layers but the last, the loss."""
    return weights[:-1], state[:-1]


def _frozen_if_zero(weight: jax.Array, factor: float) -> jax.Array:
    """Stops the gradient of a weight with factor 0, so that XLA does not compute it."""
    return weight if factor else jax.lax.stop_gradient(weight)
