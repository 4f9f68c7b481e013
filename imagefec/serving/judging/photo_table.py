"""The photos of a table, csv or parquet, with what it says of them; the files are not decoded."""

from __future__ import annotations

import hashlib
from pathlib import Path

from imagefec.data.labels import tables
from imagefec.data.labels.photos import TWO_LABELS, TWO_PERSONS
from imagefec.data.labels.source import LabelledFace, Source, with_one_spelling
from imagefec.errors import UserError
from imagefec.faces import orientation, photo_files
from imagefec.faces.image_files import LeftOut
from imagefec.faces.photo_files import NotAPhoto
from imagefec.maths import geometry
from imagefec.maths.geometry import Box
from imagefec.paths import readable
from imagefec.progress import progress
from imagefec.serving.judging.photo_file import SAME_CONTENT, UNREADABLE, PhotoFile

ON_THE_WEB = "on the web: fetch it, and give its path"
OTHER_FACE = "another face of a photo, of which the first is judged"
OUTSIDE = "box outside the photo"
_Row = tuple[str, PhotoFile]  # name of the row, and what it says of the photo


def is_table(source: Path) -> bool:
    """Whether a path is that of a table, by its name."""
    return source.suffix.lower() in tables.SUFFIXES


def find_in_table(path: Path, use_labels: bool) -> tuple[list[PhotoFile], LeftOut]:
    """Reads a table of photos, each content once.

    Args:
      path: of the table, as for `tables.read_photos`.
      use_labels: take its labels, if there are at least two and every photo has one.

    Returns:
      The photos, and the rows that are left out, by reason. A face with two labels or persons is
      left out, as `triplets` does.

    Raises:
      UserError: it is no table of photos, or gives a split to some of the photos only.
    """
    source = with_one_spelling(tables.read_photos(path))
    labels = {face.label for face in source.faces}
    is_labelled = use_labels and len(labels) > 1 and "" not in labels
    given: dict[str, dict[Box | None, list[_Row]]] = {}
    with progress("read", len(source.faces), "photos") as bar:
        for face in source.faces:
            bar.update()
            try:
                photo = _photo(face, source, face.label if is_labelled else "")
            except _LeftOut as out:
                source.left_out.add(*out.args)
                continue
            given.setdefault(photo.digest, {}).setdefault(face.box, []).append((face.name, photo))
    judged = (_judged(list(faces.values()), source.left_out) for faces in given.values())
    photos = [photo for photo in judged if photo is not None]
    _check_splits(path, photos)
    return photos, source.left_out


class _LeftOut(Exception):
    """A row is left out; its arguments are the reason and the name of the row."""


def _judged(faces: list[list[_Row]], left_out: LeftOut) -> PhotoFile | None:
    """The first face of a photo of which the rows, given by face, do not contradict each other."""
    judged = None
    for rows in faces:
        reason = _contradiction([photo for _, photo in rows])
        if not reason:
            reason = SAME_CONTENT if judged is None else OTHER_FACE
            if judged is None:
                judged = rows.pop(0)[1]
        for name, _ in rows:
            left_out.add(reason, name)
    return judged


def _contradiction(photos: list[PhotoFile]) -> str:
    if len({photo.label for photo in photos}) > 1:
        return TWO_LABELS
    return TWO_PERSONS if len({photo.person for photo in photos} - {""}) > 1 else ""


def _photo(face: LabelledFace, source: Source, label: str) -> PhotoFile:
    if face.path is None:
        raise _LeftOut(ON_THE_WEB, f"{face.name} ({face.url})")
    try:
        data = photo_files.read_file(face.path)
        box = None if face.box is None else _upright(face.box, data, source.box_in_pixels)
    except NotAPhoto as error:
        raise _LeftOut(UNREADABLE, f"{face.name}: {face.path} ({error})") from None
    if box is not None and not (box.left < box.right and box.top < box.bottom):
        raise _LeftOut(OUTSIDE, face.name)
    digest = hashlib.sha256(data).hexdigest()
    return PhotoFile(face.path, digest, readable(label), face.person, face.split, box)


def _upright(box: Box, data: bytes, in_pixels: bool) -> Box:
    """A table's box, which is of the pixels as stored, in fractions of the upright photo."""
    layout = photo_files.read_layout(data)
    if in_pixels:
        box = geometry.to_fractions(box, layout.width, layout.height)
    turned = orientation.turn_box(box, orientation.exif_orientation(layout.exif))
    return geometry.clip(turned, 1, 1)


def _check_splits(path: Path, photos: list[PhotoFile]) -> None:
    """Raises UserError if only some photos have a split."""
    without = [photo.path.name for photo in photos if not photo.split]
    if without and len(without) < len(photos):
        raise UserError(
            f"{path}: {len(without)} of {len(photos)} photos have no split, the first: "
            f"{readable(without[0])}. Give every photo one (train, validation, test), or leave the "
            "column out."
        )
