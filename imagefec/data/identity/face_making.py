"""One picture of a person to one face, and one person's pictures to theirs; nothing is written here.

Finding the pictures is `vggface2_folders`, keeping the faces `vggface2_scratch`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import os
from collections.abc import Iterator, Sequence
from typing import Any

import cv2

import imagefec
from imagefec.data.crop.worker import NOT_A_PHOTO
from imagefec.data.identity.folders import Person, Photo, face_id
from imagefec.errors import UserError
from imagefec.faces import crop
from imagefec.faces.detectors import Detector, make_detector
from imagefec.faces.photos import NotAPhoto, encode_png, read_photo
from imagefec.maths import geometry
from imagefec.maths.geometry import Box

FORMAT = 1  # goes up when the same photo and settings would give another face
# A share of the photo's shorter side. Photos here are of one person: what is smaller is a bystander
# or no face.
SMALLEST_FACE = 0.25

SAME_PHOTO = "same file as another photo of the person"
NO_BOX = "no box in loose_bb"


@dataclasses.dataclass(frozen=True, slots=True)
class Face:
    """One face of the dataset. `png` is its 128 px PNG file; `box` (left, right, top, bottom) as found, in fractions."""

    face_id: str
    url: str
    identity: str
    label: int
    box: tuple[float, float, float, float]
    png: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class Cut:
    """What became of one photo: a PNG file, or the `reason` why there is none."""

    png: bytes | None
    reason: str
    box: tuple[float, float, float, float] | None = None
    score: float | None = None
    upscaled: bool = False


@dataclasses.dataclass(frozen=True)
class Settings:
    """How faces are found: `detector` and `min_score` of `make_detector`, resolved; `boxes` "detector" or "loose_bb"."""

    detector: str
    detector_version: str
    min_score: float
    boxes: str = "detector"

    @classmethod
    def of(
        cls, detector: str = "auto", min_score: float | None = None, boxes: str = "detector"
    ) -> Settings:
        """Resolves "auto" and the default score.

        Raises:
          UserError: the detector is not available here, or its score or `boxes` is not one that is
            allowed.
        """
        if boxes not in ("detector", "loose_bb"):
            raise UserError(
                f"boxes is {boxes!r}; allowed are 'detector' and 'loose_bb' (VGGFace2's loose_bb_*.csv files)."
            )
        found = make_detector(detector, min_score)
        return cls(found.name, found.version, found.min_score, boxes)

    def make_detector(self) -> Detector:
        return make_detector(self.detector, self.min_score)

    def as_json(self) -> dict[str, Any]:
        """For the metadata: the settings, and the versions of what cut."""
        return {
            **dataclasses.asdict(self),
            "format": FORMAT,
            "imagefec_version": imagefec.__version__,
            "opencv_version": cv2.__version__,
        }


def make_face(
    photo: str | os.PathLike | bytes, detector: Detector, loose_box: Box | None = None
) -> Cut:
    """Makes the face of one picture: the same picture and detector give the same bytes.

    Args:
      photo: path or bytes of the picture.
      detector: its best face in the whole picture is taken, turned upright first as EXIF asks.
      loose_box: a face's box in pixels of the picture as stored. Then it is treated as a box of FEC
        is: grown by 15 %, and the detector must report a face in it.
    """
    try:
        picture = read_photo(photo, upright=loose_box is None)
    except NotAPhoto:
        return Cut(None, NOT_A_PHOTO)
    height, width = picture.shape[:2]
    if loose_box is not None:
        box = geometry.to_fractions(loose_box, width, height)
        made = crop.crop_face(picture, box, detector)
    else:
        found = detector.detect(picture, smallest=SMALLEST_FACE)
        if not found:
            return Cut(None, crop.NO_FACE)
        box = geometry.to_fractions(found[0].box, width, height)
        grown = crop.grown_box(box, width, height)
        if min(grown.width, grown.height) < crop.MIN_BOX_PX:
            return Cut(None, crop.BOX_TOO_SMALL)
        made = crop.crop_detection(picture, found[0])
    if made.face is None:
        return Cut(None, made.reason)
    sides = tuple(float(side) for side in box.sides)
    return Cut(encode_png(made.face), "", sides, float(made.score), made.upscaled)


def make_faces(
    photos: Sequence[Photo], detector: Detector, boxes: Sequence[Box | None] | None = None
) -> Iterator[Cut]:
    """Makes the faces of one person's photos, in order; a file that came before under another name is left out.

    Args:
      photos: of one person.
      detector: as for `make_face`.
      boxes: the loose box of each photo, None where it has none; None as a whole to look in whole
        photos.
    """
    seen: set[bytes] = set()
    for photo, box in zip(photos, boxes or itertools.repeat(None)):
        if boxes is not None and box is None:
            yield Cut(None, NO_BOX)
            continue
        try:
            data = photo.path.read_bytes() if photo.size >= 0 else b""
        except OSError:
            data = b""
        digest = hashlib.sha256(data).digest()
        if digest in seen:
            yield Cut(None, SAME_PHOTO)
            continue
        cut = make_face(data, detector, box)
        if cut.png is not None:
            seen.add(digest)
        yield cut


def face_of(
    person: Person, file_name: str, box: tuple[float, float, float, float], png: bytes
) -> Face:
    """The face that was cut out of a person's photo."""
    return Face(
        face_id(person.split, person.name, file_name),
        f"{person.url}/{file_name}",
        person.name,
        person.label,
        box,
        png,
    )
