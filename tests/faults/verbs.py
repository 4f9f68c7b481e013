"""Every verb as a command on the synthetic world, and what must be equal after a fault."""

import dataclasses
import hashlib
import html
import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Callable

import numpy as np

import imagefec
from imagefec.analysis.report.request import quoted

ROOT = pathlib.Path(imagefec.__file__).parents[1]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "0"}
FILES_OF_LOCKS = (".lock", "crop.lock", "fetch.lock", "triplets.lock", "split.lock")


@dataclasses.dataclass(frozen=True)
class Verb:
    """A verb of the command line.

    Attributes:
      name: of the verb.
      arguments: returns its arguments from the world and the path to write to.
      digests: returns name -> digest of what it wrote to a path and printed, without what may
        differ between two runs, such as times.
      is_long: whether it imports TensorFlow or Trax.
    """

    name: str
    arguments: Callable[["Inputs", pathlib.Path], list[str]]
    digests: Callable[[pathlib.Path, str], dict[str, str]]
    is_long: bool = True


@dataclasses.dataclass(frozen=True)
class Inputs:
    """Paths of the synthetic world and of a run trained on it."""

    csv_paths: list[pathlib.Path]
    cache: pathlib.Path
    faces: pathlib.Path
    data: pathlib.Path
    run: pathlib.Path


def run_verb(arguments, **options):
    """Runs `imagefec` in a process of its own; options as of subprocess.run."""
    environment = {**ENVIRONMENT, **options.pop("env", {})}
    return subprocess.run(
        [sys.executable, "-m", "imagefec", *arguments],
        env={name: value for name, value in environment.items() if value is not None},
        capture_output=True,
        text=True,
        errors="surrogateescape",
        timeout=300,
        **options,
    )


def _sha(data):
    return hashlib.sha256(data).hexdigest()


def _files(out, _stdout=""):
    """Digest of every file below a folder."""
    return {
        path.relative_to(out).as_posix(): _sha(path.read_bytes())
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.name not in FILES_OF_LOCKS
    }


def _photos(out, _stdout):
    return {name: sha for name, sha in _files(out).items() if name.startswith("objects/")}


def _arrays(path):
    with np.load(path, allow_pickle=False) as archive:
        return {
            name: _sha(np.ascontiguousarray(archive[name]).tobytes())
            for name in archive.files
            if name != "meta.json"
        }


def _training(out, _stdout):
    history = json.loads((out / "history.json").read_text())
    tpa = json.dumps(history["eval"]["metrics/tpa"])
    return {**_arrays(out / "model.npz"), **_arrays(out / "best.npz"), "tpa": tpa}


def _result(_out, stdout):
    return {"result": stdout.strip().splitlines()[-1]}


def _pages(out, _stdout):
    """Digest of every picture and page; a page may name the folder that it is in."""
    names = [html.escape(quoted(str(out))).encode(), os.fsencode(out)]

    def without_names(content):
        for name in names:
            content = content.replace(name, b"")
        return content

    return {
        path.relative_to(out).as_posix(): _sha(without_names(path.read_bytes()))
        for path in sorted(out.rglob("*"))
        if path.suffix in (".png", ".html")
    }


def _nothing(_out, _stdout):
    return {}


VERBS = (
    Verb(
        "draw",
        lambda world, out: [
            out,
            "--faces=450",
            "--identities=9",
            "--triplets=30",
            "--url_root=http://a.test",
        ],
        _files,
        is_long=False,
    ),
    Verb(
        "fetch",
        lambda world, out: [*world.csv_paths, f"--cache={out}"],
        _photos,
        is_long=False,
    ),
    Verb(
        "crop",
        lambda world, out: [
            *world.csv_paths,
            f"--cache={world.cache}",
            f"--faces={out}",
            "--detector=haar",
            "--workers=2",
        ],
        _files,
        is_long=False,
    ),
    Verb(
        "triplets",
        lambda world, out: [
            world.csv_paths[0].with_name("controls.csv"),
            f"--out={out}",
            "--by=path:image",
            "--by=label:word",
            "--by=split:",
        ],
        _files,
        is_long=False,
    ),
    Verb(
        "split",
        lambda world, out: [*world.csv_paths, f"--out={out}", "--share=0.3"],
        _files,
        is_long=False,
    ),
    Verb(
        "train",
        lambda world, out: [
            "--config_file=smoke.gin",
            f"--data_dir={world.data}",
            f"--output_dir={out}",
        ],
        _training,
    ),
    Verb(
        "evaluate",
        lambda world, out: [f"--run={world.run}", f"--data_dir={world.data}", "--json"],
        _result,
    ),
    Verb(
        "embed",
        lambda world, out: [f"--run={world.run}", world.faces, f"--out={out}/vectors.npz"],
        lambda out, _stdout: _arrays(out / "vectors.npz"),
    ),
    Verb(
        "gallery",
        lambda world, out: [
            f"--run={world.run}",
            f"--data_dir={world.data}",
            f"--out={out}",
            "--queries=3",
        ],
        _pages,
    ),
    Verb(
        "map",
        lambda world, out: [f"--run={world.run}", f"--data_dir={world.data}", f"--out={out}"],
        _pages,
    ),
    Verb(
        "report",
        lambda world, out: [
            "--runs",
            world.run,
            f"--data_dir={world.data}",
            f"--out={out}",
        ],
        _pages,
    ),
    Verb("doctor", lambda world, out: [], _nothing, is_long=False),
)


def command(verb, inputs, out):
    """The verb's name and arguments as text."""
    return [verb.name, *map(str, verb.arguments(inputs, out))]
