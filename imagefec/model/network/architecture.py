"""The settings of ImageFEC, for code that reads a run without Trax; resnet.py builds the layer.

tests/model/network/test_architecture.py asserts that both declare the same settings.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from imagefec.parameters import Flag, Integer, Items, Number, OneOf, kinds_of, shown

BLOCKS = ("bottleneck", "basic")
STEMS = ("imagenet", "conv3", "conv3x2")
POOLS = ("mean", "flatten")
NORMS = ("batch", "group", "frn", "none")
PADDINGS = ("same", "symmetric")
SCALINGS = {  # name -> (subtracted, divided by), of values 0..255
    "unit": (127.5, 127.5),
    "imagenet": (
        np.array([123.675, 116.28, 103.53], np.float32),
        np.array([58.395, 57.12, 57.375], np.float32),
    ),
}


@dataclass(frozen=True)
class Architecture:
    """Settings of one network, with ImageFEC's defaults; `ImageFEC` explains each.

    Attributes: those of ImageFEC but its mode, which changes nothing in evaluation.

    Raises:
      ValueError: a value is not allowed.
    """

    d_hidden: Annotated[int, Integer(1, 1024)] = 64
    d_embedding: Annotated[int, Integer(1, 4096)] = 16
    fc_widths: Annotated[Sequence[int], Items(Integer(1, 65536), 0, 16)] = (512,)
    block: Annotated[str, OneOf(*BLOCKS)] = "bottleneck"
    stage_blocks: Annotated[Sequence[int], Items(Integer(1, 100), 1, 6)] = (3, 4, 6, 3)
    stem: Annotated[str, OneOf(*STEMS)] = "imagenet"
    pool: Annotated[str, OneOf(*POOLS)] = "mean"
    norm: Annotated[str, OneOf(*NORMS)] = "batch"
    norm_momentum: Annotated[float, Number(0, 1, below=True)] = 0.9
    zero_init_residual: Annotated[bool, Flag()] = False
    padding: Annotated[str, OneOf(*PADDINGS)] = "same"
    scaling: Annotated[str, OneOf(*SCALINGS)] = "unit"
    dropout: Annotated[float, Number(0, 1, below=True)] = 0.0

    def __post_init__(self) -> None:
        """Refuses values that ImageFEC refuses."""
        for name, kind in kinds_of(Architecture).items():
            value = getattr(self, name)
            if not kind.accepts(value):
                raise ValueError(f"{name} must be {kind.allowed}; found {shown(value)}")
        if self.zero_init_residual and self.norm != "batch":
            raise ValueError(f"zero_init_residual needs norm 'batch'; found {self.norm!r}")
