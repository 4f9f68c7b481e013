"""A folder that TensorBoard's Embedding Projector opens: vectors, names and pictures of faces."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from imagefec import files
from imagefec.analysis.map.pictures import Thumbnails
from imagefec.analysis.thumbnails import make_sprite
from imagefec.paths import readable

TENSORS, METADATA, CONFIG = "tensors.tsv", "metadata.tsv", "projector_config.pbtxt"
SPRITE = "sprite.jpg"  # TensorBoard takes any picture; a PNG is four times as large
TILE_PX = 48
MAX_TEXT = 200  # characters of a name; it is shown on one line


def write_projector(
    folder: Path,
    vectors: np.ndarray,
    columns: Mapping[str, Sequence[str]],
    thumbnails: Thumbnails,
) -> None:
    """Writes the folder; each file appears complete, the one that names the others last.

    Args:
      folder: exists.
      vectors: float [n, d].
      columns: name -> n texts, two columns or more: with one, TensorBoard would take the header for
        the first face.
      thumbnails: n faces, shown with TILE_PX pixels; with 32 above 16,384 faces and 16 above
        65,536, because a sprite is at most 8192 pixels wide.

    Raises:
      ValueError: there are fewer than two columns.
      OSError: the folder cannot be written to.

    Source: https://www.tensorflow.org/tensorboard/tensorboard_projector_plugin, and for the format
    of the files https://projector.tensorflow.org ("Load data").
    """
    if len(columns) < 2:
        raise ValueError(f"metadata require two columns or more, found {list(columns)}")
    n = len(vectors)
    sprite = make_sprite(thumbnails.pixels(range(n)), n, TILE_PX, grid=grid_of(n))
    files.write_bytes(folder / SPRITE, sprite.data)
    with files.atomic_open(folder / TENSORS, "w", encoding="utf-8", newline="\n") as file:
        file.writelines("\t".join(f"{x:.9g}" for x in row) + "\n" for row in vectors.tolist())
    with files.atomic_open(folder / METADATA, "w", encoding="utf-8", newline="\n") as file:
        file.write("\t".join(map(cell, columns)) + "\n")
        file.writelines("\t".join(map(cell, row)) + "\n" for row in zip(*columns.values()))
    files.write_text(folder / CONFIG, _config(sprite.tile_px))


def grid_of(n_faces: int) -> int:
    """Columns and rows of the sprite of n_faces faces: a power of two.

    TensorBoard 2.21 divides the number of a face by the number of ROWS to find its row, so only a
    square sprite shows the right pictures; and it divides in a shader, which is exact only for
    powers of two.
    """
    return 1 << math.ceil(math.log2(n_faces) / 2)


def cell(text: str) -> str:
    """A text as one cell of a table without quotes: no tab, line end or control character."""
    text = readable(text)
    return f"{text[:MAX_TEXT]}…" if len(text) > MAX_TEXT else text or "-"


def _config(tile_px: int) -> str:
    return f"""\
embeddings {{
  tensor_name: "faces"
  tensor_path: "{TENSORS}"
  metadata_path: "{METADATA}"
  sprite {{
    image_path: "{SPRITE}"
    single_image_dim: {tile_px}
    single_image_dim: {tile_px}
  }}
}}
"""
