"""From a photo and a box to a 128 px face, the same way for dataset and webcam; opens no files."""

import hashlib
from dataclasses import dataclass

import cv2
import numpy as np

from imagefec.faces.detectors.protocol import Detection, Detector
from imagefec.maths import geometry
from imagefec.maths.geometry import Box

FACE_PX = 128
MIN_BOX_PX = 16  # a grown box with a shorter side than this shows no expression

BOX_TOO_SMALL = "box too small"
NO_FACE = "no face found"


@dataclass(frozen=True)
class FaceCrop:
    """What became of one box: a face, or the reason why there is none.

    `face` is uint8 [128, 128, 3] RGB, None where dropped; `reason` is "" where kept; `score` is the
    detector's, None where it found nothing; `upscaled` says that the patch's longer side was below
    128 px.
    """

    face: np.ndarray | None
    reason: str
    score: float | None
    upscaled: bool


def crop_face(photo: np.ndarray, box: Box, detector: Detector) -> FaceCrop:
    """Grows a box, looks for a face in it, and cuts it out as a standard face.

    Args:
      photo: uint8 [height, width, 3] RGB.
      box: fractions of the photo.
      detector: must report a face in the grown box, else the box is dropped.

    Raises:
      ValueError: photo is not uint8 [height, width, 3].
    """
    height, width = photo.shape[:2]
    grown = grown_box(box, width, height)
    if min(grown.width, grown.height) < MIN_BOX_PX:
        return FaceCrop(None, BOX_TOO_SMALL, None, False)
    patch = cut_patch(photo, grown)
    found = find_face(detector, patch)
    if found is None:
        return FaceCrop(None, NO_FACE, None, False)
    face, upscaled = letterbox(patch)
    return FaceCrop(face, "", found.score, upscaled)


def crop_detection(photo: np.ndarray, detection: Detection) -> FaceCrop:
    """Cuts out a face that a detector found in a whole photo, as `crop_face` cuts the dataset's.

    Args:
      photo: uint8 [height, width, 3] RGB.
      detection: its box in pixels of the photo.

    Returns:
      FaceCrop with a face, however small the box is: whoever found it has decided that it is one.
    """
    height, width = photo.shape[:2]
    box = detection.box
    share = geometry.to_fractions(box, width, height)
    face, upscaled = letterbox(cut_patch(photo, grown_box(share, width, height)))
    return FaceCrop(face, "", detection.score, upscaled)


def grown_box(box: Box, width: int, height: int) -> Box:
    """The part of an image that becomes a face: grown by 15 %, clipped, squared where the image allows.

    Args:
      box: fractions of the image.
      width, height: of the image, pixels.

    Returns:
      Box of whole pixels (ints), inside the image.
    """
    wanted = geometry.clip(geometry.to_pixels(geometry.grow(box), width, height), width, height)
    return geometry.whole_pixels(geometry.square(wanted, width, height), width, height)


def cut_patch(photo: np.ndarray, box: Box) -> np.ndarray:
    """Cuts out a box of whole pixels, as a copy that does not hold on to the photo.

    Raises:
      ValueError: the box is empty or leaves the photo.
    """
    height, width = photo.shape[:2]
    if not (0 <= box.left < box.right <= width and 0 <= box.top < box.bottom <= height):
        raise ValueError(f"{box} is empty or leaves the photo of {width} x {height} pixels")
    return photo[box.top : box.bottom, box.left : box.right].copy()


def find_face(detector: Detector, patch: np.ndarray) -> Detection | None:
    """The best face that spans at least half of a grown crop, None if there is none."""
    found = detector.detect(patch, smallest=0.5)
    return found[0] if found else None


def letterbox(patch: np.ndarray) -> tuple[np.ndarray, bool]:
    """Scales a patch to 128 px, its aspect kept, and pads what is not square with gaussian noise.

    The noise has each channel's own mean and standard deviation in the patch (the latter held in
    [16, 64], so that even a flat patch gets real noise), and a seed made from the patch's content:
    the same patch gives the same bytes.

    Args:
      patch: uint8 [h, w, 3] RGB.

    Returns:
      (face, upscaled): face uint8 [128, 128, 3] RGB; upscaled True where the patch's longer side
        was below 128.

    Raises:
      ValueError: patch is not uint8 [h, w, 3] with at least one pixel.
    """
    if patch.dtype != np.uint8 or patch.ndim != 3 or patch.shape[2] != 3 or 0 in patch.shape:
        raise ValueError(f"patch must be uint8 [h, w, 3], found {patch.dtype} {list(patch.shape)}")
    height, width = patch.shape[:2]
    longer = max(height, width)
    new_width, new_height = (max(round(side * FACE_PX / longer), 1) for side in (width, height))
    if longer == FACE_PX:
        scaled = patch
    else:
        # INTER_AREA averages when it shrinks; when it enlarges it only repeats pixels.
        interpolation = cv2.INTER_AREA if longer > FACE_PX else cv2.INTER_CUBIC
        scaled = cv2.resize(patch, (new_width, new_height), interpolation=interpolation)
    upscaled = longer < FACE_PX
    if (new_height, new_width) == (FACE_PX, FACE_PX):
        return np.ascontiguousarray(scaled), upscaled
    face = _noise_like(patch)
    top, left = (FACE_PX - new_height) // 2, (FACE_PX - new_width) // 2
    face[top : top + new_height, left : left + new_width] = scaled
    return face, upscaled


def _noise_like(patch: np.ndarray) -> np.ndarray:
    digest = hashlib.sha256(repr(patch.shape).encode() + patch.tobytes()).digest()
    generator = np.random.default_rng(int.from_bytes(digest[:16], "little"))
    mean = patch.mean(axis=(0, 1), dtype=np.float64)
    deviation = patch.std(axis=(0, 1), dtype=np.float64).clip(16, 64)
    noise = generator.normal(mean, deviation, (FACE_PX, FACE_PX, 3))
    return noise.round().clip(0, 255).astype(np.uint8)
