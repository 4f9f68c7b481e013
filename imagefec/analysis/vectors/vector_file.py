"""A file of vectors with the names of their faces: read and checked; no dataset, no pictures."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imagefec.analysis.vectors import columns
from imagefec.errors import UserError
from imagefec.paths import user_path

VECTORS, BOXES, NAMES = "vectors", "boxes", ("ids", "urls", "paths")
# Squares and sums of values between these fit in float32, of values up to the last in float64.
_FLOAT32_RANGE = 1e-15, 1e15
_LARGEST = 1e100
_UNIT_TOLERANCE = 1e-3  # as of a run's embeddings


@dataclass(frozen=True)
class VectorFile:
    """Rows of vectors and names.

    Attributes:
      path: the file.
      vectors: float32 or float64 [n, d], as in the file; rows may be not finite or 0.
      ids: n ids, "" if a row has none; None if the file has none. Likewise:
      urls: of photos.
      paths: of image files.
      boxes: float [n, 4], left, right, top, bottom of the face in pixels of the upright image; None
        if the file has none.
    """

    path: Path
    vectors: np.ndarray
    ids: Sequence[str] | None
    urls: Sequence[str] | None
    paths: Sequence[str] | None
    boxes: np.ndarray | None

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def usable(self) -> np.ndarray:
        """Which vectors have finite values of at most 1e100: bool [n]."""
        largest = min(_LARGEST, float(np.finfo(self.vectors.dtype).max))
        return (np.abs(self.vectors) <= largest).all(axis=1)

    def name_of(self, row: int) -> str:
        """The first name of a row, for messages."""
        names = (column[row] for column in (self.ids, self.paths, self.urls) if column is not None)
        return next((name for name in names if name), f"row {row}")

    def check_equal(self, first: int, second: int) -> None:
        """Checks that two rows of one face have the same vector.

        Raises:
          UserError: they have not.
        """
        if not np.array_equal(self.vectors[first], self.vectors[second], equal_nan=True):
            raise UserError(
                f"{self.path}: rows {first} and {second} (counted from 0) are both of face "
                f"{self.name_of(second)}, but their vectors differ. A face has one vector: remove "
                "one of the rows, or give the faces ids of their own."
            )


def read_vector_file(path: str | os.PathLike[str]) -> VectorFile:
    """Reads a file of vectors, such as `imagefec embed` writes.

    Args:
      path: .npz, .parquet or .csv. Columns (arrays of an .npz): vectors: [n, d], any real numbers;
        and one or more of ids, urls and paths: n texts each. Optional: boxes: [n, 4]. Others are
        ignored.

    Raises:
      UserError: the file cannot be read, or a column is missing or of another form.
    """
    path = user_path(path, "the file of vectors")
    found, all_names = columns.read_columns(path, (VECTORS, BOXES, *NAMES))
    if VECTORS not in found or not any(name in found for name in NAMES):
        raise UserError(
            f"{path}: requires vectors ([n, d] numbers) and one or more of {', '.join(NAMES)} (n "
            f"texts that name the faces); found {', '.join(sorted(all_names)[:12]) or 'nothing'}. "
            "Rename them, or save the file with numpy.savez(FILE, ids=…, vectors=…)."
        )
    vectors = _checked_vectors(path, found[VECTORS])
    names = {
        name: _checked_names(path, name, found[name], len(vectors)) if name in found else None
        for name in NAMES
    }
    boxes = found.get(BOXES)
    if boxes is not None and (boxes.shape != (len(vectors), 4) or boxes.dtype.kind not in "fiu"):
        raise UserError(
            f"{path}: boxes is {boxes.dtype} {list(boxes.shape)}; it must be numbers "
            f"[{len(vectors)}, 4]: left, right, top, bottom in pixels. Leave it out or correct it."
        )
    return VectorFile(path, vectors, boxes=boxes, **names)


def unit_length(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scales vectors to length 1.

    Args:
      vectors: float [n, d].

    Returns:
      (float [n, d], bool [n]): the vectors, and which of them have a length other than 0; the
      others are returned as NaN.
    """
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        # First by the largest value, so that no square overflows or becomes 0.
        scaled = vectors / np.abs(vectors).max(axis=1, keepdims=True)
        unit = scaled / np.linalg.norm(scaled, axis=1, keepdims=True)
    has_length = np.isfinite(unit).all(axis=1)
    return np.where(has_length[:, None], unit, np.nan).astype(vectors.dtype), has_length


def are_unit_length(vectors: np.ndarray) -> bool:
    """Whether all vectors of float [n, d] have length 1."""
    return bool((np.abs(np.linalg.norm(vectors, axis=1) - 1) <= _UNIT_TOLERANCE).all())


def _checked_vectors(path: Path, vectors: np.ndarray) -> np.ndarray:
    """The vectors as float32 if their squares fit, else as float64."""
    if vectors.dtype.kind not in "fiub" or vectors.ndim != 2 or 0 in vectors.shape:
        raise UserError(
            f"{path}: vectors is {vectors.dtype} {list(vectors.shape)}; it must be real numbers "
            "[n, d], a row per face, with n and d of 1 or more. Save it in this shape."
        )
    if vectors.dtype.kind != "f" or vectors.dtype.itemsize > 4:
        return vectors.astype(np.float64)
    vectors = vectors.astype(np.float32)
    sizes = np.abs(vectors[np.isfinite(vectors) & (vectors != 0)])
    least, most = _FLOAT32_RANGE
    fits = sizes.size == 0 or least < sizes.max() < most
    return vectors if fits else vectors.astype(np.float64)


def _checked_names(path: Path, name: str, column: np.ndarray, n: int) -> list[str]:
    if column.shape != (n,) or column.dtype.kind not in "USiu":
        raise UserError(
            f"{path}: {name} is {column.dtype} {list(column.shape)}; it must be [{n}] texts, one "
            "per row of vectors. Save it in this form."
        )
    if column.dtype.kind == "S":
        return [value.decode("utf-8", "backslashreplace") for value in column.tolist()]
    if column.dtype.kind == "U":
        try:
            columns.check_texts(column)
        except ValueError as error:
            raise UserError(f"{path}: {name} is damaged: {error}. Save it again.") from None
    return [str(value) for value in column.tolist()]
