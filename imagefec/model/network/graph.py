"""The steps of any ImageFEC, with the names of their arrays in a checkpoint instead of values.

It mirrors resnet.py, whose Trax layers name the arrays: tests compare both over random settings.
"""

import numpy as np

from imagefec.model.network.architecture import SCALINGS, Architecture
from imagefec.model.network.operations import (
    Add,
    BatchNorm,
    Convolution,
    Dense,
    Flatten,
    GlobalMean,
    GroupNorm,
    MaxPool,
    Network,
    Operation,
    Relu,
    ResponseNorm,
    Scale,
    Step,
    Stored,
    Threshold,
    UnitLength,
)

_GROUPS = 8  # at most, of group norm


def network_of(architecture: Architecture, image_size: int) -> Network:
    """Builds the steps of a network.

    Args:
      architecture: its settings.
      image_size: side of the faces in pixels.

    Returns:
      The network; its arrays are Stored, and batch norms are not folded.
    """
    builder = _Builder(architecture, image_size)
    builder.stem()
    index = 2  # the input's scaling and the stem are layers 0 and 1
    for stage, n_blocks in enumerate(architecture.stage_blocks):
        for block in range(n_blocks):
            builder.block(
                f"{index}.Stage{stage + 1}Block{block + 1}",
                architecture.d_hidden * 2**stage,
                stride=2 if stage > 0 and block == 0 else 1,
            )
            index += 1
    builder.head(index + 1)
    return Network(image_size, tuple(builder.steps))


class _Builder:
    """Appends steps; `at` is the value that the next one takes, `shape` that value's shape."""

    def __init__(self, architecture: Architecture, image_size: int) -> None:
        self.settings = architecture
        self.steps: list[Step] = []
        self.at = 0
        self.shape: tuple[int, ...] = (image_size, image_size, 3)
        subtracted, divisor = (
            np.broadcast_to(np.asarray(value, np.float32), 3)
            for value in SCALINGS[architecture.scaling]
        )
        self.add(Scale(subtracted, divisor))

    def add(self, operation: Operation, shape: tuple[int, ...] | None = None) -> None:
        """Appends an operation on the current value; its shape stays unless given."""
        self.shape = self.shape if shape is None else shape
        self.steps.append(Step(operation, (self.at,), self.shape))
        self.at = len(self.steps)

    def stem(self) -> None:
        filters = self.settings.d_hidden
        layers = _Layers("1.Stem")
        if self.settings.stem == "imagenet":
            self.conv_activated(layers, filters, 7, 2)
            side, pads = self.padding(3, 2)
            self.add(MaxPool(pads), (side, side, filters))
            return
        for _ in range(2 if self.settings.stem == "conv3x2" else 1):
            self.conv_activated(layers, filters, 3, 2)

    def block(self, name: str, filters: int, stride: int) -> None:
        """A residual block; a projection is its shortcut where the shape changes."""
        start, shape_in = self.at, self.shape
        layers = _Layers(f"{name}/0.Serial/0.Branch/1.Parallel/1.Serial")
        if self.settings.block == "bottleneck":
            filters_out = 4 * filters
            self.conv_activated(layers, filters, 1)
            self.conv_activated(layers, filters, 3, stride)
            self.conv(layers, filters_out, 1)
        else:
            filters_out = filters
            self.conv_activated(layers, filters, 3, stride)
            self.conv(layers, filters, 3)
        main, shape_out, shortcut = self.at, self.shape, start
        if stride > 1 or shape_in[-1] != filters_out:
            self.at, self.shape = start, shape_in
            projection = _Layers(f"{name}/0.Serial/0.Branch/1.Parallel/0.Serial")
            self.conv(projection, filters_out, 1, stride)
            shortcut = self.at
        self.steps.append(Step(Add(), (main, shortcut), shape_out))
        self.at, self.shape = len(self.steps), shape_out
        self.activation(f"{name}/1.")

    def conv_activated(self, layers: "_Layers", filters: int, size: int, stride: int = 1) -> None:
        self.conv(layers, filters, size, stride)
        self.activation(layers.next())

    def conv(self, layers: "_Layers", filters: int, size: int, stride: int = 1) -> None:
        """A convolution and its norm."""
        has_bias = self.settings.norm == "none"
        kernel_shape = (size, size, self.shape[-1], filters)
        side, pads = self.padding(size, stride)
        name = f"weights/{layers.next()}Conv"
        kernel = Stored(f"{name}/0" if has_bias else name, kernel_shape)
        bias = Stored(f"{name}/1", (filters,)) if has_bias else None
        self.add(Convolution(kernel, bias, stride, pads), (side, side, filters))
        if not has_bias:
            self.norm(layers.next(), filters)

    def norm(self, layer: str, channels: int) -> None:
        def pair(name: str) -> tuple[Stored, Stored]:
            return Stored(f"{name}/0", (channels,)), Stored(f"{name}/1", (channels,))

        if self.settings.norm == "batch":
            name = f"{layer}BatchNorm"
            self.add(BatchNorm(*pair(f"weights/{name}"), *pair(f"state/{name}")))
        elif self.settings.norm == "group":
            groups = max(g for g in range(1, _GROUPS + 1) if channels % g == 0)
            self.add(GroupNorm(*pair(f"weights/{layer}GroupNorm"), groups))
        else:
            self.add(ResponseNorm(*pair(f"weights/{layer}FilterResponseNorm")))

    def activation(self, layer: str) -> None:
        if self.settings.norm == "frn":
            self.add(Threshold(Stored(f"weights/{layer}ThresholdedLinearUnit", ())))
        else:
            self.add(Relu())

    def head(self, index: int) -> None:
        """Pooling and fully connected layers; `index` is the first one's among Trax's layers."""
        if self.settings.pool == "mean":
            self.add(GlobalMean(), self.shape[-1:])
        else:
            self.add(Flatten(), (int(np.prod(self.shape)),))
        for width in self.settings.fc_widths:
            self.dense(index, width)
            self.add(Relu())
            index += 2
        self.dense(index, self.settings.d_embedding)
        self.add(UnitLength())

    def dense(self, index: int, width: int) -> None:
        kernel = Stored(f"weights/{index}.Dense/0", (self.shape[0], width))
        self.add(Dense(kernel, Stored(f"weights/{index}.Dense/1", (width,))), (width,))

    def padding(self, kernel: int, stride: int) -> tuple[int, tuple[int, int]]:
        """Side of the result and (before, after) padding of a window on the current map."""
        side = self.shape[0]
        if self.settings.padding == "symmetric":
            return (side - 1) // stride + 1, (kernel // 2, (kernel - 1) // 2)
        out = -(-side // stride)
        total = max((out - 1) * stride + kernel - side, 0)
        return out, (total // 2, total - total // 2)


class _Layers:
    """Counts the layers of a Trax Serial: "1.Stem/0.", "1.Stem/1.", and so on."""

    def __init__(self, serial: str) -> None:
        self._serial, self._n = serial, 0

    def next(self) -> str:
        self._n += 1
        return f"{self._serial}/{self._n - 1}."
