"""The network, and what turns a run into one again; names load when first asked for, as Trax takes long."""

import importlib
from typing import Any

_HOMES = {"ImageFEC": "imagefec.model.resnet", "Embedder": "imagefec.model.embedder"}

__all__ = ["Embedder", "ImageFEC"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
