"""Stand-ins for TensorFlow and its kin, so that Trax imports on a GPU machine that has JAX alone; for measuring, never for use.

    pip install --no-deps trax==1.4.1 gin-config funcsigs      # and jax with its CUDA plugin,
    numpy, absl-py, six, psutil

Whatever Trax takes from these packages at its import is an empty class or a function that does
nothing.
"""

import importlib.abc
import importlib.machinery
import sys
import types
from unittest import mock

ROOTS = {"tensorflow", "tensorflow_text", "tensorflow_datasets", "gym", "t5"}


def install() -> None:
    """Puts the stand-ins ahead of every other finder."""
    sys.meta_path.insert(0, _Finder())


class _StandIn(types.ModuleType):
    """A module whose CapWords are empty classes, so that isinstance() holds, and whose other names are mocks."""

    def __getattr__(self, name: str):
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
    def find_spec(self, name: str, path=None, target=None):
        if name.split(".")[0] in ROOTS:
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec):
        module = _StandIn(spec.name)
        module.__path__ = []
        return module

    def exec_module(self, module) -> None:
        pass
