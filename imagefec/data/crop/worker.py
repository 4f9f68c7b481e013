"""The work on one photo: decodes it once and writes the PNG of each of its faces.

Worker processes are spawned and import this module first, so it imports nothing heavy.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import cv2

from imagefec.faces.crop import crop_face
from imagefec.faces.detectors import Detector, make_detector
from imagefec.faces.photos import NotAPhoto, read_photo, write_png
from imagefec.maths.geometry import Box

NOT_A_PHOTO = "not a photo"


@dataclass(frozen=True, slots=True)
class CropTask:
    """One face to crop.

    Attributes:
      face_id: of the face.
      url: of the photo.
      box: in fractions of the photo.
      path: where the PNG goes.
    """

    face_id: str
    url: str
    box: Box
    path: Path


@dataclass(frozen=True, slots=True)
class CropOutcome:
    """Result of a task.

    Attributes:
      task: the task.
      reason: why the face was dropped; "" if its PNG was written.
      score: the detector's score; None if it found no face.
      upscaled: whether the cropped patch was smaller than 128 px.
    """

    task: CropTask
    reason: str
    score: float | None = None
    upscaled: bool = False


def crop_photo(
    photo_path: Path, tasks: list[CropTask], detector: Detector, align: str = "none"
) -> list[CropOutcome]:
    """Decodes a photo once and writes the PNG of each box in which the detector finds a face.

    Args:
      photo_path: of the photo.
      tasks: its faces.
      detector: used on each box.
      align: as for `crop_face`.

    Raises:
      OSError: a PNG cannot be written.
    """
    try:
        photo = read_photo(photo_path)
    except NotAPhoto as error:
        reason = why_not_a_photo(error)
        return [CropOutcome(task, reason) for task in tasks]
    outcomes = []
    for task in tasks:
        crop = crop_face(photo, task.box, detector, align)
        if crop.face is not None:
            task.path.parent.mkdir(exist_ok=True)
            write_png(task.path, crop.face)
        outcomes.append(CropOutcome(task, crop.reason, crop.score, crop.upscaled))
    return outcomes


def why_not_a_photo(error: NotAPhoto) -> str:
    """The reason to record for a photo that cannot be read: few texts, so that they are counted."""
    return f"{NOT_A_PHOTO}: {error.reason}" if error.reason else NOT_A_PHOTO


def start_worker(
    detector_name: str,
    min_score: float,
    model_dir: str | os.PathLike[str] | None = None,
    align: str = "none",
) -> None:
    """Prepares a spawned worker process: arguments of `make_detector`, and of `crop_face`."""
    global _detector, _align
    cv2.setNumThreads(1)
    _detector, _align = make_detector(detector_name, min_score, model_dir), align


def crop_photos(jobs: list[tuple[Path, list[CropTask]]]) -> list[CropOutcome]:
    """Runs `crop_photo` on several photos in a process prepared by `start_worker`."""
    if _detector is None:
        raise ValueError("crop_photos: call start_worker first in this process")
    return [
        outcome for path, tasks in jobs for outcome in crop_photo(path, tasks, _detector, _align)
    ]


_detector: Detector | None = None
_align = "none"
