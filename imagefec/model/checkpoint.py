"""Checkpoints: named arrays and JSON in one file; naming and setting the arrays of a Trax layer.

Run directories are in run.py; loading a model from its settings is in embedder.py.
"""

import contextlib
import json
import os
import re
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from imagefec import files
from imagefec.errors import UserError

_META = "meta.json"
_REMEDY = (
    "The checkpoint was written with other settings: use those of its own run (its run.json), or "
    "train into a new directory."
)


def save(path: str | os.PathLike[str], arrays: dict[str, np.ndarray], meta: dict[str, Any]) -> None:
    """Writes arrays and meta as one .npz file, atomically even if the power fails.

    Args:
      path: file to write; an older one is replaced. Its folder must exist.
      arrays: name -> array of numbers or booleans; names may contain "/".
      meta: values that JSON can represent.

    Raises:
      ValueError: an array contains Python objects, which only pickle could read back.
      OSError: the disk is full, or the folder is missing or not writable.
    """
    with (
        files.atomic_open(path) as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True) as archive,
    ):
        archive.writestr(_META, json.dumps(meta))
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)


def load(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Reads what `save` wrote; a file with pickled objects is refused without loading them.

    Returns:
      (arrays, meta).

    Raises:
      UserError: the file is missing, unreadable, broken, or not a checkpoint.
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


def load_meta(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads the meta that `save` wrote, without the arrays.

    Raises:
      UserError: as for `load`.
    """
    with _opened(path) as archive:
        return json.loads(archive.read(_META))


def named_weights(layer: Any, weights: Any = None, state: Any = None) -> dict[str, np.ndarray]:
    """Names every array of a layer: "weights/…" or "state/…" with the path through the sublayers.

    Weights that two layers share appear once, under the first. Layers without arrays do not appear.

    Args:
      layer: an initialised Trax layer.
      weights: a tree of the layer's structure, such as a training step's; None for the layer's own.
      state: likewise.

    Returns:
      name -> array, such as "weights/1.Stem/0.Conv", in a fixed order.
    """
    weights = layer.weights if weights is None else weights
    state = layer.state if state is None else state
    named = [*_walk(layer, weights, "weights"), *_walk(layer, state, "state")]
    return {name: np.asarray(array) for name, array in named}


def set_named_weights(
    layer: Any, arrays: dict[str, np.ndarray], source: str | os.PathLike[str] = "checkpoint"
) -> None:
    """Sets the weights and state of an initialised layer, after checking every name and shape.

    Args:
      layer: an initialised Trax layer.
      arrays: as `named_weights` returns them; names outside "weights/" and "state/" are ignored.
      source: the file that they come from, for the error's text.

    Raises:
      UserError: an array is missing, has another shape, or is unknown to the layer. The first one
        is named, and the layer stays unchanged.
    """
    expected = named_weights(layer)
    _compare(expected, arrays, source)
    for name in arrays:
        if name.startswith(("weights/", "state/")) and name not in expected:
            raise UserError(
                f"{source}: array {name} of shape {list(arrays[name].shape)} has no place in the "
                f"model. {_REMEDY}"
            )
    weights = _fill(layer, layer.weights, "weights", arrays)
    state = _fill(layer, layer.state, "state", arrays)
    layer.weights, layer.state = weights, state


def filled_weights(layer: Any, named: dict[str, Any]) -> Any:
    """A tree with the structure of layer.weights and the values of `named` as its leaves.

    Args:
      layer: an initialised Trax layer.
      named: a value of any kind for each "weights/…" name of `named_weights`.
    """
    return _fill(layer, layer.weights, "weights", named, as_is=True)


def named_leaves(tree: Any, prefix: str) -> dict[str, np.ndarray]:
    """Names the arrays of nested tuples, lists and dicts (optimizer slots): "prefix/0/1/…"."""
    return {name: np.asarray(leaf) for name, leaf in _walk(None, tree, prefix)}


def filled_leaves(
    like: Any,
    arrays: dict[str, np.ndarray],
    prefix: str,
    source: str | os.PathLike[str] = "checkpoint",
) -> Any:
    """A tree with the structure of `like` and the named arrays as its leaves.

    Args:
      like: nested tuples, lists and dicts of arrays.
      arrays: as `named_leaves` returns them.
      prefix: as for `named_leaves`.
      source: the file that they come from, for the error's text.

    Raises:
      UserError: an array is missing or has another shape; the first one is named.
    """
    _compare(dict(_walk(None, like, prefix)), arrays, source)
    return _fill(None, like, prefix, arrays)


@contextlib.contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except FileNotFoundError:
        raise UserError(
            f"{path}: there is no such checkpoint. Give the folder of a run that has trained long "
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
            f"{path}: not a checkpoint of Image FEC, or a broken one ({error}). Copy it again from "
            "its source, use another of the run's checkpoints, or train again."
        ) from None


def _compare(
    expected: dict[str, Any], arrays: dict[str, np.ndarray], source: str | os.PathLike[str]
) -> None:
    for name, array in expected.items():
        if name not in arrays or arrays[name].shape != np.shape(array):
            found = f"of shape {list(arrays[name].shape)}" if name in arrays else "missing"
            raise UserError(
                f"{source}: array {name} is {found}; the model requires shape "
                f"{list(np.shape(array))}. {_REMEDY}"
            )


def _walk(layer: Any, tree: Any, path: str) -> Iterator[tuple[str, Any]]:
    """(name, array) of each leaf; Trax's () and its markers of shared weights contain none."""
    if isinstance(tree, (tuple, list, dict)):
        for step, child_layer, child in _children(layer, tree):
            yield from _walk(child_layer, child, f"{path}/{step}")
    else:
        yield path, tree


def _fill(layer: Any, tree: Any, path: str, arrays: dict[str, Any], as_is: bool = False) -> Any:
    if not isinstance(tree, (tuple, list, dict)):
        if as_is:
            return arrays[path]
        # The model's dtype: a checkpoint stored in half precision still gives a float32 model.
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
    """(name, sublayer or None, subtree) of each child of a tree of weights."""
    if isinstance(tree, dict):
        return [(str(key), None, child) for key, child in tree.items()]
    sublayers = getattr(layer, "sublayers", ())
    if sublayers and len(sublayers) == len(tree):
        # Without the width that Trax appends ("Dense_16"), another width is reported as another
        # shape, not as a missing name.
        return [
            (f"{i}.{re.sub(r'_[0-9]+$', '', sublayer._name)}", sublayer, child)
            for i, (sublayer, child) in enumerate(zip(sublayers, tree))
        ]
    return [(str(i), None, child) for i, child in enumerate(tree)]
