"""Opens the labelled photos: readable, each once, with a box around a single face."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from imagefec.data.fec_csv import FaceRef
from imagefec.data.labels.source import COUNTS, LABEL, RATINGS, LabelledFace, Source
from imagefec.data.stage_progress import Progress, StageProgress
from imagefec.faces import photo_files
from imagefec.faces.detectors import Detector
from imagefec.faces.image_files import LeftOut
from imagefec.faces.orientation import exif_orientation
from imagefec.faces.photo_files import NotAPhoto
from imagefec.faces.photos import read_photo
from imagefec.maths.geometry import Box, clip, to_fractions

NO_FILE = "no such file"
UNREADABLE = "not a picture that can be read"
NOT_FETCHED = "a format that fetch does not take (JPEG, PNG, WebP, GIF and BMP)"
TURNED = "lies on its side or head (EXIF orientation): turn it, mogrify -auto-orient"
NO_FACE, SEVERAL = "no face found", "several faces found"
NO_BOX = "no box"
OUTSIDE = "box outside the photo"
PIXELS_OF_URL = "box in pixels of a photo on the web, whose size is not known"
SAME_FACE = "given more than once"
TWO_LABELS = "given with different labels"
TWO_PERSONS = "given with different persons"
OTHER_SPLIT = "same photo in another split"

WHOLE, GIVEN = "whole", "given"
_WHOLE_BOX = Box(0.0, 1.0, 0.0, 1.0)
_SPLIT_ORDER = ("test", "validation", "train", "")  # the first one keeps a photo given in several


@dataclasses.dataclass(frozen=True, slots=True)
class Face:
    """A face that may be in triplets.

    Attributes:
      name: as in LabelledFace.
      photo: equal for files with the same bytes: their SHA-256, or the URL.
      ref: URL and box, as the csv file names it.
      label: "" for counts and ratings.
      values: the numbers of counts or, of each rater, ratings; empty for labels.
      person: "" if not known.
      split: "" if not given.
    """

    name: str
    photo: str
    ref: FaceRef
    label: str
    values: tuple[tuple[float, ...], ...]
    person: str
    split: str


def usable_faces(
    source: Source, detector: Detector | None, boxes: str, progress: Progress | None = None
) -> tuple[list[Face], LeftOut]:
    """Opens every photo once and keeps the faces that may be used, sorted by photo and box.

    Args:
      source: the faces; its `left_out` is not changed.
      detector: finds the boxes; None if `boxes` says how to.
      boxes: WHOLE, GIVEN, or the detector's name.
      progress: gets every finished photo and the counts.

    Returns:
      The faces, and what was left out, with reasons.
    """
    left_out = LeftOut()
    by_place: dict[Path | str, list[LabelledFace]] = {}
    for face in source.faces:
        by_place.setdefault(face.path or face.url, []).append(face)
    shown = StageProgress(progress, len(by_place), ("usable", "left out"))
    url_of: dict[str, str] = {}  # of the first file with these bytes
    opened: list[tuple[LabelledFace, str, Box]] = []
    for place, faces in sorted(by_place.items(), key=lambda item: str(item[0])):
        before = len(opened)
        try:
            photo, size, found = _open(place, detector, boxes)
        except _LeftOut as out:
            for face in faces:
                left_out.add(out.reason, _named(face, out))
            faces = []
        for face in faces:
            url_of.setdefault(photo, _url(place))
            try:
                opened.append((face, photo, _box(face, found, size, source.box_in_pixels)))
            except _LeftOut as out:
                left_out.add(out.reason, _named(face, out))
        shown.add({"usable" if len(opened) > before else "left out": 1})
    shown.show()
    usable = _each_once(opened, url_of, source.kind, left_out)
    return sorted(usable, key=lambda face: (face.photo, face.ref.box.sides)), left_out


class _LeftOut(Exception):
    def __init__(self, reason: str, found: str = "") -> None:
        super().__init__(reason)
        self.reason, self.found = reason, found


def _named(face: LabelledFace, out: _LeftOut) -> str:
    return face.name + (f" ({out.found})" if out.found else "")


def _open(
    place: Path | str, detector: Detector | None, boxes: str
) -> tuple[str, tuple[int, int] | None, Box | None]:
    """Photo, (width, height), and the box of all its faces; None for what is not known."""
    if isinstance(place, str):
        return place, None, _WHOLE_BOX if boxes == WHOLE else None
    try:
        place.stat()
    except OSError as error:
        missing = isinstance(error, FileNotFoundError | NotADirectoryError)
        raise _LeftOut(NO_FILE if missing else UNREADABLE, error.strerror or "") from None
    try:
        data = photo_files.read_file(place)
        layout = photo_files.read_layout(data)
        if not photo_files.starts_like_photo(data[:16]):
            raise _LeftOut(NOT_FETCHED, layout.kind)
        if layout.defect:
            raise _LeftOut(layout.defect)
        if boxes != GIVEN and exif_orientation(layout.exif) > 2:  # 2 is a mirror
            raise _LeftOut(TURNED)
        found = _detect(detector, data) if detector else _WHOLE_BOX if boxes == WHOLE else None
    except NotAPhoto as error:
        raise _LeftOut(error.reason or UNREADABLE, "" if error.reason else str(error)) from None
    return hashlib.sha256(data).hexdigest(), (layout.width, layout.height), found


def _detect(detector: Detector, data: bytes) -> Box:
    photo = read_photo(data)
    found = detector.detect(photo)
    if len(found) != 1:
        raise _LeftOut(SEVERAL if found else NO_FACE)
    height, width = photo.shape[:2]
    return _rounded(clip(to_fractions(found[0].box, width, height), 1, 1))


def _box(
    face: LabelledFace, found: Box | None, size: tuple[int, int] | None, in_pixels: bool
) -> Box:
    if found is not None:
        return found
    if face.box is None:
        raise _LeftOut(NO_BOX)
    box = face.box
    if in_pixels:
        if size is None:
            raise _LeftOut(PIXELS_OF_URL)
        width, height = size
        # A box may end at the last pixel or one further, by one of two conventions.
        if (
            box.left >= width
            or box.top >= height
            or box.right > width + 1
            or box.bottom > height + 1
        ):
            raise _LeftOut(OUTSIDE, f"{width} x {height} pixels")
        box = clip(to_fractions(box, width, height), 1, 1)
    box = _rounded(box)
    if not (box.left < box.right and box.top < box.bottom):
        raise _LeftOut(OUTSIDE, "smaller than a millionth of it")
    return box


def _rounded(box: Box) -> Box:
    return Box(*(round(side, 6) + 0.0 for side in box.sides))


def _url(place: Path | str) -> str:
    return place if isinstance(place, str) else place.absolute().as_uri()


def _each_once(
    opened: Iterable[tuple[LabelledFace, str, Box]],
    url_of: dict[str, str],
    kind: str,
    left_out: LeftOut,
) -> Iterator[Face]:
    """Joins what is known of the same face, and leaves out faces with contradictions."""
    given: dict[tuple[str, Box], list[LabelledFace]] = {}
    splits: dict[str, str] = {}
    for face, photo, box in opened:
        given.setdefault((photo, box), []).append(face)
        best = min(face.split, splits.get(photo, face.split), key=_SPLIT_ORDER.index)
        splits[photo] = best
    for (photo, box), faces in given.items():
        in_split = [face for face in faces if face.split == splits[photo]]
        for face in faces:
            if face.split != splits[photo]:
                left_out.add(OTHER_SPLIT, f"{face.name} ({splits[photo]})")
        reason = _contradiction(in_split, kind)
        if reason:
            for face in in_split:
                left_out.add(reason, face.name)
        elif in_split:
            first = in_split[0]
            values = [face.values for face in in_split if face.values]
            if kind != RATINGS:
                values = values[:1]
                for face in in_split[1:]:
                    left_out.add(SAME_FACE, f"{face.name} (as {first.name})")
            person = max(face.person for face in in_split)
            ref = FaceRef(url_of[photo], box)
            split = splits[photo]
            yield Face(first.name, photo, ref, first.label, tuple(values), person, split)


def _contradiction(faces: list[LabelledFace], kind: str) -> str:
    if kind == LABEL and len({face.label for face in faces}) > 1:
        return TWO_LABELS
    if kind == COUNTS and len({face.values for face in faces}) > 1:
        return TWO_LABELS
    if len({face.person for face in faces if face.person}) > 1:
        return TWO_PERSONS
    return ""
