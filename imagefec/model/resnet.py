"""ImageFEC, the network that embeds a face: ResNet body, fully connected layers, unit length."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated

from imagefec.compat import tl
from imagefec.model.convolution import Conv, MaxPool, fan_in_normal
from imagefec.model.layers import GlobalMean, L2Norm, Normalise, Relu, WithDropout
from imagefec.model.network.architecture import BLOCKS, NORMS, PADDINGS, POOLS, SCALINGS, STEMS
from imagefec.model.norms import norm_and_activation
from imagefec.parameters import Flag, Integer, Items, Number, OneOf, checked

MOST_WEIGHTS = 2 * 10**9  # of the blocks; those of ResNet-50 have 23 million
MODES = ("train", "eval", "predict")


@checked
def ImageFEC(
    d_hidden: Annotated[int, Integer(1, 1024)] = 64,
    d_embedding: Annotated[int, Integer(1, 4096)] = 16,
    fc_widths: Annotated[Sequence[int], Items(Integer(1, 65536), 0, 16)] = (512,),
    block: Annotated[str, OneOf(*BLOCKS)] = "bottleneck",
    stage_blocks: Annotated[Sequence[int], Items(Integer(1, 100), 1, 6)] = (3, 4, 6, 3),
    stem: Annotated[str, OneOf(*STEMS)] = "imagenet",
    pool: Annotated[str, OneOf(*POOLS)] = "mean",
    norm: Annotated[str, OneOf(*NORMS)] = "batch",
    norm_momentum: Annotated[float, Number(0, 1, below=True)] = 0.9,
    zero_init_residual: Annotated[bool, Flag()] = False,
    padding: Annotated[str, OneOf(*PADDINGS)] = "same",
    scaling: Annotated[str, OneOf(*SCALINGS)] = "unit",
    dropout: Annotated[float, Number(0, 1, below=True)] = 0.0,
    mode: Annotated[str, OneOf(*MODES)] = "train",
) -> tl.Serial:
    """Trax layer: faces, uint8 or float32 [n, h, w, 3] of 0..255 -> embeddings, float32 [n, d].

    The defaults are ResNet-50 "v1.5" (the stride of a stage is in its 3x3 convolution, as in
    torchvision), one fully connected layer of 512, and the embedding. Stage k, from 0, has
    d_hidden * 2^k filters.

    Args:
      d_hidden: filters of the stem and the first stage.
      d_embedding: dimension of the embedding, d.
      fc_widths: widths of the fully connected ReLU layers between body and embedding; () for none.
      block: "bottleneck" (1x1, 3x3, 1x1 of four times the filters) or "basic" (3x3, 3x3).
      stage_blocks: number of blocks in each stage; every stage but the first halves the map.
      stem: "imagenet" (7x7 stride 2, then 3x3 max pool stride 2), "conv3" (3x3 stride 2) or
        "conv3x2" (two 3x3, stride 2 each).
      pool: "mean" over the map, for any input size; "flatten" keeps positions, for one input size.
      norm: "batch", "group", "frn" (with thresholded linear units as activations) or "none".
      norm_momentum: weight of the old running statistics in batch norm's update.
      zero_init_residual: initialise the scale of each block's last batch norm to 0, so that the
        block starts as its shortcut.
      padding: "same" (TensorFlow's, XLA's) or "symmetric" (PyTorch's, for its weights; see
        pretrained.py).
      scaling: scaling of the input: "unit" (-1..1) or "imagenet" (for torchvision's weights).
      dropout: share of the values before each fully connected layer and before the embedding that a
        training step sets to 0.
      mode: "train" or "eval"; it affects only batch norm and dropout.

    Returns:
      A Trax Serial layer; its output has unit length along d.

    Raises:
      ValueError: an argument has a value that is not allowed.

    Source: He et al. 2015, arXiv:1512.03385; stride in the 3x3 convolution and zero-initialised
      residual branches: Goyal et al. 2017, arXiv:1706.02677, section 5.1.
    """
    _check_size(d_hidden, block, stage_blocks)
    make_norm, make_activation = norm_and_activation(norm, norm_momentum, mode)
    if zero_init_residual and norm != "batch":
        raise ValueError(f"zero_init_residual needs norm 'batch'; found {norm!r}")
    make_last_norm = partial(make_norm, scale=0.0) if zero_init_residual else make_norm
    parts = _Parts(make_norm, make_last_norm, make_activation, padding, use_bias=norm == "none")
    make_block = _bottleneck if block == "bottleneck" else _basic
    layers = [Normalise(scaling), tl.Serial(_stem(parts, stem, d_hidden), name="Stem")]
    channels = d_hidden
    for stage, n_blocks in enumerate(stage_blocks):
        filters = d_hidden * 2**stage
        for index in range(n_blocks):
            stride = 2 if stage > 0 and index == 0 else 1
            residual, channels = make_block(parts, channels, filters, stride)
            layers += [
                tl.Serial(residual, make_activation(), name=f"Stage{stage + 1}Block{index + 1}")
            ]
    drop = partial(WithDropout, rate=dropout) if dropout and mode == "train" else _unchanged
    layers += [drop(GlobalMean() if pool == "mean" else tl.Flatten())]
    for width in fc_widths:
        layers += [tl.Dense(width, kernel_initializer=fan_in_normal(2.0)), drop(Relu())]
    layers += [tl.Dense(d_embedding, kernel_initializer=fan_in_normal(1.0)), L2Norm()]
    return tl.Serial(*layers, name="ImageFEC")


def _unchanged(layer: tl.Layer) -> tl.Layer:
    return layer


class _Parts:
    """The layers that all blocks repeat: a convolution with its norm, or also its activation."""

    def __init__(
        self,
        make_norm: Callable[..., list],
        make_last_norm: Callable[..., list],
        make_activation: Callable[[], list],
        padding: str,
        use_bias: bool,
    ) -> None:
        self.make_norm, self.make_last_norm = make_norm, make_last_norm
        self.make_activation = make_activation
        self.padding, self.use_bias = padding, use_bias

    def conv(self, filters: int, size: int, stride: int = 1, gain: float = 2.0) -> list:
        return [Conv(filters, size, stride, gain, self.use_bias, self.padding), self.make_norm()]

    def conv_activated(self, filters: int, size: int, stride: int = 1) -> list:
        return [*self.conv(filters, size, stride), self.make_activation()]

    def conv_last(self, filters: int, size: int) -> list:
        """The last convolution of a block, whose output is added to the shortcut."""
        return [
            Conv(filters, size, use_bias=self.use_bias, padding=self.padding),
            self.make_last_norm(),
        ]


def _stem(parts: _Parts, stem: str, filters: int) -> list:
    if stem == "imagenet":
        return [parts.conv_activated(filters, 7, 2), MaxPool(parts.padding)]
    if stem == "conv3":
        return parts.conv_activated(filters, 3, 2)
    return [parts.conv_activated(filters, 3, 2), parts.conv_activated(filters, 3, 2)]


def _basic(parts: _Parts, channels_in: int, filters: int, stride: int) -> tuple[tl.Layer, int]:
    main = [parts.conv_activated(filters, 3, stride), parts.conv_last(filters, 3)]
    return _residual(parts, main, channels_in, filters, stride), filters


def _bottleneck(parts: _Parts, channels_in: int, filters: int, stride: int) -> tuple[tl.Layer, int]:
    main = [
        parts.conv_activated(filters, 1),
        parts.conv_activated(filters, 3, stride),
        parts.conv_last(4 * filters, 1),
    ]
    return _residual(parts, main, channels_in, 4 * filters, stride), 4 * filters


def _residual(
    parts: _Parts, main: list, channels_in: int, channels_out: int, stride: int
) -> tl.Layer:
    if stride == 1 and channels_in == channels_out:
        return tl.Residual(main)
    # No ReLU follows the projection, so its gain is 1.
    return tl.Residual(main, shortcut=tl.Serial(parts.conv(channels_out, 1, stride, gain=1.0)))


def _check_size(d_hidden: int, block: str, stage_blocks: Sequence[int]) -> None:
    """Refuses sizes that no device has memory for, each of which is allowed by itself."""
    per_filter = 17 if block == "bottleneck" else 18  # weights of a block by its filters squared
    n_weights = sum(
        per_filter * n_blocks * (d_hidden * 2**stage) ** 2
        for stage, n_blocks in enumerate(stage_blocks)
    )
    if n_weights > MOST_WEIGHTS:
        raise ValueError(
            f"d_hidden {d_hidden} with stage_blocks {stage_blocks} gives the blocks {n_weights:,} "
            f"weights; at most {MOST_WEIGHTS:,} are allowed. Reduce either"
        )
