"""What a gallery chooses from: faces with names and vectors, wherever they come from."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from imagefec.analysis.overlap.shared_faces import Overlap
from imagefec.data.annotations import Annotations


@dataclass(frozen=True)
class Column:
    """What is known about faces beside their names; the HTML page filters and sorts by it.

    Attributes:
      name: plain text, such as "label".
      values: for each of the n faces its values; empty where unknown.
    """

    name: str
    values: Sequence[Collection[str]]


@dataclass(frozen=True)
class GalleryFaces:
    """Faces, their names and their vectors.

    Attributes:
      faces: n faces, uint8 [h, w, 3] RGB each; those of image files are read on access, which
        raises NotAPhoto for one that cannot be read.
      face_ids: n ids.
      urls: the photo of each face; faces with equal ones are not neighbours.
      names: for each face what may stand for it in an exclusion list or as a query: its id, and
        names of its photo.
      known: bool [n], which faces have a vector.
      boxes: float32 [n, 4], left, right, top, bottom in pixels of the photo; None if unknown.
      embed: returns float [n, d], the vectors.
      source: path of the run or file that the vectors are from.
      describe: returns a line of facts about the vectors.
      advice: what to do if there are too few faces.
      columns: what else is known about the faces.
      annotations: the persons and labels of the faces; None if they are not known.
      may_query: bool [n], which faces may be sampled as queries; None for all.
      overlap: which faces other splits show too, and are no queries; None if this is not known.
      left_out: reason -> number of faces, photos or rows that are not shown.
    """

    faces: Sequence[np.ndarray]
    face_ids: Sequence[str]
    urls: Sequence[str]
    names: Sequence[tuple[str, ...]]
    known: np.ndarray
    boxes: np.ndarray | None = field(default=None, kw_only=True)
    embed: Callable[[], np.ndarray]
    source: Path
    describe: Callable[[np.ndarray], str]
    advice: str
    columns: tuple[Column, ...] = ()
    annotations: Annotations | None = None
    may_query: np.ndarray | None = None
    overlap: Overlap | None = None
    left_out: Mapping[str, int] = field(default_factory=dict)

    def label_of(self, row: int) -> str:
        """The label of a face; "" if it is not known."""
        known = self.annotations
        return "" if known is None or known.label[row] < 0 else known.labels[known.label[row]]

    def person_of(self, row: int) -> str:
        """Who a face shows; "" if it is not known."""
        known = self.annotations
        return "" if known is None or known.person[row] < 0 else known.persons[known.person[row]]


def left_out_text(left_out: Mapping[str, int]) -> str:
    """What is not shown, for the end of the line of facts; "" if all is."""
    parts = ", ".join(f"{reason} {n:,}" for reason, n in left_out.items())
    return f" · left out: {parts}" if parts else ""
