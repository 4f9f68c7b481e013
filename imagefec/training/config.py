"""Settings of a training run as frozen dataclasses: meaning, default and range of every field.

How gin names and binds them is in configurables.py. Messages use gin's names, since users set
those.
"""

import dataclasses
import numbers
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from imagefec.compat import tl
from imagefec.errors import UserError
from imagefec.maths import losses
from imagefec.model.layers import Augment

PRECISIONS = ("float32", "bfloat16")


@dataclass(frozen=True)
class DataConfig:
    """Which faces and triplets a run trains on and evaluates.

    Attributes:
      dataset: TFDS name of the triplets to evaluate on, and to train on if the loss takes triplets.
      train_dataset: TFDS name of another dataset to train on, such as "vggface2/faces" for a loss
        that takes identities; None for `dataset`.
      train_split: TFDS split to train on.
      eval_split: TFDS split to evaluate on.
      image_size: side of the faces that the network sees, in pixels, 1 or more.
      batch_triplets: triplets per step over all devices, 1 or more if the loss takes triplets.
      balanced: put equally many triplets of each type into a batch.
      batch_identities: identities per batch (P), 1 or more if the loss takes identities.
      images_per_identity: faces per identity in a batch (K), 1 or more.
    """

    dataset: str = "fec"
    train_dataset: str | None = None
    train_split: str = "train"
    eval_split: str = "test"
    image_size: int = 128
    batch_triplets: int = 0
    balanced: bool = False
    batch_identities: int = 0
    images_per_identity: int = 4

    def __post_init__(self) -> None:
        _require_integer("training.image_size", self.image_size, 1)
        _require_integer("training.faces_each", self.images_per_identity, 1)


@dataclass(frozen=True)
class ScheduleConfig:
    """How long a run is, and how often it evaluates and saves, in steps.

    Attributes:
      steps: length of the run, 1 or more; a run that has already taken them does nothing.
      steps_per_eval: steps between evaluations, 1 or more.
      steps_per_checkpoint: steps between checkpoints, 1 or more; every evaluation saves as well.
      stop_at_tpa: stop after the first evaluation with this TPA, in [0, 1]; 0 never stops early.
    """

    steps: int
    steps_per_eval: int = 500
    steps_per_checkpoint: int = 500
    stop_at_tpa: float = 0.0

    def __post_init__(self) -> None:
        for name in ("steps", "steps_per_eval", "steps_per_checkpoint"):
            _require_integer(f"training.{name}", getattr(self, name), 1)
        _require_number("training.stop_at_tpa", self.stop_at_tpa, 1)

    def evaluates(self, step: int) -> bool:
        """Whether to evaluate after a step: the first, every steps_per_eval-th, and the last."""
        return step in (1, self.steps) or step % self.steps_per_eval == 0

    def saves(self, step: int) -> bool:
        """Whether to save after a step, whether or not it evaluates."""
        return step % self.steps_per_checkpoint == 0


@dataclass(frozen=True)
class StepConfig:
    """How a training step is computed.

    The fields change speed and memory, not what is learned, up to rounding. Exception: with
    gradient accumulation, batch norm sees one part of the batch at a time.

    Attributes:
      precision: "float32", or "bfloat16" for the network's products and activations; weights,
        running statistics and losses stay float32.
      remat: recompute the activations inside each block in the backward pass instead of storing
        them.
      accumulation_steps: parts that a batch is computed in, one after the other, 1 or more. Their
        gradients are averaged; the logged embedding spread is the mean over the parts.
      device_resident: store the complete dataset on every device; batches then send indices.
    """

    precision: str = "float32"
    remat: bool = False
    accumulation_steps: int = 1
    device_resident: bool = False

    def __post_init__(self) -> None:
        _require_choice("training.precision", self.precision, PRECISIONS)
        _require_integer("training.accumulate", self.accumulation_steps, 1)


@dataclass(frozen=True)
class InitConfig:
    """Where the initial weights come from.

    Attributes:
      checkpoint: a run directory, a checkpoint or a state dict; None for random weights.
      part: which of its weights to load: "whole" for all, "body" for the stem and the blocks.
    """

    checkpoint: str | None = None
    part: str = "whole"


@dataclass(frozen=True)
class UdaConfig:
    """The consistency term between two augmented views of every face; off if the weight is 0.

    Attributes:
      weight: weight relative to the main loss, 0 or more.
      distance: "l2" or "squared_l2".
      stop_gradient: stop the gradient through the first view, the one that the main loss sees, as
        UDA does for class probabilities. False lets it flow through both.
      ramp_steps: steps over which the weight rises linearly from 0, 0 or more.
      dataset: TFDS name of unlabelled faces that enter this term alone; None for none.
      split: split of `dataset`.
      batch_faces: unlabelled faces per step, 0 or more; 1 or more with a dataset.
    """

    weight: float = 0.0
    distance: str = "l2"
    stop_gradient: bool = False
    ramp_steps: int = 0
    dataset: str | None = None
    split: str = "train"
    batch_faces: int = 0

    def __post_init__(self) -> None:
        _require_number("uda_consistency.weight", self.weight)
        _require_integer("uda_consistency.ramp_steps", self.ramp_steps, 0)
        _require_integer("uda_consistency.batch_faces", self.batch_faces, 0)
        _require_choice("uda_consistency.distance", self.distance, losses.DISTANCES)
        given = self.dataset is not None
        if given != (self.batch_faces > 0) or (given and not self.weight):
            raise UserError(
                f"uda_consistency.dataset is {self.dataset!r}, batch_faces {self.batch_faces} and "
                f"weight {self.weight}. Unlabelled faces require all three; without a dataset, "
                "batch_faces must be 0."
            )

    @property
    def views(self) -> int:
        """Augmented views of each face in a batch."""
        return 2 if self.weight else 1

    def weight_at(self, step: int) -> float:
        """The weight at a step, counted from 1."""
        return self.weight * min(1.0, step / self.ramp_steps) if self.ramp_steps else self.weight


@dataclass(frozen=True)
class DivergenceConfig:
    """When a run stops because training has failed; values that are not finite always stop it.

    Attributes:
      spread_floor: embedding spread below which the model counts as collapsed, 0 or more.
      divergence_factor: training has diverged if the loss exceeds this many times the larger of its
        value at step 1 and a collapsed model's, for divergence_steps in a row. 0 turns this off.
      divergence_steps: see divergence_factor; counted in windows of 50 steps.
      collapse_steps: training has collapsed if the loss stays within 0.5 % of a collapsed model's
        (for the hinge: twice the margin) for this many steps in a row. 0 turns this off. ResNet-50
        left that plateau after 1,700 steps.
      collapse_spread: that loss with a mean embedding spread below this value counts as
        collapsed after a tenth of collapse_steps. If UDA has pulled all faces together, the spread
        is under 0.01 and shrinks; on ResNet-50's plateau it was 0.03 to 0.05.
    """

    spread_floor: float = 1e-4
    divergence_factor: float = 5.0
    divergence_steps: int = 1000
    collapse_steps: int = 5000
    collapse_spread: float = 0.01

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            _require_number(f"guards.{field.name}", getattr(self, field.name))


@dataclass(frozen=True)
class HostsConfig:
    """Which processes train one model together.

    Attributes:
      coordinator: "host:port" of process 0; "auto" to let JAX ask the cluster (Slurm, Open MPI,
        Kubernetes, Cloud TPU) for all three values; None for a single process.
      processes: number of processes.
      process: index of this process, from 0.
    """

    coordinator: str | None = None
    processes: int | None = None
    process: int | None = None

    def __post_init__(self) -> None:
        if self.coordinator in (None, "auto"):
            return
        if self.processes is None or self.process is None or not 0 <= self.process < self.processes:
            raise UserError(
                f"hosts.coordinator is {self.coordinator}, hosts.processes {self.processes} and "
                f"hosts.process {self.process}; each process requires the number of processes and "
                "its own index, from 0. Bind them with --config, or use 'auto'."
            )


@dataclass(frozen=True)
class TrainConfig:
    """All settings of a training run.

    Attributes:
      model: returns the network, a Trax layer; called with mode="train" and with mode="eval".
      loss: returns a Trax layer from (embeddings, types, vote_counts) or (embeddings, labels) to a
        scalar.
      optimizer: returns a Trax optimizer.
      learning_rate: maps a step to its learning rate.
      schedule: length of the run, evaluations and checkpoints.
      data: datasets and batches.
      augment: returns the layer before the network; called with mode, and with views=2 for UDA.
      step: how a step is computed.
      init: initial weights.
      uda: consistency term.
      divergence: when training counts as failed.
      lr_multipliers: regular expression -> factor of the learning rate, as
        `step.lr_multipliers.lr_multipliers` takes them; None for 1 everywhere.
      seed: seed of weights, order and augmentation, 0 or more.
      model_settings: keyword arguments that `model` adds to its defaults, as JSON values, for
        run.json.
      recipe: name of these settings in reports; None for no name.
      settings: returns every setting in force by its gin name, for settings.json; called after all
        layers exist. None writes no settings.json.
    """

    model: Callable[..., tl.Layer]
    loss: Callable[[], tl.Layer]
    optimizer: Callable[[], Any]
    learning_rate: Callable[[int], float]
    schedule: ScheduleConfig
    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    augment: Callable[..., tl.Layer] = Augment
    step: StepConfig = dataclasses.field(default_factory=StepConfig)
    init: InitConfig = dataclasses.field(default_factory=InitConfig)
    uda: UdaConfig = dataclasses.field(default_factory=UdaConfig)
    divergence: DivergenceConfig = dataclasses.field(default_factory=DivergenceConfig)
    lr_multipliers: Mapping[str, float] | None = None
    seed: int = 0
    model_settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    recipe: str | None = None
    settings: Callable[[], Mapping[str, Any]] | None = None

    def __post_init__(self) -> None:
        _require_integer("training.seed", self.seed, 0)

    def check_batch(self, of_triplets: bool, n_devices: int) -> None:
        """Checks that a batch can be split evenly into its parts and among the devices.

        Args:
          of_triplets: whether the loss takes triplets rather than identities.
          n_devices: number of devices of all hosts.

        Raises:
          UserError: the batch is empty or cannot be split evenly.
        """
        data, parts, extra = self.data, self.step.accumulation_steps, self.uda.batch_faces
        name, items, faces_each = (
            ("training.batch_triplets", data.batch_triplets, 3)
            if of_triplets
            else ("training.batch_people", data.batch_identities, data.images_per_identity)
        )
        _require_integer(name, items, 1)
        if items % parts or extra % parts:
            raise UserError(
                f"{name} is {items}{f' and uda_consistency.batch_faces {extra}' if extra else ''}; "
                f"training.accumulate = {parts} cannot split the batch evenly. Use multiples of "
                f"{parts}."
            )
        images = (faces_each * items + extra) // parts
        if images % n_devices:
            raise UserError(
                f"the {images} images that a step computes at a time cannot be split evenly among "
                f"{n_devices} devices ({name} = {items}, {faces_each} faces each, "
                f"uda_consistency.batch_faces = {extra}, training.accumulate = {parts}). Use a "
                f"multiple of {n_devices * parts}{' for both' if extra else ''}."
            )


def _require_integer(name: str, value: Any, lowest: int) -> None:
    if not isinstance(value, numbers.Integral) or value < lowest:
        _refuse(name, value, f"an integer, {lowest} or more")


def _require_number(name: str, value: Any, highest: float = sys.float_info.max) -> None:
    if not isinstance(value, int | float) or not 0 <= value <= highest:
        limited = highest < sys.float_info.max
        _refuse(name, value, f"a number, 0 {f'to {highest}' if limited else 'or more'}")


def _require_choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    if value not in choices:
        _refuse(name, value, f"one of {', '.join(choices)}")


def _refuse(name: str, value: Any, allowed: str) -> None:
    raise UserError(
        f"{name} is {value!r}; it must be {allowed}. Bind it in a gin file or with "
        f"--config='{name} = …'."
    )
