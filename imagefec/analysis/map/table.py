"""faces.parquet: a row for each face, as Embedding Atlas, Spotlight and pandas read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imagefec import files
from imagefec.analysis.embedding_file import import_pyarrow
from imagefec.analysis.map.pictures import Thumbnails
from imagefec.paths import readable

BOX = ("left", "top", "right", "bottom")
FRACTIONS, PIXELS = "fraction", "pixel"
_ROWS = 5000  # in a row group, so that no more are in memory at once


@dataclass(frozen=True)
class Boxes:
    """Where the faces are in their photos.

    Attributes:
      sides: float32 [n, 4]: left, right, top, bottom; NaN if unknown.
      unit: "pixel" or "fraction", of the photo's width and height.
    """

    sides: np.ndarray
    unit: str


def write_table(
    path: Path,
    columns: Mapping[str, Sequence[str]],
    boxes: Boxes | None,
    points: np.ndarray,
    vectors: np.ndarray,
    thumbnails: Thumbnails,
) -> None:
    """Writes the file atomically, in row groups.

    Columns: those of `columns`, string, null where a text is empty; left, top, right and bottom,
    float, null where unknown; box_unit; x and y, float: the place in the map; embedding: list of
    float (or double); thumbnail: {bytes: a JPEG file, path: null}, the form of Hugging Face's
    datasets.

    Args:
      path: to write.
      columns: name -> n texts.
      boxes: of the n faces; None if none is known.
      points: float32 [n, 2].
      vectors: float32 or float64 [n, d].
      thumbnails: of the n faces.

    Raises:
      UserError: pyarrow is not installed.
      OSError: the file cannot be written.
    """
    pyarrow, parquet = import_pyarrow("Writing")
    schema = _schema(pyarrow, columns, vectors)
    with files.atomic_open(path) as file, parquet.ParquetWriter(file, schema) as writer:
        for start in range(0, len(points), _ROWS):
            part = slice(start, start + _ROWS)
            cells: dict[str, Any] = {
                name: [readable(text) or None for text in texts[part]]
                for name, texts in columns.items()
            }
            cells |= _box_cells(boxes, part, len(points[part]))
            cells |= {"x": points[part, 0], "y": points[part, 1]}
            cells["embedding"] = list(vectors[part])
            cells["thumbnail"] = [{"bytes": jpeg, "path": None} for jpeg in thumbnails.jpegs[part]]
            writer.write_table(pyarrow.table(cells, schema=schema))


def _schema(pyarrow: Any, columns: Mapping[str, Sequence[str]], vectors: np.ndarray) -> Any:
    picture = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    number = pyarrow.from_numpy_dtype(vectors.dtype)
    return pyarrow.schema(
        [
            *((name, pyarrow.string()) for name in columns),
            *((side, pyarrow.float32()) for side in BOX),
            ("box_unit", pyarrow.string()),
            ("x", pyarrow.float32()),
            ("y", pyarrow.float32()),
            ("embedding", pyarrow.list_(number)),
            ("thumbnail", picture),
        ]
    )


def _box_cells(boxes: Boxes | None, part: slice, n: int) -> dict[str, list[Any]]:
    if boxes is None:
        return {name: [None] * n for name in (*BOX, "box_unit")}
    known = np.isfinite(boxes.sides[part]).all(axis=1).tolist()
    left, right, top, bottom = boxes.sides[part].T.tolist()
    sides = dict(zip(BOX, (left, top, right, bottom)))
    cells: dict[str, list[Any]] = {
        name: [value if is_known else None for value, is_known in zip(values, known)]
        for name, values in sides.items()
    }
    return cells | {"box_unit": [boxes.unit if is_known else None for is_known in known]}
