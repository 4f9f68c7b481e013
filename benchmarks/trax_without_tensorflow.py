"""Stubs of TensorFlow and related packages, so that Trax imports without them; for benchmarks only.

    pip install --no-deps trax==1.4.1 gin-config funcsigs
    pip install numpy absl-py six psutil      # and jax with its CUDA plugin

Every name that Trax imports from these packages is an empty class or a mock.
"""

import importlib.abc
import importlib.machinery
import sys
import types
from typing import Any
from unittest import mock

ROOTS = {"tensorflow", "tensorflow_text", "tensorflow_datasets", "gym", "t5"}


def install() -> None:
    """Puts the stubs before every other finder."""
    sys.meta_path.insert(0, _Finder())


class _Stub(types.ModuleType):
    """A module of mocks; CapWords are empty classes instead, so that isinstance() works."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        value = (
            type(name, (), {})
            if name[:1].isupper()
            else mock.MagicMock(name=f"{self.__name__}.{name}")
        )
        setattr(self, name, value)
        return value


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(
        self, name: str, _path: Any = None, _target: Any = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name.split(".")[0] in ROOTS:
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        module = _Stub(spec.name)
        module.__path__ = []
        return module

    def exec_module(self, module: types.ModuleType) -> None:
        pass
