"""What an Embedder takes as faces: arrays, paths, bytes, PIL images, and iterables of them."""

import os
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from imagefec.errors import UserError


def each_face(faces: Any) -> Iterator[np.ndarray]:
    """Yields the faces, each uint8 [h, w, 3].

    Raises:
      ValueError: an array has another shape or dtype.
      UserError: an image cannot be read.
    """
    return (as_array(face) for face in each_source(faces, "faces"))


def each_source(images: Any, name: str) -> Iterable[Any]:
    """The images one by one, not read yet: a single path or image is one.

    Args:
      images: an array [n, h, w, 3] or [n] of paths, one path or image, or an iterable of them.
      name: of the argument, for the message.

    Raises:
      ValueError: an array has another number of axes.
    """
    if isinstance(images, np.ndarray):
        if images.ndim == 1 and images.dtype.kind in "OU":
            return images.tolist()
        if images.ndim != 4:
            raise ValueError(
                f"{name} must be uint8 [n, h, w, 3], found {images.dtype} {list(images.shape)}"
            )
    elif isinstance(images, (str, bytes, os.PathLike)) or not isinstance(images, Iterable):
        return [images]
    return images


def as_array(image: Any) -> np.ndarray:
    """An array, a path, a file's bytes or a PIL image as upright uint8 [h, w, 3] RGB.

    Raises:
      ValueError: an array has another shape or dtype.
      UserError: the image cannot be read.
    """
    from imagefec.faces.photos import NotAPhoto, read_photo

    try:
        return read_photo(image, upright=True)
    except NotAPhoto as error:
        name = image if isinstance(image, (str, os.PathLike)) else f"a {type(image).__name__}"
        raise UserError(f"{name}: {error}. Give JPEG, PNG or other image files.") from None
