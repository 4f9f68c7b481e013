"""Crops the faces of image files one by one, and names each; nothing is embedded."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from imagefec.errors import UserError
from imagefec.faces.image_files import ImageFiles, LeftOut

if TYPE_CHECKING:
    from imagefec.faces.crop import FaceCrop
    from imagefec.faces.detectors import Detection, Detector

UNREADABLE, NO_FACE = "unreadable", "no face found"
COMPLETE = "no face found, so the complete photo was embedded"


@dataclass
class FaceRows:
    """The columns of the output except the vectors, and which images have no row and why.

    Attributes:
      left_out: images and faces without a row.
      complete: photos without a face that were embedded complete.
      ids: of the faces; the other columns likewise, as in the file that `embed_and_count` writes.
    """

    left_out: LeftOut
    complete: LeftOut = field(default_factory=LeftOut)
    ids: list[str] = field(default_factory=list)
    urls: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    boxes: list[tuple[float, ...]] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    _used: set[str] = field(default_factory=set)

    def add(self, face_id: str, url: str, path: Path, box: tuple[float, ...], score: float) -> None:
        """Adds a face."""
        if face_id in self._used:  # of two folders of faces that were cropped from the same photos
            face_id = _text(path)
        self._used.add(face_id)
        self.ids.append(face_id)
        self.urls.append(url)
        self.paths.append(_text(path))
        self.boxes.append(box)
        self.scores.append(score)

    def columns(self) -> dict[str, np.ndarray]:
        """The columns as arrays."""
        return {
            "ids": np.array(self.ids),
            "urls": np.array(self.urls),
            "paths": np.array(self.paths),
            "boxes": np.array(self.boxes, np.float32),
            "scores": np.array(self.scores, np.float32),
        }


def each_face(
    images: ImageFiles,
    detector: Detector,
    crop_detection: Callable[[np.ndarray, Detection], FaceCrop],
    on_no_face: str,
    found: FaceRows,
    update: Callable[[], Any],
) -> Iterator[np.ndarray]:
    """Yields the faces one by one and adds each to `found`; calls `update` after each image."""
    from imagefec.faces import crop
    from imagefec.faces.photos import NotAPhoto, read_photo

    manifests = _Manifests()
    for n, path in enumerate(images.paths):
        if n:
            update()
        try:
            image = read_photo(path, upright=True)
        except NotAPhoto as error:
            if on_no_face == "raise" or (path in images.named and on_no_face != "skip"):
                raise UserError(
                    f"{path}: {error}. Give image files, or --on_no_face skip to skip this one."
                ) from None
            found.left_out.add(UNREADABLE, f"{path} ({error})")
            continue
        height, width = image.shape[:2]
        complete = (0, width, 0, height)
        if (height, width) == (crop.FACE_PX, crop.FACE_PX):
            found.add(*manifests.id_and_url(path), path, complete, np.nan)
            yield image
            continue
        detections, url = detector.detect(image), path.absolute().as_uri()
        for number, detection in enumerate(detections, start=1):
            face_id = f"{_text(path)}#{number}"
            cropped = crop_detection(image, detection)
            if cropped.face is None:
                found.left_out.add(cropped.reason, face_id)
                continue
            found.add(face_id, url, path, detection.box.sides, detection.score)
            yield cropped.face
        if not detections and _takes_complete(path, detector, on_no_face, found):
            found.add(_text(path), url, path, complete, np.nan)
            yield crop.letterbox(image)[0]
    update()


def _takes_complete(path: Path, detector: Detector, on_no_face: str, found: FaceRows) -> bool:
    """Whether to embed a complete photo without a face; if not, records it as skipped or raises."""
    if on_no_face == "raise":
        raise UserError(
            f"{path}: detector {detector.name} found no face. Give another photo, or "
            "--on_no_face skip (skip such photos) or whole (embed the complete photo)."
        )
    if on_no_face == "skip":
        found.left_out.add(NO_FACE, path)
        return False
    found.complete.add(COMPLETE, path)
    return True


class _Manifests:
    """The faces.csv files of the folders met so far, each read once."""

    def __init__(self) -> None:
        self._url_of: dict[Path, dict[str, str]] = {}

    def id_and_url(self, path: Path) -> tuple[str, str]:
        """Face id and photo URL of a face written by crop, else the path and its own URL."""
        from imagefec.data.crop import face_folder

        # crop writes FACES/ab/<face id>.png, and FACES/faces.csv with the URL.
        folder = path.absolute().parent.parent
        if face_folder.face_path(folder, path.stem) == path.absolute():
            if folder not in self._url_of:
                self._url_of[folder] = (
                    {
                        face_id: face_folder.url_of(line)
                        for face_id, _, line in face_folder.read_manifest(folder)
                    }
                    if (folder / face_folder.MANIFEST).is_file()
                    else {}
                )
            if path.stem in self._url_of[folder]:
                return path.stem, self._url_of[folder][path.stem]
        return _text(path), path.absolute().as_uri()


def _text(path: Path) -> str:
    # A file name may be invalid UTF-8; the columns must be valid.
    return os.fsencode(path).decode("utf-8", "backslashreplace")
