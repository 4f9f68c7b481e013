"""Turns and scales a face so that its eyes are level and at a fixed distance; opens no files."""

import math

import cv2
import numpy as np

from imagefec.errors import UserError
from imagefec.faces.detectors.protocol import Detection
from imagefec.maths.geometry import Box

ALIGN = ("none", "eyes")
DETECTORS_WITH_EYES = ("yunet", "blazeface")
EYE_DISTANCE = 55 / 224  # of an aligned face's side: 31.4 of 128 px
EYES_ROW = 0.42  # of an aligned face's side; the eyes' midpoint is in the middle column
# Eyes closer than this share of the box's longer side belong to a face in profile, which would be
# enlarged until little of it is left.
LEAST_EYE_DISTANCE = 0.2
_BAND_PX = 2**22  # samples at once: the memory of a very large face stays below 20 MB
_MOST_SAMPLES = 250  # along an axis of a pixel: OpenCV's images have at most 32,766 columns

Eyes = tuple[complex, complex]


def check_detector(align: str, detector: str) -> None:
    """Checks that a detector finds what the alignment requires.

    Args:
      align: one of ALIGN.
      detector: name of a detector, not "auto".

    Raises:
      UserError: the detector finds no eyes, or there is no such alignment.
    """
    if align not in ALIGN:
        raise UserError(f"--align {align}: allowed are {', '.join(ALIGN)}.")
    if align == "eyes" and detector not in DETECTORS_WITH_EYES:
        raise UserError(
            f"--align eyes: detector {detector} finds no eyes. Use --detector "
            f"{' or '.join(DETECTORS_WITH_EYES)}, or --align none."
        )


def trusted_eyes(found: Detection, within: Box) -> Eyes | None:
    """The eyes of a detected face, if they can be used to align it.

    Args:
      found: the face, in pixels.
      within: where the eyes must be, in the same pixels.

    Returns:
      The two eyes as complex numbers column + row i, in the order of `Detection.keypoints`; None if
      the detector found none, one is outside `within`, or they are closer to each other than
      LEAST_EYE_DISTANCE of the face's box.
    """
    if len(found.keypoints) < 2:
        return None
    first, second = (complex(column, row) for column, row in found.keypoints[:2])
    inside = all(
        within.left <= eye.real <= within.right and within.top <= eye.imag <= within.bottom
        for eye in (first, second)
    )  # false for NaN
    longer = max(found.box.width, found.box.height)
    if not inside or abs(second - first) < LEAST_EYE_DISTANCE * longer:
        return None
    return first, second


def align_face(photo: np.ndarray, eyes: Eyes, side: int) -> tuple[np.ndarray, np.ndarray, bool]:
    """Samples an aligned face from a photo, once: shrinking averages over each pixel's area.

    Args:
      photo: uint8 [h, w, 3] RGB.
      eyes: the two eyes in pixels of the photo, column + row i; two different points.
      side: of the face, pixels.

    Returns:
      (face, inside, upscaled): face uint8 [side, side, 3]; inside bool [side, side], False where
      the face leaves the photo and repeats its border; upscaled True if a pixel of the face is
      smaller than one of the photo.

    Source: Vemulapalli & Agarwala 2019, arXiv:1811.11283, section 5 (roll removed, 55 px between
    the eyes at 224 px).
    """
    # As complex numbers: point of the photo = turn * point of the face + shift.
    turn = (eyes[1] - eyes[0]) / (EYE_DISTANCE * side)
    shift = (eyes[0] + eyes[1]) / 2 - turn * complex(side / 2, EYES_ROW * side)
    centres = np.arange(side) + 0.5
    at = turn * (centres + 1j * centres[:, None]) + shift
    height, width = photo.shape[:2]
    inside = (at.real >= 0) & (at.real <= width) & (at.imag >= 0) & (at.imag <= height)
    upscaled = abs(turn) < 1
    # One sample or more per pixel of the photo and axis, averaged over the pixels of the face.
    n = min(max(math.ceil(abs(turn)), 1), _MOST_SAMPLES)
    left, top, part = _part_of(photo, at, n=math.ceil(abs(turn)) + 2)
    bands = []
    rows = max(_BAND_PX // (side * n * n), 1)
    for start in range(0, side, rows):
        size = side * n, (min(start + rows, side) - start) * n
        # Pixels have their centres at half numbers in `at`, and at whole numbers in OpenCV.
        origin = turn * complex(0.5 / n, start + 0.5 / n) + shift - complex(left + 0.5, top + 0.5)
        step = turn / n
        matrix = np.array(
            [[step.real, -step.imag, origin.real], [step.imag, step.real, origin.imag]]
        )
        method = cv2.INTER_CUBIC if upscaled else cv2.INTER_LINEAR
        band = cv2.warpAffine(
            part, matrix, size, flags=method | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE
        )
        if n > 1:
            band = cv2.resize(band, (side, size[1] // n), interpolation=cv2.INTER_AREA)
        bands.append(band)
    return np.concatenate(bands), inside, upscaled


def _part_of(photo: np.ndarray, at: np.ndarray, n: int) -> tuple[int, int, np.ndarray]:
    """The part of a photo that a face is sampled from, with `n` pixels around, and its corner."""
    height, width = photo.shape[:2]
    left, top = max(int(at.real.min()) - n, 0), max(int(at.imag.min()) - n, 0)
    right, bottom = min(int(at.real.max()) + n, width), min(int(at.imag.max()) + n, height)
    return left, top, photo[top:bottom, left:right]
