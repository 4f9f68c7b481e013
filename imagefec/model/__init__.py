"""The network, run directories, checkpoints and the Embedder; they load lazily, as Trax is slow."""

import importlib
from typing import Any

_HOMES = {
    "ImageFEC": "imagefec.model.resnet",
    "Embedder": "imagefec.model.embedder",
    "FaceEmbedding": "imagefec.model.transformer",
}

__all__ = ["Embedder", "FaceEmbedding", "ImageFEC"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
