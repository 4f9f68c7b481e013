"""A file of imagefec imports only from lower floors (docs/architecture.md), never in a circle."""

import ast
import graphlib
import pathlib
import re

import pytest

import imagefec

PACKAGE = pathlib.Path(imagefec.__file__).parent
# Any floor may use these; each of them may use those before it.
BASE = (
    "errors",
    "fec",
    "cpu",
    "config_dirs",
    "paths",
    "plan",
    "environment",
    "quiet",
    "progress",
    "process",
    "workers",
    "files",
    "json_files",
    "with_tensorflow",
    "devices",
    "parameters",
    "compat",
)
FLOORS = {
    "maths": 0,
    "faces": 1,
    "data": 2,
    "model": 2,
    "export": 3,
    "training": 3,
    "analysis": 4,
    "serving": 5,
    "doctor": 5,
    "verbs": 6,
}
TOP = 6  # cli, quickstart, __main__ and other files at the package's top
NEVER = {
    ("serving", "training"),
    ("export", "training"),
}  # refused although the floor would allow it
GIN_FILES = {
    "training/configurables.py",
    "training/settings/check.py",
    "training/settings/gin_files.py",
}
TFDS_FILES = {"data/store/tfds_source.py", "data/store/tfds_records.py"}


def violations(package):
    """Every breach of the floors in the .py files of a package folder, as 'file, line: what'."""
    return [breach for path in sorted(package.rglob("*.py")) for breach in _breaches(path, package)]


def _breaches(path, package):
    name = path.relative_to(package).as_posix()
    imported = sorted(set(_imports(path, package)))
    for line, module in imported:
        for wrong in (_wrong_floor(name, module, package), _wrong_library(name, module)):
            if wrong:
                yield f"{name}, line {line}: {wrong}"


def _wrong_floor(name, module, package):
    if not module.startswith("imagefec."):
        return None
    own, other = (
        _room(part) for part in (name, module.removeprefix("imagefec.").replace(".", "/"))
    )
    if own in BASE and other in BASE:
        allowed = BASE.index(other) <= BASE.index(own)
    elif other in BASE:
        allowed = True
    elif own in BASE:
        allowed = False
    else:
        for room in (own, other):
            if room not in FLOORS and (package / room).is_dir():
                return f"{room}/ has no floor yet; give it one in tests/test_floors.py"
        floor, other_floor = (FLOORS.get(room, TOP) for room in (own, other))
        allowed = own == other or other_floor < floor or floor == other_floor == TOP
        allowed = allowed and (own, other) not in NEVER
    return None if allowed else f"imports {module}, which is not on a floor below"


def _wrong_library(name, module):
    if _is_of(module, "tfds_builders"):
        return "imports tfds_builders, which lies above imagefec"
    if _is_of(module, "gin") and name not in GIN_FILES:
        return "imports gin; allowed only in " + " and ".join(sorted(GIN_FILES))
    if _is_of(module, "trax") and not name.startswith("compat/"):
        return "imports trax; take its names from imagefec.compat, which patches it"
    if (
        _is_of(module, "tensorflow_datasets") or _is_of(module, "tensorflow.data")
    ) and name not in TFDS_FILES:
        return f"uses {module}; allowed only in " + " and ".join(sorted(TFDS_FILES))
    return None


def _is_of(module, package):
    return module == package or module.startswith(package + ".")


def _room(name):
    """The top-level folder of a file or module, or its own name if it is at the package's top."""
    return re.split(r"[/.]", name)[0]


def _imports(path, package):
    """(line, full module name) of every import of a file, at any level, by statement or by name."""
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    here = ["imagefec", *path.relative_to(package).parts[:-1]]
    aliases = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
                aliases[alias.asname or alias.name.split(".")[0]] = (
                    alias.name if alias.asname else alias.name.split(".")[0]
                )
        elif isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level + 1] if node.level else []
            base = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                yield node.lineno, _defining_module(f"{base}.{alias.name}")
        elif isinstance(node, ast.Constant) and re.fullmatch(
            r"imagefec(\.[a-z_]\w*)+", str(node.value)
        ):
            yield (
                node.lineno,
                node.value,
            )  # for importlib.import_module, or in a table of lazy names
    for node in ast.walk(tree):  # import tensorflow as tf; tf.data.Dataset
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id in aliases
        ):
            full = aliases[node.value.id]
            if full in ("tensorflow", "imagefec"):
                yield node.lineno, _defining_module(f"{full}.{node.attr}")


def _defining_module(name):
    """The module that defines a name of the package, such as `imagefec.Embedder`."""
    if name == "imagefec.Embedder":
        return "imagefec.model.embedder"
    return "imagefec" if name.startswith("imagefec.__") and name != "imagefec.__main__" else name


def planted(folder, name, text):
    """Writes a package folder with one file and a folder for every room."""
    for room in FLOORS:
        (folder / room).mkdir(exist_ok=True)
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    return folder


def test_every_file_of_imagefec_imports_only_from_floors_below():
    assert len(list(PACKAGE.rglob("*.py"))) > 20
    assert violations(PACKAGE) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("maths/losses.py", "from imagefec.faces import crop"),
        ("maths/losses.py", "from imagefec import model"),
        ("maths/losses.py", "import imagefec\n\nimagefec.model"),
        ("maths/losses.py", "import imagefec\n\nimagefec.Embedder"),
        ("faces/crop.py", "from ..data import fetch"),
        ("faces/synthetic/world.py", "from ...data.fec_csv import TYPES"),
        ("faces/crop.py", "from imagefec import Embedder"),
        ("data/store/datasets.py", "import imagefec.model.resnet as resnet"),
        ("data/deep/down.py", "def late():\n    from imagefec.model import resnet"),
        ("model/resnet.py", "from imagefec.data.store import datasets"),
        (
            "model/resnet.py",
            "import importlib\nimportlib.import_module('imagefec.data.store.datasets')",
        ),
        ("training/loop.py", "from imagefec.analysis import gallery"),
        ("analysis/gallery.py", "from imagefec.serving.app import serve"),
        ("serving/app.py", "from imagefec.training import loop"),
        ("serving/app.py", "from imagefec import cli"),
        ("errors.py", "from imagefec.maths import geometry"),
        ("errors.py", "from imagefec import compat"),
        ("data/new.py", "import tfds_builders.fec"),
        ("cli.py", "from tfds_builders import fec"),
        ("model/layers.py", "import gin"),
        ("cli.py", "from gin import config"),
        ("data/fec_examples.py", "import tensorflow_datasets as tfds"),
        ("data/fec_examples.py", "import tensorflow as tf\n\nxs = tf.data.Dataset.range(3)"),
        ("training/loop.py", "from tensorflow import data"),
        ("model/resnet.py", "from trax import layers as tl"),
        ("model/resnet.py", "from imagefec import compat\nimport trax"),
    ],
)
def test_a_planted_breach_is_caught(tmp_path, name, text):
    found = violations(planted(tmp_path, name, text))
    assert len(found) == 1 and found[0].startswith(f"{name}, line ")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "maths/losses.py",
            "import jax\nfrom imagefec.errors import UserError\n"
            "from imagefec.maths import geometry",
        ),
        (
            "data/fetch.py",
            "import imagefec\nfrom imagefec.faces import crop\n\nimagefec.__version__",
        ),
        ("data/fetch.py", "from imagefec import __version__\nfrom . import ledger"),
        (
            "data/store/tfds_source.py",
            "import tensorflow_datasets\nimport tensorflow as tf\n\ntf.data.Dataset",
        ),
        ("model/layers.py", "from imagefec.compat import tl"),
        ("compat/patches.py", "import trax"),
        (
            "training/configurables.py",
            "import gin\nfrom imagefec.data.store import datasets\n"
            "from imagefec.model import resnet",
        ),
        ("serving/app.py", "from imagefec.analysis import gallery"),
        ("cli.py", "from imagefec import quickstart\nfrom imagefec.serving import app"),
        (
            "model/layers.py",
            "import tensorflow as tf\n\ntf.io\n'''Speaks of imagefec.data in a sentence.'''",
        ),
    ],
)
def test_what_the_floors_allow_passes(tmp_path, name, text):
    assert violations(planted(tmp_path, name, text)) == []


def test_a_room_without_a_floor_is_named(tmp_path):
    breaches = violations(planted(tmp_path, "zoo/lion.py", "from imagefec.maths import losses"))
    assert len(breaches) == 1 and "zoo/ has no floor yet" in breaches[0]


def cycle(package, unit):
    """A circle of imports between the units of a package folder; [] if there is none.

    Args:
      package: folder.
      unit: file's path within the package -> name of its unit: the file itself or its room.
    """
    files = {path.relative_to(package) for path in package.rglob("*.py")}
    graph = {}
    for file in files:
        imported = graph.setdefault(unit(file), set())
        for _, module in _imports(package / file, package):
            target = _file_of(module, files)
            if target and unit(target) != unit(file):
                imported.add(unit(target))
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return error.args[1]
    return []


def _file_of(module, files):
    """The file of a module or of a name in one; None if it is not in the package."""
    parts = module.split(".")[1:] if module.startswith("imagefec.") else []
    while parts:
        for path in (pathlib.Path(*parts).with_suffix(".py"), pathlib.Path(*parts, "__init__.py")):
            if path in files:
                return path
        parts = parts[:-1]
    return None


def _room_of(file):
    """data/fetch/stage.py -> data/fetch; a file beside sub-rooms is a unit of its own."""
    folder = file.parent.as_posix()
    return folder if folder.count("/") else file.as_posix()


def test_no_files_import_each_other_in_a_circle():
    assert cycle(PACKAGE, lambda file: file.as_posix()) == []


def test_no_sub_rooms_import_each_other_in_a_circle():
    assert cycle(PACKAGE, _room_of) == []


def test_a_circle_is_found(tmp_path):
    planted(tmp_path, "data/fetch/stage.py", "def f():\n    from imagefec.data.crop import stage")
    planted(tmp_path, "data/crop/stage.py", "from imagefec.data.fetch import ledger")
    planted(tmp_path, "data/fetch/ledger.py", "")
    assert cycle(tmp_path, lambda file: file.as_posix()) == []
    assert set(cycle(tmp_path, _room_of)) == {"data/fetch", "data/crop"}
