"""Image FEC: embeds faces so that distance means difference in facial expression.

Importing this package loads no large library; the first use of `Embedder` loads JAX. What trains
loads Trax and TensorFlow.
"""

import importlib.metadata
from typing import Any

__all__ = ["Embedder", "__version__"]

try:
    __version__ = importlib.metadata.version("imagefec")
except importlib.metadata.PackageNotFoundError:  # a checkout that is not installed
    __version__ = "0+checkout"


def __getattr__(name: str) -> Any:
    if name == "Embedder":
        from imagefec.model.embedder import Embedder

        return Embedder
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
