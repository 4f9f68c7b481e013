"""What a gallery chooses from: faces with names and vectors, wherever they come from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np


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
