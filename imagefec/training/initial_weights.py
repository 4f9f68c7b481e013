"""Initial weights from another run, or from a ResNet trained elsewhere, instead of random ones."""

import os
import pathlib
from typing import Any

from imagefec.errors import UserError
from imagefec.model import checkpoint, pretrained
from imagefec.model.run import INFO, Run
from imagefec.paths import user_path
from imagefec.training.config import INIT_PARTS

_STATE_DICTS = (".safetensors", ".pth", ".pt")


def find_pretrained_weights(source: str | os.PathLike[str]) -> pathlib.Path:
    """The file with the weights; reads none, so that training can ask before it loads any data.

    Args:
      source: as for load_pretrained_weights; `~` and `$NAME` are replaced.

    Raises:
      UserError: there is no such checkpoint.
    """
    path = user_path(source, "training.init_checkpoint")
    if path.is_dir():
        return Run(path, {}).checkpoint  # run.json may be missing
    if not path.is_file():
        raise UserError(
            f"training.init_checkpoint is {os.fspath(source)!r}, but there is no such checkpoint. "
            "Give a run directory, a checkpoint (.npz) or a state dict (.safetensors, .pth)."
        )
    return path


def load_pretrained_weights(
    model: Any, source: str | os.PathLike[str], part: str = "whole"
) -> None:
    """Sets an initialised ImageFEC to another network's weights and running statistics, by name.

    Args:
      model: ImageFEC.
      source: a run directory (its best.npz, else model.npz), a checkpoint, or a state dict that
        `pretrained.load_body` reads, which contains a body only.
      part: "whole", or "body": only stem and blocks. The model's dense layers then keep their
        weights, and the checkpoint's may have any number and shape.

    Raises:
      UserError: there is no such checkpoint, its run.json is broken or of another format or channel
        order, the part is unknown, or a name or shape differs; the message names the first.
    """
    if part not in INIT_PARTS:
        raise UserError(
            f"training.init_part must be one of {', '.join(INIT_PARTS)}; found {part!r}."
        )
    path = find_pretrained_weights(source)
    if path.suffix in _STATE_DICTS:
        pretrained.load_body(model, path)
        return
    if (path.parent / INFO).is_file():
        Run.open(path.parent)
    arrays, _ = checkpoint.load(path)
    if part == "body":
        own = checkpoint.named_weights(model)
        arrays = {
            **{name: array for name, array in own.items() if not pretrained.BODY.match(name)},
            **{name: array for name, array in arrays.items() if pretrained.BODY.match(name)},
        }
    checkpoint.set_named_weights(model, arrays, source=path)
