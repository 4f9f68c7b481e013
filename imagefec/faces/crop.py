"""Crops a 128 px face from a photo, the same way for dataset and webcam; opens no files."""

import hashlib
from dataclasses import dataclass, replace

import numpy as np

from imagefec.faces import alignment, opencv
from imagefec.faces.box_mapping import BoxMapping
from imagefec.faces.detectors.protocol import Detection, Detector
from imagefec.maths import geometry
from imagefec.maths.geometry import Box

FACE_PX = 128
MIN_BOX_PX = 16  # expressions cannot be seen in a grown box with a shorter side

BOX_TOO_SMALL = "box too small"
NO_FACE = "no face found"
NO_EYES = "eyes not found"


@dataclass(frozen=True)
class FaceCrop:
    """The outcome of one box: a face, or the reason why it was dropped.

    Attributes:
      face: uint8 [128, 128, 3] RGB; None if the box was dropped.
      reason: why it was dropped; "" if it was not.
      score: the detector's score; None if it found no face.
      upscaled: whether the face has more pixels than the part of the photo that it shows.
    """

    face: np.ndarray | None
    reason: str
    score: float | None
    upscaled: bool


def crop_face(photo: np.ndarray, box: Box, detector: Detector, align: str = "none") -> FaceCrop:
    """Grows a box, detects a face in it, and crops it to 128 px.

    Args:
      photo: uint8 [height, width, 3] RGB.
      box: fractions of the photo.
      detector: must find a face in the grown box, else the box is dropped.
      align: one of alignment.ALIGN. "eyes" turns the face so that its eyes are level, and scales it
        to a fixed distance between them; a face whose eyes cannot be trusted is dropped.

    Raises:
      ValueError: photo is not uint8 [height, width, 3].
    """
    height, width = photo.shape[:2]
    grown = grown_box(box, width, height)
    if min(grown.width, grown.height) < MIN_BOX_PX:
        return FaceCrop(None, BOX_TOO_SMALL, None, False)
    patch = crop_patch(photo, grown)
    found = find_face(detector, patch)
    if found is None:
        return FaceCrop(None, NO_FACE, None, False)
    if align == "eyes":
        return _crop_aligned(photo, _moved(found, grown.left, grown.top), grown)
    face, upscaled = letterbox(patch)
    return FaceCrop(face, "", found.score, upscaled)


def crop_detection(
    photo: np.ndarray, detection: Detection, mapping: BoxMapping | None = None
) -> FaceCrop:
    """Crops a face that a detector found in a photo, as `crop_face` crops the dataset's.

    Args:
      photo: uint8 [height, width, 3] RGB.
      detection: in pixels of the photo.
      mapping: from the detector's boxes to the dataset's; None to take the detector's.

    Returns:
      FaceCrop with a face, however small the box: the caller has accepted the detection.
    """
    height, width = photo.shape[:2]
    box = detection.box if mapping is None else mapping.apply(detection.box)
    grown = grown_box(geometry.to_fractions(box, width, height), width, height)
    face, upscaled = letterbox(crop_patch(photo, grown))
    return FaceCrop(face, "", detection.score, upscaled)


def grown_box(box: Box, width: int, height: int) -> Box:
    """Grows a box by 15 %, clips it to the image, and makes it square if the image has room.

    Args:
      box: fractions of the image.
      width: of the image, pixels.
      height: of the image, pixels.

    Returns:
      Box of integer pixels, inside the image.
    """
    clipped = geometry.clip(geometry.to_pixels(geometry.grow(box), width, height), width, height)
    return geometry.whole_pixels(geometry.square(clipped, width, height), width, height)


def crop_patch(photo: np.ndarray, box: Box) -> np.ndarray:
    """Copies the pixels of a box, so that the photo can be freed.

    Args:
      photo: uint8 [height, width, 3].
      box: integer pixels.

    Raises:
      ValueError: the box is empty or leaves the photo.
    """
    height, width = photo.shape[:2]
    if not (0 <= box.left < box.right <= width and 0 <= box.top < box.bottom <= height):
        raise ValueError(f"{box} is empty or leaves the photo of {width} x {height} pixels")
    return photo[box.top : box.bottom, box.left : box.right].copy()


def find_face(detector: Detector, patch: np.ndarray) -> Detection | None:
    """Finds the highest-scoring face that spans at least half of a grown box; None if none does."""
    found = detector.detect(patch, smallest=0.5)
    return found[0] if found else None


def letterbox(patch: np.ndarray) -> tuple[np.ndarray, bool]:
    """Scales a patch to 128 px, preserving its aspect ratio, and pads it with Gaussian noise.

    The noise has each channel's mean and standard deviation in the patch, the latter clipped to
    [16, 64], so that even a flat patch gets noise. Its seed is derived from the patch: the same
    patch gives the same bytes.

    Args:
      patch: uint8 [h, w, 3] RGB.

    Returns:
      (face, upscaled): face uint8 [128, 128, 3] RGB; upscaled True if the patch's longer side was
      below 128.

    Raises:
      ValueError: patch is not uint8 [h, w, 3] with at least one pixel.
    """
    if patch.dtype != np.uint8 or patch.ndim != 3 or patch.shape[2] != 3 or 0 in patch.shape:
        raise ValueError(f"patch must be uint8 [h, w, 3], found {patch.dtype} {list(patch.shape)}")
    height, width = patch.shape[:2]
    longer = max(height, width)
    new_width, new_height = (max(round(side * FACE_PX / longer), 1) for side in (width, height))
    scaled = opencv.resize(patch, new_width, new_height)
    upscaled = longer < FACE_PX
    if (new_height, new_width) == (FACE_PX, FACE_PX):
        return np.ascontiguousarray(scaled), upscaled
    face = _noise_like(patch)
    top, left = (FACE_PX - new_height) // 2, (FACE_PX - new_width) // 2
    face[top : top + new_height, left : left + new_width] = scaled
    return face, upscaled


def _crop_aligned(photo: np.ndarray, found: Detection, within: Box) -> FaceCrop:
    """Aligns a face by its eyes, which must lie in a box; all in pixels of the photo."""
    eyes = alignment.trusted_eyes(found, within)
    if eyes is None:
        return FaceCrop(None, NO_EYES, found.score, False)
    face, inside, upscaled = alignment.align_face(photo, eyes, FACE_PX)
    if not inside.all():
        face = np.where(inside[..., None], face, _noise_like(face[inside][None]))
    return FaceCrop(face, "", found.score, upscaled)


def _moved(found: Detection, dx: float, dy: float) -> Detection:
    """A detection in a patch, in pixels of the photo that has the patch at column dx and row dy."""
    box = found.box
    return replace(
        found,
        box=Box(box.left + dx, box.right + dx, box.top + dy, box.bottom + dy),
        keypoints=tuple((column + dx, row + dy) for column, row in found.keypoints),
    )


def _noise_like(patch: np.ndarray) -> np.ndarray:
    digest = hashlib.sha256(repr(patch.shape).encode() + patch.tobytes()).digest()
    generator = np.random.default_rng(int.from_bytes(digest[:16], "little"))
    mean = patch.mean(axis=(0, 1), dtype=np.float64)
    deviation = patch.std(axis=(0, 1), dtype=np.float64).clip(16, 64)
    noise = generator.normal(mean, deviation, (FACE_PX, FACE_PX, 3))
    return noise.round().clip(0, 255).astype(np.uint8)
