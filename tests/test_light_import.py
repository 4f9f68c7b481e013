"""Modules that must load fast import no heavy library; each is imported in a subprocess."""

import os
import pathlib
import subprocess
import sys

import pytest

import imagefec

CHECKOUT = str(pathlib.Path(imagefec.__file__).parents[1])
HEAVY = ("tensorflow", "tensorflow_datasets", "trax", "jax", "sklearn", "matplotlib")
LIGHT = (
    "imagefec",
    "imagefec.cli",
    "imagefec.__main__",
    "imagefec.faces.synthetic",
    "imagefec.data.fetch.stage",
    "imagefec.data.crop.stage",
    "imagefec.doctor",
    "imagefec.serving.app",
    "imagefec.serving.judging.server",
    "imagefec.serving.server",
    "imagefec.model",  # its names load at first use
    "imagefec.model.network",
    "imagefec.export.onnx",
    "imagefec.export.record",
    "imagefec.export.build",
)


def heavy_after(statement, *folders):
    """The heavy libraries that a fresh interpreter has loaded after one statement."""
    code = f"import sys\n{statement}\nprint(*({set(HEAVY)!r} & sys.modules.keys()))"
    path = os.pathsep.join([*map(str, folders), CHECKOUT, os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize("module", LIGHT)
def test_a_light_module_loads_no_heavy_library(module):
    assert heavy_after(f"import {module}") == []


def test_the_embedder_loads_neither_trax_nor_tensorflow():
    assert heavy_after("from imagefec import Embedder") == ["jax"]


def test_help_loads_no_heavy_library():
    quiet = (
        "import contextlib, io\n"
        "with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):\n"
    )
    assert heavy_after(f"from imagefec import cli\n{quiet}    cli.main(['train', '--help'])") == []


def test_a_heavy_library_is_noticed(tmp_path):
    (tmp_path / "trax.py").write_text("")
    assert heavy_after("import trax", tmp_path) == ["trax"]
