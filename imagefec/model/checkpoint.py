"""Checkpoints: named arrays and a little JSON in one file, and the way into and out of a Trax layer.

Nothing here knows what a run directory is (embedder.py, training) or which settings made a model.
"""

import contextlib
import json
import os
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from imagefec.errors import UserError

_META = "meta.json"


def save(path: str | os.PathLike, arrays: dict[str, np.ndarray], meta: dict[str, Any]) -> None:
    """Writes arrays and meta as one .npz file, which appears whole or not at all, even through a power cut.

    Args:
      path: file to write; an older one is replaced. Its folder must exist.
      arrays: name -> array of numbers or booleans; names may hold "/".
      meta: what json can hold.

    Raises:
      ValueError: an array holds Python objects, which no one could read back without pickle.
      OSError: the disk is full, or the folder is missing or not writable.
    """
    path = Path(path)
    passing = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(passing, "wb") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
                archive.writestr(_META, json.dumps(meta))
                for name, array in arrays.items():
                    with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                        np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())
        passing.replace(path)
    except BaseException:
        passing.unlink(missing_ok=True)
        raise


def load(path: str | os.PathLike) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Reads what `save` wrote; pickled objects in a foreign file are refused, never loaded.

    Returns:
      (arrays, meta).

    Raises:
      UserError: the file is missing, unreadable, broken, or no checkpoint.
    """
    arrays = {}
    with _opened(path) as archive:
        meta = json.loads(archive.read(_META))
        for member in archive.namelist():
            if member != _META:
                with archive.open(member) as file:
                    arrays[member.removesuffix(".npy")] = np.lib.format.read_array(
                        file, allow_pickle=False
                    )
    return arrays, meta


def load_meta(path: str | os.PathLike) -> dict[str, Any]:
    """Reads the meta that `save` wrote, and none of the arrays.

    Raises:
      UserError: as `load`.
    """
    with _opened(path) as archive:
        return json.loads(archive.read(_META))


@contextlib.contextmanager
def _opened(path: str | os.PathLike) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except FileNotFoundError:
        raise UserError(
            f"{path}: there is no such checkpoint. Give the folder of a run that has trained far "
            "enough to write one."
        ) from None
    except OSError as error:
        raise UserError(
            f"{path}: the checkpoint cannot be read: {error.strerror or error}."
        ) from None
    except (
        zipfile.BadZipFile,
        zlib.error,
        ValueError,
        KeyError,
        EOFError,
        NotImplementedError,
    ) as error:
        raise UserError(
            f"{path}: no checkpoint of Image FEC, or a broken one ({error}). Copy it again from "
            "where it came, take another of the run's checkpoints, or train anew."
        ) from None


def named_weights(layer: Any, weights: Any = None, state: Any = None) -> dict[str, np.ndarray]:
    """Names every array of a layer: "weights/…" and "state/…" and the path of sublayers that leads to it.

    Weights that a layer shares with another appear once, under the first; layers without any do not
    appear.

    Args:
      layer: an initialised Trax layer.
      weights: weights of the layer's structure, such as a training step's; None for the layer's
        own.
      state: likewise.

    Returns:
      name -> array, such as "weights/1.Stem/0.Conv", in a fixed order.
    """
    weights = layer.weights if weights is None else weights
    state = layer.state if state is None else state
    named = [*_walk(layer, weights, "weights"), *_walk(layer, state, "state")]
    return {name: np.asarray(array) for name, array in named}


def set_named_weights(
    layer: Any, arrays: dict[str, np.ndarray], source: str | os.PathLike = "checkpoint"
) -> None:
    """Puts named arrays into an initialised layer, after checking name by name that they are its own.

    Args:
      layer: an initialised Trax layer.
      arrays: what named_weights gave; names outside "weights/" and "state/" are left alone.
      source: the file they came from, for the error's text.

    Raises:
      UserError: a name is missing or of another shape, or one is there that the layer knows not;
        the first is named, and the layer stays as it was.
    """
    wanted = named_weights(layer)
    _compare(wanted, arrays, source)
    for name in arrays:
        if name.startswith(("weights/", "state/")) and name not in wanted:
            raise UserError(
                f"{source}: array {name} of shape {list(arrays[name].shape)} has no place in the "
                f"model. {_REMEDY}"
            )
    weights = _fill(layer, layer.weights, "weights", arrays)
    state = _fill(layer, layer.state, "state", arrays)
    layer.weights, layer.state = weights, state


def filled_weights(layer: Any, named: dict[str, Any]) -> Any:
    """A tree of the structure of layer.weights from one value for each "weights/…" name of `named_weights`, as they are."""
    return _fill(layer, layer.weights, "weights", named, as_is=True)


def named_leaves(tree: Any, prefix: str) -> dict[str, np.ndarray]:
    """Names the arrays of nested tuples, lists and dicts by their place: "prefix/0/1/…" (optimizer slots)."""
    return {name: np.asarray(leaf) for name, leaf in _walk(None, tree, prefix)}


def filled_leaves(
    like: Any, arrays: dict[str, np.ndarray], prefix: str, source: str | os.PathLike = "checkpoint"
) -> Any:
    """A tree built as `like` from what named_leaves named.

    Raises:
      UserError: an array is missing or of another shape; the first is named.
    """
    _compare(dict(_walk(None, like, prefix)), arrays, source)
    return _fill(None, like, prefix, arrays)


_REMEDY = (
    "The checkpoint was written with other settings: use those of its own run (its run.json), or "
    "train into a new directory."
)


def _compare(
    wanted: dict[str, Any], arrays: dict[str, np.ndarray], source: str | os.PathLike
) -> None:
    for name, array in wanted.items():
        if name not in arrays or arrays[name].shape != np.shape(array):
            found = f"of shape {list(arrays[name].shape)}" if name in arrays else "missing"
            raise UserError(
                f"{source}: array {name} is {found}; the model wants shape "
                f"{list(np.shape(array))}. {_REMEDY}"
            )


def _walk(layer: Any, tree: Any, path: str) -> Iterator[tuple[str, Any]]:
    """(name, array) of all leaves. Trax's empty () and its markers of shared weights hold none."""
    if isinstance(tree, (tuple, list, dict)):
        for step, child_layer, child in _children(layer, tree):
            yield from _walk(child_layer, child, f"{path}/{step}")
    else:
        yield path, tree


def _fill(layer: Any, tree: Any, path: str, arrays: dict[str, Any], as_is: bool = False) -> Any:
    if not isinstance(tree, (tuple, list, dict)):
        if as_is:
            return arrays[path]
        # Dtypes are the model's: a checkpoint stored in half precision still makes a float32 model.
        return arrays[path].astype(np.asarray(tree).dtype)
    filled = {
        step: _fill(child_layer, child, f"{path}/{step}", arrays, as_is)
        for step, child_layer, child in _children(layer, tree)
    }
    if isinstance(tree, dict):
        return dict(zip(tree, filled.values()))
    if hasattr(tree, "_fields"):
        return type(tree)(*filled.values())
    return type(tree)(filled.values())


def _children(layer: Any, tree: Any) -> list[tuple[str, Any, Any]]:
    """(name, sublayer or None, subtree) of each part of a tree of weights."""
    if isinstance(tree, dict):
        return [(str(key), None, child) for key, child in tree.items()]
    sublayers = getattr(layer, "sublayers", ())
    if sublayers and len(sublayers) == len(tree):
        # Without the width that Trax appends ("Dense_16"): another width is a shape to report, no
        # other name.
        return [
            (f"{i}.{re.sub(r'_[0-9]+$', '', sublayer._name)}", sublayer, child)
            for i, (sublayer, child) in enumerate(zip(sublayers, tree))
        ]
    return [(str(i), None, child) for i, child in enumerate(tree)]
