"""What a worker process of the crop stage does: one photo in, its faces' files out.

Workers are spawned afresh and load this module first, so it imports nothing heavy.
"""

import multiprocessing
import os
import signal
import threading
from dataclasses import dataclass
from pathlib import Path

import cv2

from imagefec.faces.crop import crop_face
from imagefec.faces.detectors import Detector, make_detector
from imagefec.faces.photos import NotAPhoto, read_photo, write_png
from imagefec.maths.geometry import Box

NOT_A_PHOTO = "not a photo"


@dataclass(frozen=True, slots=True)
class Wanted:
    """One face to cut: where its PNG goes and its box in fractions of the photo."""

    face_id: str
    url: str
    box: Box
    path: Path


@dataclass(frozen=True, slots=True)
class Cut:
    """What became of one wanted face; `reason` is "" where its PNG was written."""

    wanted: Wanted
    reason: str
    score: float | None = None
    upscaled: bool = False


def crop_photo(photo_path: Path, faces: list[Wanted], detector: Detector) -> list[Cut]:
    """Decodes a photo once and writes the PNG of each of its faces that is one.

    Raises:
      OSError: a PNG cannot be written.
    """
    try:
        photo = read_photo(photo_path)
    except NotAPhoto:
        return [Cut(wanted, NOT_A_PHOTO) for wanted in faces]
    cuts = []
    for wanted in faces:
        crop = crop_face(photo, wanted.box, detector)
        if crop.face is not None:
            wanted.path.parent.mkdir(exist_ok=True)
            write_png(wanted.path, crop.face)
        cuts.append(Cut(wanted, crop.reason, crop.score, crop.upscaled))
    return cuts


def set_up(
    detector_name: str, min_score: float, model_dir: str | os.PathLike | None = None
) -> None:
    """Readies a fresh worker process with the detector that the arguments make."""
    global _detector
    # The parent is told of Ctrl-C as well, and ends its workers in order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A killed parent tells its workers nothing, and they would wait for work for ever.
    threading.Thread(target=_end_with_parent, daemon=True).start()
    cv2.setNumThreads(1)
    _detector = make_detector(detector_name, min_score, model_dir)


def crop_photos(jobs: list[tuple[Path, list[Wanted]]]) -> list[Cut]:
    """`crop_photo` for several photos in a worker process that was set up."""
    return [cut for photo_path, faces in jobs for cut in crop_photo(photo_path, faces, _detector)]


_detector: Detector | None = None


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
