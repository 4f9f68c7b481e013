"""Settings of a training run as frozen dataclasses: meaning, default and range of every field.

docs/settings.md is made from this file. How gin binds the fields is in configurables.py. Messages
use gin's names, since users set those.
"""

# Over 350 lines: most of them are the meanings of the fields.

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from imagefec.compat import tl
from imagefec.errors import UserError
from imagefec.maths import losses
from imagefec.model.layers import Augment
from imagefec.parameters import (
    Flag,
    Function,
    Integer,
    Maybe,
    Number,
    OneOf,
    RegularExpression,
    Table,
    Text,
    check_fields,
    problem,
)

PRECISIONS = ("float32", "bfloat16")
INIT_PARTS = ("whole", "body")
MOST_FACES = 10**6  # of a batch, and most parts of one and processes
_Name, _Distance = Text(), OneOf(*losses.DISTANCES)
_Dataset = Text(
    r"\w[\w.-]*(/\w[\w.-]*)*(:[\w.*]+)?", "a TFDS name, such as 'fec' or 'vggface2/faces:1.0.0'"
)
_Coordinator = Text(r"auto|[^\s\0]+:\d{1,5}", "'auto', or 'HOST:PORT' of process 0")


class _Checked:
    """A dataclass whose values are checked against the kinds in its annotations."""

    def __post_init__(self) -> None:
        of = type(self)
        check_fields(self, lambda field: f"{gin_group(of)}.{GIN_NAMES.get((of, field), field)}")


@dataclass(frozen=True)
class DataConfig(_Checked):
    """Which faces and triplets a run trains on and evaluates.

    Attributes:
      dataset: TFDS name of the triplets to evaluate on, and to train on if the loss takes triplets.
      train_dataset: TFDS name of another dataset to train on, such as "vggface2/faces" for a loss
        that takes identities; None for `dataset`.
      train_split: TFDS split to train on.
      eval_split: TFDS split to evaluate on.
      annotations: who is on the training faces, for identity_removal: a csv or parquet table, such
        as the persons.csv of `draw` and `triplets`, or the folder that holds it. It is read if
        identity_removal.weight is not 0. `~` and `$NAME` are replaced.
      image_size: side of the faces that the network sees, in pixels, 1 or more.
      batch_triplets: triplets per step over all devices, 1 or more if the loss takes triplets.
      batch_faces: faces per step that these triplets share, at most three for each. A step then
        computes fewer faces: 54 triplets among 96 faces take as long as 32 triplets of their own
        faces. 0 for three faces of its own for each triplet.
      balanced: put equally many triplets of each type into a batch.
      batch_identities: identities per batch (P), 1 or more if the loss takes identities.
      images_per_identity: faces per identity in a batch (K), 1 or more.
    """

    dataset: Annotated[str, _Dataset] = "fec"
    train_dataset: Annotated[str | None, Maybe(_Dataset)] = None
    train_split: Annotated[str, _Name] = "train"
    eval_split: Annotated[str, _Name] = "test"
    annotations: Annotated[str | None, Maybe(_Name)] = None
    image_size: Annotated[int, Integer(1, 1024)] = 128
    batch_triplets: Annotated[int, Integer(0, MOST_FACES)] = 0
    batch_faces: Annotated[int, Integer(0, MOST_FACES)] = 0
    balanced: Annotated[bool, Flag()] = False
    batch_identities: Annotated[int, Integer(0, MOST_FACES)] = 0
    images_per_identity: Annotated[int, Integer(1, MOST_FACES)] = 4


@dataclass(frozen=True)
class ScheduleConfig(_Checked):
    """How long a run is, and how often it evaluates and saves, in steps.

    Attributes:
      steps: length of the run, 1 or more; a run that has already taken them does nothing.
      steps_per_eval: steps between evaluations, 1 or more.
      steps_per_checkpoint: steps between checkpoints, 1 or more; every evaluation saves as well.
      stop_at_tpa: stop after the first evaluation with this TPA, in [0, 1]; 0 never stops early.
      select_from: best.npz has the highest TPA of the evaluations from this step on, and the latest
        one before it; %steps always keeps the last.
    """

    steps: Annotated[int, Integer(1)]
    steps_per_eval: Annotated[int, Integer(1)] = 500
    steps_per_checkpoint: Annotated[int, Integer(1)] = 500
    stop_at_tpa: Annotated[float, Number(0, 1)] = 0.0
    select_from: Annotated[int, Integer(0)] = 0

    def evaluates(self, step: int) -> bool:
        """Whether to evaluate after a step: the first, every steps_per_eval-th, and the last."""
        return step in (1, self.steps) or step % self.steps_per_eval == 0

    def saves(self, step: int) -> bool:
        """Whether to save after a step, whether or not it evaluates."""
        return step % self.steps_per_checkpoint == 0


@dataclass(frozen=True)
class StepConfig(_Checked):
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

    precision: Annotated[str, OneOf(*PRECISIONS)] = "float32"
    remat: Annotated[bool, Flag()] = False
    accumulation_steps: Annotated[int, Integer(1, MOST_FACES)] = 1
    device_resident: Annotated[bool, Flag()] = False


@dataclass(frozen=True)
class InitConfig(_Checked):
    """Where the initial weights come from.

    Attributes:
      checkpoint: a run directory, a checkpoint or a state dict; None for random weights. `~` and
        `$NAME` are replaced.
      part: which of its weights to load: "whole" for all, "body" for the stem and the blocks.
    """

    checkpoint: Annotated[str | None, Maybe(_Name)] = None
    part: Annotated[str, OneOf(*INIT_PARTS)] = "whole"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.checkpoint is None and self.part != "whole":
            raise UserError(
                f"training.init_part is {self.part!r}, but training.init_checkpoint is None, so "
                "there are no weights to load a part of. Bind training.init_checkpoint as well, or "
                "neither."
            )


@dataclass(frozen=True)
class UdaConfig(_Checked):
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

    weight: Annotated[float, Number(0)] = 0.0
    distance: Annotated[str, _Distance] = "l2"
    stop_gradient: Annotated[bool, Flag()] = False
    ramp_steps: Annotated[int, Integer(0)] = 0
    dataset: Annotated[str | None, Maybe(_Dataset)] = None
    split: Annotated[str, _Name] = "train"
    batch_faces: Annotated[int, Integer(0, MOST_FACES)] = 0

    def __post_init__(self) -> None:
        super().__post_init__()
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
        return _ramped(self.weight, self.ramp_steps, step)


@dataclass(frozen=True)
class IdentityRemovalConfig(_Checked):
    """The term against telling persons apart, training.annotations; off if the weight is 0.

    The term is the share of the embeddings' variance that lies between persons. It compares two
    faces of a person, so a batch must have several faces of some persons.

    Attributes:
      weight: weight relative to the main loss, 0 or more.
      ramp_steps: steps over which the weight rises linearly from 0, 0 or more.
    """

    weight: Annotated[float, Number(0)] = 0.0
    ramp_steps: Annotated[int, Integer(0)] = 0

    def weight_at(self, step: int) -> float:
        """The weight at a step, counted from 1."""
        return _ramped(self.weight, self.ramp_steps, step)


def _ramped(weight: float, ramp_steps: int, step: int) -> float:
    return weight * min(1.0, step / ramp_steps) if ramp_steps else weight


@dataclass(frozen=True)
class DivergenceConfig(_Checked):
    """When a run stops because training has failed; values that are not finite always stop it.

    Attributes:
      spread_floor: embedding spread below which the model counts as collapsed, 0 or more.
      divergence_factor: training has diverged if the loss exceeds this many times the larger of its
        value at step 1 and a collapsed model's, for divergence_steps in a row. 0 turns this off.
      divergence_steps: see divergence_factor; counted in windows of 50 steps.
      collapse_steps: training has collapsed if the loss stays within 0.5 % of a collapsed model's
        (for the hinge: twice the margin) for this many steps in a row. 0 turns this off. ResNet-50
        from random weights left that plateau after about 1,500 steps with squared_l2.
      collapse_spread: that loss with a mean embedding spread below this value counts as
        collapsed after a tenth of collapse_steps. If UDA has pulled all faces together, the spread
        is under 0.01 and shrinks; on ResNet-50's plateau it was 0.03 to 0.05.
    """

    spread_floor: Annotated[float, Number(0, 2)] = 1e-4
    divergence_factor: Annotated[float, Number(0)] = 5.0
    divergence_steps: Annotated[int, Integer(0)] = 1000
    collapse_steps: Annotated[int, Integer(0)] = 5000
    collapse_spread: Annotated[float, Number(0, 2)] = 0.01


@dataclass(frozen=True)
class HostsConfig(_Checked):
    """Which processes train one model together.

    Attributes:
      coordinator: "host:port" of process 0; "auto" to let JAX ask the cluster (Slurm, Open MPI,
        Kubernetes, Cloud TPU) for all three values; None for a single process.
      processes: number of processes.
      process: index of this process, from 0.
    """

    coordinator: Annotated[str | None, Maybe(_Coordinator)] = None
    processes: Annotated[int | None, Maybe(Integer(1, MOST_FACES))] = None
    process: Annotated[int | None, Maybe(Integer(0, MOST_FACES))] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.coordinator in (None, "auto"):
            if (self.processes, self.process) != (None, None):
                raise UserError(
                    f"hosts.processes is {self.processes} and hosts.process {self.process}, but "
                    f"hosts.coordinator is {self.coordinator!r}, so they have no effect. Bind "
                    "hosts.coordinator = 'HOST:PORT', or neither of the two."
                )
            return
        if self.processes is None or self.process is None or self.process >= self.processes:
            raise UserError(
                f"hosts.coordinator is {self.coordinator}, hosts.processes {self.processes} and "
                f"hosts.process {self.process}; each process requires the number of processes and "
                "its own index, from 0. Bind them with --config, or use 'auto'."
            )


@dataclass(frozen=True)
class TrainConfig(_Checked):
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
      identity_removal: term against telling persons apart.
      divergence: when training counts as failed.
      lr_multipliers: regular expression -> factor of the learning rate, as
        `step.lr_multipliers.lr_multipliers` takes them; None for 1 everywhere.
      ema_decay: evaluate, and save as best.npz, an exponential moving average of the weights and
        running statistics, which keeps this share of itself at every step; 0 for the weights
        themselves. Training goes on with the weights, and model.npz has both.
      seed: seed of weights, order and augmentation, 0 or more.
      model_settings: keyword arguments that `model` adds to its defaults, as JSON values, for
        run.json.
      recipe: name of these settings in reports; None for no name.
      settings: returns every setting in force by its gin name, for settings.json; called after all
        layers exist. None writes no settings.json.
    """

    model: Annotated[Callable[..., tl.Layer], Function("ImageFEC")]
    loss: Annotated[
        Callable[[], tl.Layer],
        Function("TripletLoss", "OddOneOutCrossEntropy", "IdentityLoss", "ChoiceLoss"),
    ]
    optimizer: Annotated[
        Callable[[], Any],
        Function("imagefec.Adam", "imagefec.Adafactor", "imagefec.Momentum", "imagefec.SGD"),
    ]
    learning_rate: Annotated[Callable[[int], float], Function("warmup_cosine", called=True)]
    schedule: ScheduleConfig
    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    augment: Annotated[Callable[..., tl.Layer], Function("Augment")] = Augment
    step: StepConfig = dataclasses.field(default_factory=StepConfig)
    init: InitConfig = dataclasses.field(default_factory=InitConfig)
    uda: UdaConfig = dataclasses.field(default_factory=UdaConfig)
    identity_removal: IdentityRemovalConfig = dataclasses.field(
        default_factory=IdentityRemovalConfig
    )
    divergence: DivergenceConfig = dataclasses.field(default_factory=DivergenceConfig)
    lr_multipliers: Annotated[
        Mapping[str, float] | None, Maybe(Table(RegularExpression(), Number(0)))
    ] = None
    ema_decay: Annotated[float, Number(0, 1, below=True)] = 0.0
    seed: Annotated[int, Integer(0, 2**32 - 1)] = 0
    model_settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    recipe: str | None = None
    settings: Callable[[], Mapping[str, Any]] | None = None

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
        if wrong := problem(name, items, Integer(1)):
            raise UserError(f"{wrong} Bind it in a gin file or with --config='{name} = …'.")
        if data.batch_faces:
            self._check_shared_faces(of_triplets)
        if self.identity_removal.weight:
            self._check_identity_removal(of_triplets)
        if items % parts or extra % parts:
            raise UserError(
                f"{name} is {items}{f' and uda_consistency.batch_faces {extra}' if extra else ''}; "
                f"training.accumulate = {parts} cannot split the batch evenly. Use multiples of "
                f"{parts}."
            )
        images = ((data.batch_faces or faces_each * items) + extra) // parts
        if images % n_devices:
            raise UserError(
                f"the {images} images that a step computes at a time cannot be split evenly among "
                f"{n_devices} devices ({name} = {items}, {faces_each} faces each, "
                f"uda_consistency.batch_faces = {extra}, training.accumulate = {parts}). Use a "
                f"multiple of {n_devices * parts}{' for both' if extra else ''}."
            )

    def _check_identity_removal(self, of_triplets: bool) -> None:
        name = f"identity_removal.weight is {self.identity_removal.weight}"
        if not of_triplets:
            raise UserError(f"{name}, but the loss tells identities apart. Bind it to 0.")
        if self.data.annotations is None:
            raise UserError(
                f"{name}, but training.annotations is None, so the faces' persons are not known. "
                "Bind training.annotations to a table of the faces' persons, such as persons.csv."
            )

    def _check_shared_faces(self, of_triplets: bool) -> None:
        data, name = self.data, f"training.batch_faces is {self.data.batch_faces}"
        if not of_triplets:
            raise UserError(f"{name}, but the loss takes identities. Bind it to 0.")
        if not 3 <= data.batch_faces <= 3 * data.batch_triplets:
            raise UserError(
                f"{name}; it must be 0, or 3 to {3 * data.batch_triplets}, the faces of "
                f"training.batch_triplets = {data.batch_triplets} triplets that share none."
            )
        if data.balanced or self.step.accumulation_steps > 1:
            other = "training.balanced" if data.balanced else "training.accumulate"
            raise UserError(
                f"{name}, which cannot be combined with {other}. Bind one of them to its default."
            )


# Fields whose gin parameter has another name. Gin's names are an interface for users' files.
GIN_NAMES = {
    (DataConfig, "batch_identities"): "batch_people",
    (DataConfig, "images_per_identity"): "faces_each",
    (StepConfig, "remat"): "rematerialise",
    (StepConfig, "accumulation_steps"): "accumulate",
    (StepConfig, "device_resident"): "faces_on_device",
    (InitConfig, "checkpoint"): "init_checkpoint",
    (InitConfig, "part"): "init_part",
    (TrainConfig, "lr_multipliers"): "layer_rates",
}
# Gin's name of each dataclass; those of the other classes are all "training".
_GIN_GROUPS = {
    UdaConfig: "uda_consistency",
    IdentityRemovalConfig: "identity_removal",
    DivergenceConfig: "guards",
    HostsConfig: "hosts",
}


def gin_group(config: type) -> str:
    """Gin's name for a dataclass, such as "uda_consistency"; "training" if it has no own."""
    return _GIN_GROUPS.get(config, "training")
