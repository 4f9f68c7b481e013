"""Trax 1.4.1, patched for current JAX and re-exported. No other package of Image FEC imports trax.

from imagefec.compat import ShapeDtype, nested_map, optimizers, shapes, tl, training
"""

from imagefec.compat import patches

patches.import_trax()

from trax import (  # noqa: E402
    jaxboard,
    optimizers,
    shapes,
)
from trax import layers as tl  # noqa: E402
from trax.fastmath import nested_map  # noqa: E402
from trax.shapes import ShapeDtype, signature  # noqa: E402
from trax.supervised import training  # noqa: E402
from trax.supervised.history import History  # noqa: E402

__all__ = [
    "History",
    "ShapeDtype",
    "jaxboard",
    "nested_map",
    "optimizers",
    "shapes",
    "signature",
    "tl",
    "training",
]
