"""The operations of an exported network: plain values with NumPy arrays, in order of execution.

A network is a list of steps. Value 0 is the faces, uint8 [n, side, side, 3] RGB; the result of step
i is value i + 1, and the last one the embeddings. What computes them is elsewhere.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


class Stored(NamedTuple):
    """An array of a checkpoint that has not been read.

    Attributes:
      name: in the checkpoint, such as "weights/1.Stem/0.Conv".
      shape: of the array.
    """

    name: str
    shape: tuple[int, ...]

    @property
    def dtype(self) -> np.dtype:
        """That of all arrays of a network."""
        return np.dtype(np.float32)


Array = np.ndarray | Stored


@dataclass(frozen=True, eq=False)
class Scale:
    """(float32(x) - subtracted) / divisor; both float32 [3]."""

    subtracted: np.ndarray
    divisor: np.ndarray


@dataclass(frozen=True, eq=False)
class Convolution:
    """Cross-correlation with zero padding, and a bias.

    Attributes:
      kernel: float32 [k, k, c_in, c_out].
      bias: float32 [c_out]; None for zero.
      stride: on both axes.
      pads: zeros (before, after) on both axes.
    """

    kernel: Array
    bias: Array | None
    stride: int
    pads: tuple[int, int]


@dataclass(frozen=True, eq=False)
class BatchNorm:
    """(x - mean) / sqrt(variance + epsilon) * scale + offset, each float32 [c]; folded away."""

    scale: Array
    offset: Array
    mean: Array
    variance: Array
    epsilon: float = 1e-5


@dataclass(frozen=True, eq=False)
class GroupNorm:
    """Each image normalised over `groups` of adjacent channels, then * scale + offset.

    Attributes:
      scale: float32 [c].
      offset: float32 [c].
      groups: divides c.
      epsilon: added to the variance.
    """

    scale: Array
    offset: Array
    groups: int
    epsilon: float = 1e-5


@dataclass(frozen=True, eq=False)
class ResponseNorm:
    """x / sqrt(mean of x^2 over the map + epsilon) * scale + offset (filter response norm).

    Attributes:
      scale: float32 [c].
      offset: float32 [c].
      epsilon: added to the mean square.
    """

    scale: Array
    offset: Array
    epsilon: float = 1e-6


@dataclass(frozen=True, eq=False)
class Relu:
    """max(x, 0)."""


@dataclass(frozen=True, eq=False)
class Threshold:
    """max(x, threshold); threshold float32 [] (thresholded linear unit)."""

    threshold: Array


@dataclass(frozen=True, eq=False)
class MaxPool:
    """Maximum of 3x3 windows at stride 2; what is outside the map never wins.

    Attributes:
      pads: pixels (before, after) on both axes.
    """

    pads: tuple[int, int]


@dataclass(frozen=True, eq=False)
class Add:
    """The sum of two values of one shape."""


@dataclass(frozen=True, eq=False)
class GlobalMean:
    """Mean over the map: [n, side, side, c] -> [n, c]."""


@dataclass(frozen=True, eq=False)
class Flatten:
    """[n, side, side, c] -> [n, side * side * c], channels last."""


@dataclass(frozen=True, eq=False)
class Dense:
    """x @ kernel + bias; kernel float32 [c_in, c_out], bias float32 [c_out]."""

    kernel: Array
    bias: Array


@dataclass(frozen=True, eq=False)
class UnitLength:
    """x / sqrt(max(sum of x^2, epsilon))."""

    epsilon: float = 1e-12


Operation = (
    Scale
    | Convolution
    | BatchNorm
    | GroupNorm
    | ResponseNorm
    | Relu
    | Threshold
    | MaxPool
    | Add
    | GlobalMean
    | Flatten
    | Dense
    | UnitLength
)


class Step(NamedTuple):
    """An operation, the values that it takes, and the shape of its result.

    Attributes:
      operation: what is computed.
      inputs: indices of values: 0 for the faces, i + 1 for the result of step i.
      shape: of the result without the batch: (side, side, channels), or (channels,).
    """

    operation: Operation
    inputs: tuple[int, ...]
    shape: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Network:
    """The steps from faces to embeddings.

    Attributes:
      image_size: side of the faces in pixels; fixed, as flattened maps and paddings depend on it.
      steps: in order of execution; inputs come before.
    """

    image_size: int
    steps: tuple[Step, ...]

    @property
    def d_embedding(self) -> int:
        """Length of an embedding."""
        return self.steps[-1].shape[0]
