"""A machine without TensorFlow, for other processes: Python's own finder does not find it."""

import os
from pathlib import Path

_SOURCE = """
import importlib.machinery

original = importlib.machinery.PathFinder.find_spec

def find_spec(name, path=None, target=None):
    hidden = name.split(".")[0] in ("tensorflow", "tensorflow_text")
    return None if hidden else original(name, path, target)

importlib.machinery.PathFinder.find_spec = find_spec
"""


def environment(folder: Path) -> dict[str, str]:
    """The environment of a process that finds neither TensorFlow nor its text package."""
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(_SOURCE)
    checkout = Path(__file__).parents[1]
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), str(checkout)])}
