"""Loads ResNet weights of torchvision and timm into the body of an ImageFEC; downloads nothing.

The network must match the file's: ImageFEC(d_hidden=64, padding="symmetric", scaling="imagenet").
The fully connected layers and the embedding keep their weights. torchvision and timm use the same
array names.
"""

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging

from imagefec.errors import UserError
from imagefec.model import checkpoint
from imagefec.model.convolution import Conv
from imagefec.model.layers import Normalise

# Matches the names of the body's arrays, as checkpoint.named_weights returns them.
BODY = re.compile(r"(weights|state)/\d+\.(Stem|Stage\d+Block\d+)/")
_REMEDY = (
    "The file contains another network than the model. The default ImageFEC is ResNet-50: bind "
    "ImageFEC.block, stage_blocks and d_hidden to those of the file, or give another file."
)


def read_state_dict(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Reads a PyTorch state dict.

    Args:
      path: `.safetensors` (requires the package safetensors), or `.pth` or `.pt` (requires PyTorch,
        and is read with weights_only, so that a foreign file runs no code). A dict that has the
        weights under "state_dict" or "model" is accepted too.

    Returns:
      name -> float32 array.

    Raises:
      UserError: the file is missing or not a state dict, or the package to read it is missing.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(
            f"{path}: no such file. Give a state dict of a ResNet: .safetensors, .pth or .pt."
        )
    readers = {".safetensors": _read_safetensors, ".pth": _read_torch, ".pt": _read_torch}
    if path.suffix not in readers:
        raise UserError(
            f"{path}: a state dict must be .safetensors, .pth or .pt; found "
            f"{path.suffix or 'no suffix'!r}."
        )
    with np.errstate(over="ignore"):  # infinity is refused when the weights are set
        return {
            name: np.asarray(array, np.float32)
            for name, array in readers[path.suffix](path).items()
            if np.issubdtype(array.dtype, np.floating)
        }


def load_body(model: Any, path: str | os.PathLike[str]) -> None:
    """Loads a state dict of a ResNet into the body of an initialised ImageFEC.

    Args:
      model: ImageFEC with batch norm and the stem "imagenet", with the blocks and widths of the
        file's network.
      path: as for `read_state_dict`.

    Raises:
      UserError: the file contains another network; the message names the first array that differs.
    """
    _warn_of_other_input(model, path)
    theirs = {
        name: array
        for name, array in read_state_dict(path).items()
        if not name.startswith(("fc.", "classifier."))
    }
    arrays = checkpoint.named_weights(model)
    for ours, name in torch_names(arrays).items():
        if name not in theirs:
            raise UserError(
                f"{path}: array {name} is missing; the file has {len(theirs)} others, such as "
                f"{', '.join(list(theirs)[:3])}. {_REMEDY}"
            )
        array = theirs.pop(name)
        # Kernels are [out, in, h, w] in PyTorch, [h, w, in, out] in Trax.
        array = array.transpose(2, 3, 1, 0) if array.ndim == 4 else array
        if array.shape != arrays[ours].shape:
            raise UserError(
                f"{path}: array {name} has shape {list(array.shape)} (height, width, in, out for a "
                f"kernel); the model's {ours} is {list(arrays[ours].shape)}. {_REMEDY}"
            )
        arrays[ours] = array
    if theirs:
        raise UserError(
            f"{path}: array {next(iter(theirs))} has no place in the model, nor have "
            f"{len(theirs) - 1} others. {_REMEDY}"
        )
    checkpoint.set_named_weights(model, arrays, source=path)


def _warn_of_other_input(model: Any, path: str | os.PathLike[str]) -> None:
    """Warns if the model sees faces otherwise than torchvision's networks see photos."""
    normalise, stem = model.sublayers[:2]
    pixels = np.arange(0, 256, 85, dtype=np.float32)[:, None, None, None] * np.ones(3, np.float32)
    wrong = []
    if not np.allclose(normalise.forward(pixels), Normalise("imagenet").forward(pixels), atol=1e-3):
        wrong.append("ImageFEC.scaling = 'imagenet'")
    if next(layer for layer in _layers(stem) if isinstance(layer, Conv)).padding != "symmetric":
        wrong.append("ImageFEC.padding = 'symmetric'")
    if wrong:
        logging.warning(
            "%s: weights of torchvision and of most timm models require %s; with other settings "
            "they see other pixels than they were trained on.",
            path,
            " and ".join(wrong),
        )


def _layers(layer: Any) -> Iterator[Any]:
    yield layer
    for sublayer in layer.sublayers:
        yield from _layers(sublayer)


def torch_names(names: Iterable[str]) -> dict[str, str]:
    """Maps our names of the body's arrays to torchvision's, such as "layer1.0.conv2.weight".

    Args:
      names: as returned by checkpoint.named_weights; those outside the body are skipped.

    Returns:
      our name -> torchvision's, for every array of the body.
    """
    theirs: dict[str, str] = {}
    convolutions: dict[tuple[str, bool], list[str]] = {}
    for name in names:
        if name.startswith("weights/") and name.endswith("Conv") and BODY.match(name):
            convolutions.setdefault(_branch(name), []).append(name)
    for (block, is_shortcut), found in convolutions.items():
        for index, conv in enumerate(found):
            kernel, norm = _torch_layer(block, is_shortcut, index)
            theirs[conv] = f"{kernel}.weight"
            batch_norm = _norm_after(conv)
            for ours, what in (
                ("weights/{}/0", "weight"),
                ("weights/{}/1", "bias"),
                ("state/{}/0", "running_mean"),
                ("state/{}/1", "running_var"),
            ):
                theirs[ours.format(batch_norm)] = f"{norm}.{what}"
    return theirs


def _branch(name: str) -> tuple[str, bool]:
    """(block of an array, whether it is in the shortcut, which Residual puts first)."""
    match = BODY.match(name)
    assert match is not None  # the caller has filtered the names
    return match[2], "/1.Parallel/0.Serial/" in name


def _torch_layer(block: str, is_shortcut: bool, index: int) -> tuple[str, str]:
    if block == "Stem":
        return "conv1", "bn1"
    stage, number = (int(digits) for digits in re.findall(r"\d+", block))
    where = f"layer{stage}.{number - 1}"
    if is_shortcut:
        return f"{where}.downsample.0", f"{where}.downsample.1"
    return f"{where}.conv{index + 1}", f"{where}.bn{index + 1}"


def _norm_after(conv: str) -> str:
    """The batch norm that follows a convolution in its Serial."""
    folder, _, layer = conv.removeprefix("weights/").rpartition("/")
    return f"{folder}/{int(layer.split('.')[0]) + 1}.BatchNorm"


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    try:
        from safetensors import SafetensorError
        from safetensors.numpy import load_file
    except ImportError:
        raise UserError(
            f"{path}: reading it requires a package that is not installed: pip install safetensors"
        ) from None
    try:
        return load_file(path)
    except (SafetensorError, ValueError, TypeError, LookupError, OSError, MemoryError) as error:
        raise UserError(
            f"{path}: not a safetensors file, or a broken one ({error}). Download it again."
        ) from None


def _read_torch(path: Path) -> dict[str, np.ndarray]:
    try:
        import torch
    except ImportError:
        raise UserError(
            f"{path}: reading it requires PyTorch: pip install torch. A .safetensors file does not."
        ) from None
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # unpickling a foreign file may raise anything
        raise UserError(
            f"{path}: PyTorch cannot read weights from it ({' '.join(str(error).split())[:200]}). "
            "Save model.state_dict()."
        ) from None
    for key in ("state_dict", "model"):
        found = found.get(key, found) if isinstance(found, dict) else found
    if not isinstance(found, dict) or not all(
        isinstance(name, str) and isinstance(array, torch.Tensor) for name, array in found.items()
    ):
        raise UserError(
            f"{path}: not a state dict (names with arrays) but {type(found).__name__}. Save "
            "model.state_dict()."
        )
    size = path.stat().st_size
    arrays = {}
    for name, array in found.items():
        # A view may repeat a few stored values to any size; another device has no values here.
        if (
            array.layout != torch.strided
            or array.device.type != "cpu"
            or array.numel() * array.element_size() > size
        ):
            raise UserError(
                f"{path}: array {name} of shape {list(array.shape)} is not stored in full. Save "
                "model.state_dict() with contiguous tensors."
            )
        if array.is_floating_point():
            arrays[name] = array.detach().float().numpy()
    return arrays
