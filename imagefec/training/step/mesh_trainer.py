"""Trax's Trainer with its step as one program over the mesh; what the model, the loss and the batches are is for others.

There is one global program: jit with shardings computes the same function on one device and on
many, so norm statistics are those of the whole batch, and each image's augmentation is drawn from
its place in it.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from imagefec.compat import optimizers
from imagefec.errors import UserError
from imagefec.training.step.compiler import step_options
from imagefec.training.step.mesh import batch_sharded, replicate, replicated
from imagefec.training.step.precision import check_precision, in_bfloat16


@dataclass(frozen=True)
class StepConfig:
    """How a step is computed. What is learned is the same, up to rounding and, with accumulate, to batch statistics.

    Attributes:
      precision: "float32", or "bfloat16" for the network's products and maps; weights, statistics
        and losses stay float32.
      rematerialise: compute the inside of each block a second time in the backward pass instead of
        keeping it.
      accumulate: a step's batch is taken in so many parts, one after the other, and their gradients
        averaged. Batch norm then sees a part at a time; the spread that is logged is a part's.
      faces_on_device: all faces lie on the devices and batches travel as row numbers.
    """

    precision: str = "float32"
    rematerialise: bool = False
    accumulate: int = 1
    faces_on_device: bool = False

    def check(
        self, items: int, faces_each: int, setting: str, batch_extra: int, mesh: Mesh
    ) -> None:
        """Refuses what does not fit the batch or the devices.

        Args:
          items: triplets or people a step.
          faces_each: faces of one of them.
          setting: gin's name for items.
          batch_extra: faces for UDA alone.
          mesh: of all devices.

        Raises:
          UserError: it does not.
        """
        check_precision(self.precision)
        k, devices = self.accumulate, mesh.size
        if items < 1:
            raise UserError(f"{setting} is {items}; it must be 1 or more.")
        if k < 1:
            raise UserError(f"training.accumulate is {k}; it must be 1 or more.")
        if items % k or batch_extra % k:
            extra = f" and uda_consistency.batch_faces {batch_extra}" if batch_extra else ""
            raise UserError(
                f"{setting} is {items}{extra}, which training.accumulate = {k} parts cannot share evenly. Take "
                f"multiples of {k}."
            )
        part = (faces_each * items + batch_extra) // k
        if part % devices:
            raise UserError(
                f"{devices} devices cannot share evenly the {part} images that a step takes at a time "
                f"({setting} = {items}, {faces_each} faces each, uda_consistency.batch_faces = "
                f"{batch_extra}, training.accumulate = {k}). Take a multiple of {devices * k}"
                f"{' of both' if batch_extra else ''}."
            )


class MeshTrainer(optimizers.Trainer):
    """`trax.optimizers.Trainer` whose step runs on every device of a mesh.

    A batch is (images, labels, …): images [n, …] cut over the mesh, or their rows int32 [n] in
    `resident`; the first of them are the labels', `faces_a_label` for each; more arrays of
    len(labels) and scalars may follow. The loss layer's state, where it is a dict of scalars, comes
    back with the statistics.

    Args:
      model_with_loss: initialised Trax Serial of model and loss layer.
      optimizer: Trax optimizer with slots for its weights.
      mesh: of all devices.
      engine: how a step is computed.
      resident: uint8 [faces, h, w, 3] on every device, which batches are rows of; None where
        batches bring images.
      faces_a_label: 3 where labels are triplets'.
      rates: one factor a weight, of the model's structure, by which the optimizer's change of it is
        multiplied; weights with 0 are frozen. None for 1 everywhere.
    """

    def __init__(
        self,
        model_with_loss: Any,
        optimizer: Any,
        mesh: Mesh,
        engine: StepConfig = StepConfig(),
        resident: jax.Array | None = None,
        faces_a_label: int = 3,
        rates: Any = None,
    ):
        super().__init__(model_with_loss, optimizer, n_devices=1)
        self._faces_a_label, self._rates = faces_a_label, rates
        self._mesh, self._engine, self._resident = mesh, engine, resident
        # What a loss layer reports exists after its first step only if its state had that form
        # before.
        self._step = jax.jit(
            self._compute,
            donate_argnums=(0, 1, 2),
            out_shardings=replicated(mesh),
            compiler_options=step_options(),
        )
        self._parameters = {name: np.asarray(value) for name, value in self._opt_params.items()}
        self.place()

    def place(self) -> None:
        """Sends weights, state and slots to every device; call it after setting them."""
        accelerated = self.accelerated_model_with_loss
        accelerated.weights = replicate(accelerated.weights, self._mesh)
        accelerated.state = replicate(accelerated.state, self._mesh)
        self.slots = self.slots

    @property
    def slots(self) -> Any:
        """The optimizer's slots, on every device."""
        return self._optimizer.slots

    @slots.setter
    def slots(self, slots: Any) -> None:
        self._optimizer.slots = self._slots = replicate(slots, self._mesh)

    def one_step(
        self, batch: Any, rng: Any, step: int = 0, learning_rate: float | None = None
    ) -> tuple[Any, dict]:
        """Starts one step and returns before it is done.

        Args:
          batch: placed on the mesh.
          rng: PRNG key of the whole run; the step's own is drawn from it and the step number.
          step: number of the step.
          learning_rate: None for the optimizer's own.

        Returns:
          (loss, statistics), scalars that the device will have computed in time.
        """
        parameters = dict(self._parameters)
        if learning_rate is not None:
            parameters["learning_rate"] = np.float32(learning_rate)
        accelerated = self.accelerated_model_with_loss
        weights, slots, state, statistics = self._step(
            accelerated.weights,
            self._slots,
            accelerated.state,
            batch,
            self._resident,
            np.asarray(rng),
            np.int32(step),
            parameters,
        )
        accelerated.weights, accelerated.state = weights, state
        self._optimizer.slots = self._slots = slots
        # All devices hold the same scalar; one's alone is quicker to fetch, and other hosts' cannot
        # be.
        statistics = {name: value.addressable_data(0) for name, value in statistics.items()}
        return statistics["loss"], statistics

    def lower(self, batch: Any, rng: Any) -> Any:
        """The step as JAX lowers it, for looking into: `.compile().memory_analysis()`."""
        accelerated = self.accelerated_model_with_loss
        return self._step.lower(
            accelerated.weights,
            self._slots,
            accelerated.state,
            batch,
            self._resident,
            np.asarray(rng),
            np.int32(1),
            self._parameters,
        )

    def _compute(
        self,
        weights: Any,
        slots: Any,
        state: Any,
        batch: Any,
        resident: Any,
        rng: Any,
        step: Any,
        parameters: dict,
    ) -> tuple:
        rng = jax.random.fold_in(rng, step)
        if self._engine.accumulate == 1:
            loss, state, gradients = self._loss_and_gradients(weights, state, batch, resident, rng)
        else:
            loss, state, gradients = self._accumulated(weights, state, batch, resident, rng)
        changed, slots, statistics = self._optimizer.tree_update(
            step, gradients, weights, slots, parameters, store_slots=False
        )
        weights = (
            changed
            if self._rates is None
            else jax.tree.map(
                lambda old, new, rate: old + rate * (new - old), weights, changed, self._rates
            )
        )
        reported = state[-1] if isinstance(state[-1], dict) else {}
        return weights, slots, state, {**statistics, **reported, "loss": loss}

    def _loss_and_gradients(
        self, weights: Any, state: Any, batch: Any, resident: Any, rng: Any
    ) -> tuple:
        images, *others = batch
        if resident is not None:
            images = jax.lax.with_sharding_constraint(resident[images], batch_sharded(self._mesh))

        def loss_of(weights: Any) -> tuple:
            if (
                self._rates is not None
            ):  # what is frozen needs no gradient, and XLA then computes none
                weights = jax.tree.map(
                    lambda weight, rate: weight if rate else jax.lax.stop_gradient(weight),
                    weights,
                    self._rates,
                )
            if self._engine.precision == "bfloat16":
                weights = in_bfloat16(self._model_with_loss, weights)
            return self._model_with_loss.pure_fn((images, *others), weights, state, rng)

        (loss, state), gradients = jax.value_and_grad(loss_of, has_aux=True)(weights)
        return loss, state, gradients

    def _accumulated(self, weights: Any, state: Any, batch: Any, resident: Any, rng: Any) -> tuple:
        parts = self._engine.accumulate

        def add(carried: tuple, part: tuple) -> tuple:
            (state, total), (own_batch, own_rng) = carried, part
            loss, state, gradients = self._loss_and_gradients(
                weights, state, own_batch, resident, own_rng
            )
            return (state, jax.tree.map(jnp.add, total, gradients)), (loss, state[-1])

        (state, total), (losses, reported) = jax.lax.scan(
            add,
            (state, jax.tree.map(jnp.zeros_like, weights)),
            (self._parted(batch, parts), jax.random.split(rng, parts)),
        )
        state = (*state[:-1], jax.tree.map(lambda values: jnp.mean(values, axis=0), reported))
        return jnp.mean(losses), state, jax.tree.map(lambda gradient: gradient / parts, total)

    def _parted(self, batch: Any, parts: int) -> tuple:
        """The batch with a leading axis of parts, each with its share of the labels' faces and of the extra ones."""
        images, *labels = batch
        n = self._faces_a_label * len(labels[0])
        pieces = [
            rows.reshape(parts, len(rows) // parts, *rows.shape[1:])
            for rows in (images[:n], images[n:])
        ]
        images = jax.lax.with_sharding_constraint(
            jnp.concatenate(pieces, axis=1), batch_sharded(self._mesh, axis=1)
        )
        return (
            images,
            *(
                label.reshape(parts, -1, *label.shape[1:])
                if jnp.ndim(label)
                else jnp.broadcast_to(label, (parts,))
                for label in labels
            ),
        )
