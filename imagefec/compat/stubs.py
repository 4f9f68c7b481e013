"""Stubs of packages that Trax imports and a machine may lack, TensorFlow above all.

Trax imports TensorFlow for its input pipelines, model files and logs, which Image FEC does not use.
"""

import contextlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types
from collections.abc import Iterator
from typing import Any
from unittest import mock

_IMPORTED_BY_TRAX = ("tensorflow", "tensorflow_text", "tensorflow_datasets", "gym")
_USE_TENSORFLOW = {"tensorflow_text", "tensorflow_datasets"}  # and fail beside its stub


@contextlib.contextmanager
def stubs_of_missing_packages() -> Iterator[None]:
    """Replaces the packages that Trax imports and this machine lacks, while the block runs.

    Every name that Trax imports from them is an empty class or a mock. Afterwards the
    stubs are gone: `import tensorflow` fails as before, and TFDS, if installed, is itself again.
    """
    missing = {name for name in _IMPORTED_BY_TRAX if importlib.util.find_spec(name) is None}
    if "tensorflow" in missing:
        missing |= _USE_TENSORFLOW
    finder = _Finder(missing)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name, module in sys.modules.items() if isinstance(module, _Stub)]:
            del sys.modules[name]


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
    def __init__(self, missing: set[str]) -> None:
        self._missing = missing

    def find_spec(
        self, name: str, _path: Any = None, _target: Any = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name.split(".")[0] in self._missing:
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        module = _Stub(spec.name)
        module.__path__ = []
        return module

    def exec_module(self, module: types.ModuleType) -> None:
        pass
