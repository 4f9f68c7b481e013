"""Writes a map's folder: the page, TensorBoard's projector and the table of its faces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging

from imagefec import files
from imagefec.analysis.embedding_file import import_pyarrow
from imagefec.analysis.map.faces import MapFaces
from imagefec.analysis.map.page import make_page, method_name, notes_on
from imagefec.analysis.map.page_data import page_data
from imagefec.analysis.map.pictures import Thumbnails, make_thumbnails
from imagefec.analysis.map.projection import Projection
from imagefec.analysis.map.projector import write_projector
from imagefec.analysis.map.table import Boxes, write_table
from imagefec.errors import UserError
from imagefec.paths import readable

PAGE, PROJECTOR, TABLE = "map.html", "projector", "faces.parquet"


@dataclass(frozen=True)
class PlacedFaces:
    """Faces with their places.

    Attributes:
      source: the faces, and what is known of them.
      rows: n rows of `source` that are in the map.
      vectors: float [n, d].
      projection: of the n faces.
      facts: a line about the vectors.
      shown: indices of `rows` that the page shows.
    """

    source: MapFaces
    rows: list[int]
    vectors: np.ndarray
    projection: Projection
    facts: str
    shown: list[int]

    @cached_property
    def known(self) -> dict[str, list[str]]:
        """`source.known` of the n faces."""
        return {name: self._of(texts) for name, texts in self.source.known.items()}

    @cached_property
    def columns(self) -> dict[str, list[str]]:
        """The texts of the n faces by name: "id", "url", and what is known."""
        data = self.source.data
        return {"id": self._of(data.face_ids), "url": self._of(data.urls), **self.known}

    def _of(self, texts: Sequence[str]) -> list[str]:
        return [texts[row] for row in self.rows]


def write_map(out: Path, placed: PlacedFaces) -> dict[str, Any]:
    """Writes the files into a folder, each atomically, the page last.

    Args:
      out: folder, with a folder `projector` in it.
      placed: the faces.

    Returns:
      As `build.make_map`.

    Raises:
      OSError: a file cannot be written.
    """
    data, projection = placed.source.data, placed.projection
    thumbnails = make_thumbnails(data.faces, placed.rows, data.face_ids)
    for line in thumbnails.unreadable.lines():
        logging.warning("%s", line)
    write_projector(out / PROJECTOR, placed.vectors, placed.columns, thumbnails)
    table = _write_table(out / TABLE, placed, thumbnails)
    files.write_text(out / PAGE, _page(placed, thumbnails))
    return {
        "path": str(out / PAGE),
        "projector": str(out / PROJECTOR),
        "table": None if table is None else str(table),
        "n_faces": len(placed.rows),
        "n_shown": len(placed.shown),
        "method": projection.method,
        "trustworthiness": projection.trustworthiness,
        "explained_variance": projection.explained,
        "unreadable": thumbnails.unreadable.as_json(),
    }


def _write_table(path: Path, placed: PlacedFaces, thumbnails: Thumbnails) -> Path | None:
    """Writes the table; without pyarrow warns, removes that of an earlier map, returns None."""
    try:
        import_pyarrow("Writing")
    except UserError:
        path.unlink(missing_ok=True)
        logging.warning("%s is left out: it requires pyarrow; pip install pyarrow", path.name)
        return None
    boxes = placed.source.boxes()
    if boxes is not None:
        boxes = Boxes(boxes.sides[placed.rows], boxes.unit)
    points = placed.projection.points
    write_table(path, placed.columns, boxes, points, placed.vectors, thumbnails)
    return path


def _page(placed: PlacedFaces, thumbnails: Thumbnails) -> str:
    projection, n, n_shown = placed.projection, len(placed.rows), len(placed.shown)
    data = page_data(
        placed.columns["id"],
        placed.columns["url"],
        placed.known,
        projection.points,
        placed.vectors,
        thumbnails,
        placed.shown,
    )
    number = f"{n:,} face{'' if n == 1 else 's'}"
    notes = notes_on(projection)
    if n_shown < n:
        number = f"{n_shown:,} of {number}"
        notes.append(
            f"All {n:,} faces were placed; this page shows a random sample of {n_shown:,} and "
            f"finds neighbours among these. {TABLE} and the folder {PROJECTOR} have all."
        )
    unreadable = [f"{reason}: {n:,}" for reason, n in thumbnails.unreadable.counts.items()]
    facts = [placed.facts, number, f"placed by {method_name(projection.method)}", *unreadable]
    title = f"Map of faces: {readable(placed.source.data.source.resolve().name)}"
    return make_page(title, " · ".join(facts), notes, data)
