"""From photos to the faces that are judged; records them and keeps their pictures."""

from __future__ import annotations

import contextlib
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imagefec import json_files
from imagefec.data.labels.source import LabelledFace, Source, with_one_spelling
from imagefec.faces import crop, opencv, orientation, photo_files, photos
from imagefec.faces.detectors.protocol import Detection, Detector
from imagefec.faces.image_files import LeftOut, find_images
from imagefec.maths import geometry
from imagefec.maths.geometry import Box
from imagefec.paths import readable
from imagefec.progress import progress
from imagefec.serving.judging.photo_file import SAME_CONTENT, UNREADABLE, PhotoFile
from imagefec.serving.judging.photo_table import find_in_table, is_table

PICTURES, COPIES = "pictures", "photos"
SEARCHED = "searched.jsonl"  # faces found so far, while the search has not ended
DETECTED, WHOLE = "detected", "whole"
PICTURE_PX = 512  # longest side of the picture that raters see
_MAX_SEARCHED_BYTES = 2**30
_WHOLE_BOX = Box(0.0, 1.0, 0.0, 1.0)

NO_FACE = "no face found"
TOO_SMALL = "face too small"
SEVERAL = "several faces, of which the largest is judged"


@dataclass(frozen=True)
class JudgedFace:
    """A face that raters see.

    Attributes:
      photo: that shows it.
      box: fractions of the photo, upright.
      is_copied: whether the csv files name an upright PNG copy of the photo, because `fetch` and
        `crop` would take the file's pixels in another orientation, or not at all.
    """

    photo: PhotoFile
    box: Box
    is_copied: bool


def find_photos(source: Path, use_labels: bool) -> tuple[list[PhotoFile], LeftOut]:
    """Finds the photos of a folder, each content once.

    Args:
      source: the folder, or a table, as for `find_in_table`.
      use_labels: take the names of the folder's sub-folders as labels, if there are at least two
        and every photo lies in one; or the labels of the table. Names that differ in letter case
        or in the form of accents are one.

    Raises:
      UserError: there is no image in it, or the table cannot be used.
    """
    if is_table(source) and not source.is_dir():
        return find_in_table(source, use_labels)
    images = find_images(source)
    labels = _folder_labels(source, images.paths)
    is_labelled = use_labels and len(set(labels)) > 1 and "" not in labels
    found: dict[str, PhotoFile] = {}
    with progress("read", len(labels), "photos") as bar:
        for path, label in zip(images.paths, labels):
            bar.update()
            try:
                digest = hashlib.sha256(photo_files.read_file(path)).hexdigest()
            except photos.NotAPhoto as error:
                images.left_out.add(UNREADABLE, f"{path} ({error})")
                continue
            if digest in found:
                images.left_out.add(SAME_CONTENT, path)
                continue
            found[digest] = PhotoFile(path, digest, readable(label) if is_labelled else "")
    return list(found.values()), images.left_out


def _folder_labels(source: Path, paths: list[Path]) -> list[str]:
    """The sub-folder of each photo, in one spelling; "" if it lies in none."""
    faces = []
    for path in paths:
        *folders, _ = path.relative_to(source).parts
        faces.append(LabelledFace(str(path), path, label=folders[0] if folders else ""))
    return [face.label for face in with_one_spelling(Source("", faces, {})).faces]


def find_faces(
    found: list[PhotoFile], detector: Detector, boxes: str, out: Path, left_out: LeftOut
) -> list[JudgedFace]:
    """Finds the largest face of each photo and writes the picture of it that raters see.

    A search that was stopped goes on where it stopped.

    Args:
      found: the photos.
      detector: finds faces.
      boxes: DETECTED, or WHOLE to take each photo for a face. A photo of the size that `crop`
        writes is taken for a face, too. With DETECTED, the boxes that photos have are used.
      out: the project's folder.
      left_out: gets the photos without a face, with the reason.
    """
    (out / PICTURES).mkdir(exist_ok=True)
    earlier = _searched(out / SEARCHED, boxes)
    faces = []
    with (
        progress("faces", len(found), "photos") as bar,
        opencv.single_thread(),
        (out / SEARCHED).open("a", encoding="utf-8") as log,
    ):
        for photo in found:
            bar.update()
            face = earlier.get(photo.digest)
            if face is not None and face["given"] != _given(photo):
                face = None
            if face is None or not _has_pictures(out, photo.id, face["copied"]):
                face = _search(photo, detector, boxes, out, left_out)
                if face is not None:
                    log.write(json.dumps(face) + "\n")
                    log.flush()
            if face is not None:
                if face["several"]:
                    left_out.add(SEVERAL, photo.path)
                faces.append(JudgedFace(photo, box_of(face["box"]), face["copied"]))
            bar.set_postfix(faces=len(faces))
    return faces


def _search(
    photo: PhotoFile, detector: Detector, boxes: str, out: Path, left_out: LeftOut
) -> dict[str, Any] | None:
    """Finds the face of a photo and writes its picture; what is needed to find it again."""
    face = _find_face(photo, detector, boxes, left_out)
    if face is None:
        return None
    box, rgb, several = face
    judged = JudgedFace(photo, box, needs_copy(photo.path))
    write_picture(judged, rgb, out)
    return {
        "digest": photo.digest,
        "boxes": boxes,
        "box": list(box.sides),
        "given": _given(photo),
        "copied": judged.is_copied,
        "several": several,
    }


def _given(photo: PhotoFile) -> list[float] | None:
    """The box that a table gives, as JSON has it."""
    return None if photo.box is None else list(photo.box.sides)


def _searched(path: Path, boxes: str) -> dict[str, dict[str, Any]]:
    """What a search that was stopped had found, by digest; lines that are damaged are left out."""
    found = {}
    try:
        data = json_files.read_bytes(path, _MAX_SEARCHED_BYTES)
    except (OSError, ValueError):
        return {}
    for line in data.splitlines():
        with contextlib.suppress(ValueError, TypeError, KeyError):
            face = json_files.parse_object(line)
            box_of(face["box"])
            if face["boxes"] == boxes:
                found[str(face["digest"])] = {
                    **face,
                    "given": face.get("given"),
                    "copied": face["copied"] is True,
                    "several": face["several"] is True,
                }
    return found


def box_of(sides: Any) -> Box:
    """A box in fractions of a photo, as JSON has it: left, right, top, bottom.

    Raises:
      ValueError: it is no box.
      TypeError: likewise.
    """
    left, right, top, bottom = (float(side) for side in sides)
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        raise ValueError(f"{sides} is not a box")
    return Box(left, right, top, bottom)


def _has_pictures(out: Path, face_id: str, is_copied: bool) -> bool:
    paths = [picture_path(out, face_id)] + [copy_path(out, face_id)] * is_copied
    return all(path.exists() for path in paths)


def restore_pictures(faces: list[JudgedFace], out: Path) -> None:
    """Writes the pictures and copies that are missing."""
    (out / PICTURES).mkdir(exist_ok=True)
    for face in faces:
        if not _has_pictures(out, face.photo.id, face.is_copied):
            write_picture(face, photos.read_photo(face.photo.path, upright=True), out)


def write_picture(face: JudgedFace, rgb: np.ndarray, out: Path) -> None:
    """Writes a face's picture and, if the csv files need one, the copy of its photo.

    Args:
      face: the face.
      rgb: its photo, upright.
      out: the project's folder.
    """
    height, width = rgb.shape[:2]
    patch = crop.crop_patch(rgb, crop.grown_box(face.box, width, height))
    longest = max(patch.shape[:2])
    if longest > PICTURE_PX:
        sides = [max(1, round(side * PICTURE_PX / longest)) for side in patch.shape[:2]]
        patch = opencv.resize(patch, sides[1], sides[0])
    photos.write_jpeg(picture_path(out, face.photo.id), patch)
    if face.is_copied:
        (out / COPIES).mkdir(exist_ok=True)
        photos.write_png(copy_path(out, face.photo.id), rgb)


def picture_path(out: Path, face_id: str) -> Path:
    """The JPEG file that raters see of a face."""
    return out / PICTURES / f"{face_id}.jpg"


def copy_path(out: Path, face_id: str) -> Path:
    """The upright PNG copy of a face's photo."""
    return out / COPIES / f"{face_id}.png"


def needs_copy(path: Path) -> bool:
    """Whether `fetch` refuses the file, or its pixels are not upright."""
    data = photo_files.read_file(path)
    if not photo_files.starts_like_photo(data[:32]) or photo_files.find_defect(path):
        return True
    layout = photo_files.read_layout(data)
    return orientation.exif_orientation(layout.exif) != orientation.UPRIGHT


def _find_face(
    photo: PhotoFile, detector: Detector, boxes: str, left_out: LeftOut
) -> tuple[Box, np.ndarray, bool] | None:
    """The largest face of a photo, its photo, and whether there are several."""
    try:
        rgb = photos.read_photo(photo.path, upright=True)
    except photos.NotAPhoto as error:
        left_out.add(UNREADABLE, f"{photo.path} ({error})")
        return None
    height, width = rgb.shape[:2]
    is_face = photo.box is None and (height, width) == (crop.FACE_PX, crop.FACE_PX)
    if boxes == WHOLE or is_face:
        return _WHOLE_BOX, rgb, False
    detections = detector.detect(rgb) if photo.box is None else []
    if photo.box is None and not detections:
        left_out.add(NO_FACE, photo.path)
        return None
    box = photo.box or geometry.to_fractions(_largest(detections).box, width, height)
    grown = crop.grown_box(box, width, height)
    if min(grown.width, grown.height) < crop.MIN_BOX_PX:
        left_out.add(TOO_SMALL, photo.path)
        return None
    return box, rgb, len(detections) > 1


def _largest(detections: list[Detection]) -> Detection:
    return max(detections, key=lambda each: each.box.width * each.box.height)
