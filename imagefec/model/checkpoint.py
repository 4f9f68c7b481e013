"""Naming and setting the arrays of a Trax layer, which are stored in a checkpoint.

The file is in checkpoint_file.py, run directories in run.py, loading a model in embedder.py.
"""

import os
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from imagefec.model.checkpoint_file import (
    array_names,
    check_arrays,
    check_finite,
    load,
    load_meta,
    save,
)

__all__ = [
    "array_names",
    "expected_weights",
    "filled_leaves",
    "filled_weights",
    "load",
    "load_meta",
    "named_leaves",
    "named_weights",
    "save",
    "set_named_weights",
]


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
    named = expected_weights(layer, weights, state)
    return {name: np.asarray(array) for name, array in named.items()}


def expected_weights(layer: Any, weights: Any, state: Any) -> dict[str, Any]:
    """Names the leaves of trees of a layer's structure, whatever they are, as `named_weights` does.

    Args:
      layer: a Trax layer, initialised or not.
      weights: a tree of the layer's structure, such as its signature of shapes and dtypes.
      state: likewise.
    """
    return dict([*_walk(layer, weights, "weights"), *_walk(layer, state, "state")])


def set_named_weights(
    layer: Any, arrays: dict[str, np.ndarray], source: str | os.PathLike[str] = "checkpoint"
) -> None:
    """Sets the weights and state of an initialised layer, after checking every array.

    Args:
      layer: an initialised Trax layer.
      arrays: as `named_weights` returns them; names outside "weights/" and "state/" are ignored.
      source: the file that they come from, for the error's text.

    Raises:
      UserError: an array is missing, has another shape or kind, is unknown to the layer, or holds
        NaN or infinity. It is named, and the layer stays unchanged.
    """
    expected = named_weights(layer)
    check_arrays(expected, arrays, source)
    check_finite({name: arrays[name] for name in expected}, source)
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
      UserError: an array is missing, unknown, or has another shape or kind; the first one is named.
    """
    expected = dict(_walk(None, like, prefix))
    check_arrays(expected, arrays, source)
    check_finite({name: arrays[name] for name in expected}, source)
    return _fill(None, like, prefix, arrays)


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
