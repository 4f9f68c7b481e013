"""The faces of many photos as a table of columns, which pandas takes as it is."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from imagefec.errors import UserError
from imagefec.model.embedding.face_input import as_array, each_source

if TYPE_CHECKING:
    import pandas

    from imagefec.faces.detectors import Detection

COLUMNS = ("path", "face", "left", "top", "right", "bottom", "score", "embedding")


@dataclass(frozen=True, repr=False)
class PhotoFaces:
    """A row per face, in the order of the photos, the highest score of a photo first.

    Attributes:
      path: n texts, the photo's path; "photo 0", "photo 1", … (its place) if it is no path.
      face: int64 [n], number of the face in its photo, from 0.
      box: float64 [n, 4], left, top, right, bottom in pixels of the upright photo, as detected.
      score: float64 [n], of the detector.
      embedding: float32 [n, d], unit length.
      n_photos: how many photos there were.
      left_out: photo -> why it has no row.
    """

    path: list[str]
    face: np.ndarray
    box: np.ndarray
    score: np.ndarray
    embedding: np.ndarray
    n_photos: int
    left_out: dict[str, str]

    def __len__(self) -> int:
        return len(self.path)

    def __repr__(self) -> str:
        return (
            f"<PhotoFaces: {len(self):,} faces of {self.n_photos:,} photos, {len(self.left_out):,} "
            f"photos left out; columns {', '.join(COLUMNS)}>"
        )

    def columns(self) -> dict[str, Any]:
        """The columns by name, in the order of COLUMNS, for `pandas.DataFrame` and others.

        Returns:
          path: n texts; face: int64 [n]; left, top, right, bottom, score: float64 [n];
          embedding: n arrays float32 [d].
        """
        sides = dict(zip(("left", "top", "right", "bottom"), self.box.T))
        return {
            "path": self.path,
            "face": self.face,
            **sides,
            "score": self.score,
            "embedding": list(self.embedding),
        }

    def to_pandas(self) -> pandas.DataFrame:
        """The columns as a table of pandas.

        Raises:
          UserError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise UserError(
                "to_pandas requires pandas, which is not installed: pip install pandas. Or use "
                "columns(), which requires nothing else."
            ) from None
        return pandas.DataFrame(self.columns())


class FoundFaces:
    """Collects the rows of a table while its faces are embedded.

    Args:
      on_unreadable: "raise" UserError for a photo that cannot be read, or "skip" it.

    Raises:
      ValueError: on_unreadable is neither.
    """

    def __init__(self, on_unreadable: str) -> None:
        if on_unreadable not in ("raise", "skip"):
            raise ValueError(f"on_unreadable must be 'raise' or 'skip', found {on_unreadable!r}")
        self._skip = on_unreadable == "skip"
        self._rows: list[tuple[str, int, Detection]] = []
        self._n_photos = 0
        self._left_out: dict[str, str] = {}

    def faces(
        self,
        photos: Any,
        crops: Callable[[np.ndarray], list[tuple[Detection, np.ndarray]]],
    ) -> Iterator[np.ndarray]:
        """Yields the faces of the photos, and keeps their rows.

        Args:
          photos: as for `Embedder.embed_photos`.
          crops: the detections of a photo with their faces, highest score first.
        """
        for source in each_source(photos, "photos"):
            is_path = isinstance(source, str | os.PathLike)
            name = os.fsdecode(source) if is_path else f"photo {self._n_photos}"
            self._n_photos += 1
            try:
                found = crops(as_array(source))
            except UserError as error:
                if not self._skip:
                    raise
                self._left_out[name] = str(error)
                continue
            if not found:
                self._left_out[name] = "no face was found"
            for number, (detection, face) in enumerate(found):
                self._rows.append((name, number, detection))
                yield face

    def table(self, vectors: np.ndarray) -> PhotoFaces:
        """The table, once all faces are embedded.

        Args:
          vectors: float32 [n, d], of the faces.
        """
        boxes = [detection.box for _, _, detection in self._rows]
        sides = [(box.left, box.top, box.right, box.bottom) for box in boxes]
        return PhotoFaces(
            [name for name, _, _ in self._rows],
            np.array([number for _, number, _ in self._rows], np.int64),
            np.array(sides, np.float64).reshape(-1, 4),
            np.array([detection.score for _, _, detection in self._rows], np.float64),
            vectors,
            self._n_photos,
            self._left_out,
        )
