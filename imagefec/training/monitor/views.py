"""An image of the augmentation: stored faces, and below each face augmented views of it."""

import pathlib
from typing import Any

import cv2
import jax
import numpy as np

from imagefec import files

_COLUMNS, _ROWS, _GAP_PX = 8, 4, 2


def grid_of_views(augment: Any, faces: np.ndarray, seed: int = 0) -> np.ndarray:
    """A row of faces above rows of augmented views of them.

    Args:
      augment: Trax layer in train mode; if it returns several views per face, the first is shown.
      faces: uint8 [n, size, size, 3]; the first _COLUMNS are shown.
      seed: seed of the augmentation.

    Returns:
      uint8 [height, width, 3], RGB.
    """
    faces = np.asarray(faces[:_COLUMNS])
    view = jax.jit(
        lambda key: augment.pure_fn(faces, augment.weights, augment.state, key)[0][: len(faces)]
    )
    keys = jax.random.split(jax.random.PRNGKey(seed), _ROWS)
    rows = [faces, *(np.asarray(view(key)).round().astype(np.uint8) for key in keys)]
    padding = ((0, 0), (0, _GAP_PX), (0, _GAP_PX), (0, 0))
    return np.concatenate(
        [np.concatenate(list(np.pad(row, padding, constant_values=255)), axis=1) for row in rows]
    )


def write(augment: Any, faces: np.ndarray, path: pathlib.Path, summary_writer: Any = None) -> None:
    """Writes the grid as PNG and, with a summary writer of Trax, to TensorBoard.

    Args:
      augment: as for `grid_of_views`.
      faces: as for `grid_of_views`.
      path: the PNG file.
      summary_writer: None for no TensorBoard.
    """
    grid = grid_of_views(augment, faces)
    png = cv2.imencode(".png", cv2.cvtColor(grid, cv2.COLOR_RGB2BGR))[1]
    files.write_bytes(path, png.tobytes())
    if summary_writer is not None:
        summary_writer.image("augmented views", grid, step=1)
