"""Crops the face of an identity's photo; folders.py lists photos, face_cache.py stores faces."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import os
from collections.abc import Iterator, Sequence
from typing import Any

import cv2

import imagefec
from imagefec.data.crop.worker import why_not_a_photo
from imagefec.data.identity.folders import Identity, Photo, face_id
from imagefec.errors import UserError
from imagefec.faces import crop
from imagefec.faces.detectors import Detector, make_detector
from imagefec.faces.photo_files import read_file
from imagefec.faces.photos import NotAPhoto, encode_png, read_photo
from imagefec.maths import geometry
from imagefec.maths.geometry import Box

FORMAT = 2  # increase if the same photo and settings would give another face
# Side of the smallest face detected, as a share of the photo's shorter side. Each photo shows one
# person: smaller faces are bystanders or false detections.
SMALLEST_FACE = 0.25

SAME_PHOTO = "same file as another photo of the person"
NO_BOX = "no box in loose_bb"

Sides = tuple[float, float, float, float]


@dataclasses.dataclass(frozen=True, slots=True)
class IdentityFace:
    """One face of the dataset.

    Attributes:
      face_id: 20 hex digits.
      url: the photo's path in the manual directory.
      identity: name of the identity folder.
      label: the identity's index in its split.
      box: (left, right, top, bottom) as detected, fractions of the photo.
      png: the face, a 128 px PNG file.
    """

    face_id: str
    url: str
    identity: str
    label: int
    box: Sides
    png: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class PhotoOutcome:
    """The outcome of one photo.

    Attributes:
      png: the face, a 128 px PNG file; None if the photo was dropped.
      reason: why the photo was dropped; "" if it was not.
      box: of the face, as in IdentityFace.
      score: the detector's.
      upscaled: whether the face was smaller than 128 px.
    """

    png: bytes | None
    reason: str
    box: Sides | None = None
    score: float | None = None
    upscaled: bool = False


@dataclasses.dataclass(frozen=True)
class DetectionSettings:
    """How faces are detected.

    Attributes:
      detector: resolved name of a detector, not "auto".
      detector_version: its version.
      min_score: lowest score accepted.
      boxes: "detector" for a face anywhere in the photo, "loose_bb" for VGGFace2's own boxes.
    """

    detector: str
    detector_version: str
    min_score: float
    boxes: str = "detector"

    @classmethod
    def resolve(
        cls, detector: str = "auto", min_score: float | None = None, boxes: str = "detector"
    ) -> DetectionSettings:
        """Makes settings in which "auto" and the default score are resolved.

        Args:
          detector: as for `faces.detectors.make_detector`.
          min_score: as for `make_detector`.
          boxes: "detector" or "loose_bb".

        Raises:
          UserError: the detector is not available, or its score or `boxes` is not allowed.
        """
        if boxes not in ("detector", "loose_bb"):
            raise UserError(
                f"boxes is {boxes!r}; allowed are 'detector' and 'loose_bb' (VGGFace2's "
                "loose_bb_*.csv files)."
            )
        found = make_detector(detector, min_score)
        return cls(found.name, found.version, found.min_score, boxes)

    def make_detector(self) -> Detector:
        """Makes a detector; each thread requires its own."""
        return make_detector(self.detector, self.min_score)

    def as_json(self) -> dict[str, Any]:
        """The settings and the versions of the code that crops, for the dataset's metadata."""
        return {
            **dataclasses.asdict(self),
            "format": FORMAT,
            "imagefec_version": imagefec.__version__,
            "opencv_version": cv2.__version__,
        }


def crop_best_face(
    source: str | os.PathLike[str] | bytes, detector: Detector, loose_box: Box | None = None
) -> PhotoOutcome:
    """Crops the face of one photo; the same photo and detector give the same bytes.

    Args:
      source: path or bytes of the photo.
      detector: its highest-scoring face is used. The photo is first rotated upright as its EXIF
        orientation says.
      loose_box: a face's box in pixels of the photo as stored; None to search the complete photo.
        It is treated as FEC's boxes are: grown by 15 %, and the detector must find a face in it.
    """
    try:
        photo = read_photo(source, upright=loose_box is None)
    except NotAPhoto as error:
        return PhotoOutcome(None, why_not_a_photo(error))
    height, width = photo.shape[:2]
    if loose_box is not None:
        box = geometry.to_fractions(loose_box, width, height)
        face = crop.crop_face(photo, box, detector)
    else:
        found = detector.detect(photo, smallest=SMALLEST_FACE)
        if not found:
            return PhotoOutcome(None, crop.NO_FACE)
        box = geometry.to_fractions(found[0].box, width, height)
        grown = crop.grown_box(box, width, height)
        if min(grown.width, grown.height) < crop.MIN_BOX_PX:
            return PhotoOutcome(None, crop.BOX_TOO_SMALL)
        face = crop.crop_detection(photo, found[0])
    if face.face is None or face.score is None:
        return PhotoOutcome(None, face.reason)
    left, right, top, bottom = (float(side) for side in box.sides)
    sides = left, right, top, bottom
    return PhotoOutcome(encode_png(face.face), "", sides, float(face.score), face.upscaled)


def crop_identity_photos(
    photos: Sequence[Photo], detector: Detector, boxes: Sequence[Box | None] | None = None
) -> Iterator[PhotoOutcome]:
    """Crops the faces of one identity's photos, in order; a file's second copy is dropped.

    Args:
      photos: of one identity.
      detector: as for `crop_best_face`.
      boxes: the loose box of each photo, None for a photo without one; None instead of a list to
        detect faces anywhere.
    """
    seen: set[bytes] = set()
    for photo, box in zip(photos, boxes or itertools.repeat(None)):
        if boxes is not None and box is None:
            yield PhotoOutcome(None, NO_BOX)
            continue
        try:
            data = read_file(photo.path)
        except NotAPhoto as error:
            yield PhotoOutcome(None, why_not_a_photo(error))
            continue
        digest = hashlib.sha256(data).digest()
        if digest in seen:
            yield PhotoOutcome(None, SAME_PHOTO)
            continue
        outcome = crop_best_face(data, detector, box)
        if outcome.png is not None:
            seen.add(digest)
        yield outcome


def identity_face(identity: Identity, file_name: str, box: Sides, png: bytes) -> IdentityFace:
    """Describes the face that was cropped from an identity's photo.

    Args:
      identity: of the photo.
      file_name: of the photo.
      box: (left, right, top, bottom) as detected, fractions of the photo.
      png: the face, a 128 px PNG file.
    """
    return IdentityFace(
        face_id(identity.split, identity.name, file_name),
        f"{identity.url}/{file_name}",
        identity.name,
        identity.label,
        box,
        png,
    )
