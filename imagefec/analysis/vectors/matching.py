"""Which row of a file of vectors belongs to which face of a dataset, and what has no partner."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np

from imagefec.analysis.vectors.vector_file import VectorFile, unit_length
from imagefec.errors import UserError
from imagefec.faces.image_files import LeftOut

NOT_IN_FILE = "not in the file"
SEVERAL_FACES = "named by the URL of a photo with several faces only"
NOT_FINITE = "vector not finite"
ZERO = "zero vector, which has no direction"
NO_SUCH_FACE = "no such face in this split"
REPEATED = "repeats an earlier row"


@dataclass(frozen=True)
class Matched:
    """The vectors of a dataset's faces.

    Attributes:
      vectors: float [n, d], one per face of the dataset; NaN if `known` is False.
      known: bool [n], which faces have a usable vector.
      reasons: object [n], why a face has none; "" if it has one.
      matched_by: "ids", "paths" or "urls" -> number of faces that these names matched.
      left_out: rows of the file that are used for no face, by reason.
      n_zero: faces whose vector is 0.
    """

    vectors: np.ndarray
    known: np.ndarray
    reasons: np.ndarray
    matched_by: dict[str, int]
    left_out: LeftOut
    n_zero: int

    @property
    def missing(self) -> dict[str, int]:
        """Reason -> number of faces without a usable vector."""
        return dict(Counter(self.reasons[~self.known].tolist()))


def match(
    file: VectorFile, face_ids: Sequence[str], urls: Sequence[str], what: str, normalise: bool
) -> Matched:
    """Finds the vector of each face.

    A row is a face's if its id is the face's, or else its file's name without suffix (crop names
    files so). Only in a file without ids and paths it is so if its URL is the face's, and neither
    the split nor the file has another face of that photo.

    Args:
      file: rows of vectors.
      face_ids: n ids of the dataset's faces.
      urls: the photo of each.
      what: the dataset and split, for messages.
      normalise: scale the vectors to length 1.

    Raises:
      UserError: no row is a face of the dataset, or two rows of one face have different vectors.
    """
    partners = _Partners(len(face_ids))
    if file.ids is None and file.paths is None:
        _match_urls(file, urls, partners)
    else:
        _match_ids(file, face_ids, partners)
    matched = np.flatnonzero(partners.row_of >= 0)
    if not len(matched):
        raise UserError(_no_match(file, face_ids, urls, what, partners))
    rows, reasons = partners.row_of[matched], partners.reasons
    vectors, usable = file.vectors[rows], file.usable[rows]
    n_zero = int((usable & ~vectors.any(axis=1)).sum())
    reasons[matched] = np.where(usable, "", NOT_FINITE)
    if normalise:
        vectors, has_length = unit_length(vectors)
        reasons[matched[usable & ~has_length]] = ZERO
        usable &= has_length
    placed = np.full((len(face_ids), vectors.shape[1]), np.nan, vectors.dtype)
    placed[matched[usable]] = vectors[usable]
    known = reasons == ""
    return Matched(
        placed,
        known,
        reasons,
        partners.matched_by,
        partners.left_out,
        n_zero,
    )


class _Partners:
    """Which row belongs to each face, and why others have none.

    Attributes:
      row_of: int [faces], -1 for none.
      reasons: object [faces], why a face has none.
      matched_by: as in Matched; likewise:
      left_out: see there.
    """

    def __init__(self, n_faces: int) -> None:
        self.row_of = np.full(n_faces, -1, np.int64)
        self.reasons = np.full(n_faces, NOT_IN_FILE, object)
        self.matched_by: dict[str, int] = {}
        self.left_out = LeftOut()

    def add(self, file: VectorFile, face: int, row: int, kind: str) -> None:
        """Records that a row is a face's.

        Raises:
          UserError: an earlier row is, and has another vector.
        """
        first = int(self.row_of[face])
        if first < 0:
            self.row_of[face] = row
            self.matched_by[kind] = self.matched_by.get(kind, 0) + 1
        else:
            file.check_equal(first, row)
            self.left_out.add(REPEATED, file.name_of(row))


def _match_ids(file: VectorFile, face_ids: Sequence[str], partners: _Partners) -> None:
    face_of = {face_id: face for face, face_id in enumerate(face_ids)}
    none = [""] * len(file)
    for row, (face_id, path) in enumerate(zip(file.ids or none, file.paths or none)):
        # embed writes the path as the id of a face without a manifest
        names = {"ids": face_id, "paths": PurePath(path or face_id).stem}
        kind = next((kind for kind, name in names.items() if name in face_of), None)
        if kind is None:
            partners.left_out.add(NO_SUCH_FACE, file.name_of(row))
        else:
            partners.add(file, face_of[names[kind]], row, kind)


def _match_urls(file: VectorFile, urls: Sequence[str], partners: _Partners) -> None:
    faces_of, rows_of = defaultdict(list), defaultdict(list)
    for face, url in enumerate(urls):
        faces_of[url].append(face)
    for row, url in enumerate(file.urls or ()):
        rows_of[url].append(row)
        if url not in faces_of:
            partners.left_out.add(NO_SUCH_FACE, url)
    for url in rows_of.keys() & faces_of.keys():
        faces, rows = faces_of[url], rows_of[url]
        distinct = np.unique(file.vectors[rows], axis=0, equal_nan=True)
        if len(faces) == 1 and len(distinct) == 1:
            for row in rows:
                partners.add(file, faces[0], row, "urls")
        else:
            partners.reasons[faces] = SEVERAL_FACES
            for _ in rows:
                partners.left_out.add(SEVERAL_FACES, url)


def _no_match(
    file: VectorFile,
    face_ids: Sequence[str],
    urls: Sequence[str],
    what: str,
    partners: _Partners,
) -> str:
    if SEVERAL_FACES in partners.left_out.counts:
        return (
            f"{file.path}: it names photos by their URLs, such as "
            f"{partners.left_out.names[SEVERAL_FACES][0]}, but several faces are of one photo, so "
            f"a URL names no face of {what}. Add ids: the face ids, such as {face_ids[0]}."
        )
    columns = {"ids": file.ids, "paths": file.paths, "urls": file.urls}
    its = ", ".join(
        f"{kind} such as {names[0]!r}" for kind, names in columns.items() if names is not None
    )
    return (
        f"{file.path}: none of its {len(file):,} rows is a face of {what}. The file has {its}; the "
        f"dataset has ids such as {face_ids[0]!r} and urls such as {urls[0]!r}. Give the vectors "
        "of this dataset's faces with their ids, or the dataset and split that they are of."
    )
