"""Embeds photo and face files into one file; its formats are in embedding_file.py."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from absl import logging

from imagefec.analysis import embedding_file
from imagefec.errors import UserError
from imagefec.faces.image_files import ImageFiles, LeftOut, find_images
from imagefec.paths import user_path
from imagefec.progress import progress

if TYPE_CHECKING:
    from imagefec.faces.crop import FaceCrop
    from imagefec.faces.detectors import Detection, Detector

ON_NO_FACE = ("raise", "skip", "whole")
UNREADABLE, NO_FACE = "unreadable", "no face found"
COMPLETE = "no face found, so the complete photo was embedded"


def embed_paths(
    run_dir: str | os.PathLike[str],
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    on_no_face: str = "whole",
    detector: str = "auto",
    min_score: float | None = None,
) -> Path:
    """Embeds the faces in image files and writes one row per face.

    As `embed_and_count`, but returns only `out` as a path.
    """
    return Path(embed_and_count(run_dir, paths, out, on_no_face, detector, min_score)["path"])


def embed_and_count(
    run_dir: str | os.PathLike[str],
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    on_no_face: str = "whole",
    detector: str = "auto",
    min_score: float | None = None,
) -> dict[str, Any]:
    """Embeds the faces in image files, writes one row per face, and counts what was left out.

    An image of 128 x 128 pixels, the size that `imagefec crop` writes, is embedded as a face. Any
    other image is a photo: it is rotated by its EXIF orientation, and each detected face is cropped
    as in the dataset. So one photo may give several rows.

    Args:
      run_dir: a training run's directory.
      paths: image files and folders of them, as for `image_files.find_images`.
      out: file to write, .npz or .parquet; its folder is created if missing. It appears complete
        when all is done, in place of an older one; of two commands that write the same file, the
        last one's remains. Columns (arrays of an .npz): vectors: float32 [n, d], unit length. ids:
        unique; the face id of a face written by crop, else the path, followed by #1, #2, … (best
        score first) for the faces detected in a photo. urls: the photo's URL for a face listed in
        crop's faces.csv, else the file's own URL. paths: the image files. boxes: float32 [n, 4],
        left, right, top, bottom of the face in pixels of the (upright) image. scores: float32 [n],
        the detector's; NaN if nothing was detected.
      on_no_face: what to do with a photo without a face. "whole" embeds the complete photo, scaled
        and padded to a face's size; "skip" skips it; "raise" raises UserError. A file of a folder
        that cannot be read as an image is skipped, unless this is "raise"; one that was given by
        name raises UserError, unless this is "skip". At the end, what was skipped is logged.
      detector: see imagefec.faces.detectors.make_detector.
      min_score: likewise.

    Returns:
      JSON values: path (of the file), run, step, n_faces (rows), n_images (with at least a row),
      complete (photos without a face that were embedded complete) and left_out: reason -> {"count",
      "first" (names)}.

    Raises:
      ValueError: an argument is of another type.
      UserError: there is no such run, path or image; a photo shows no face and on_no_face is
        "raise"; no face remains; or `out` cannot be written.
    """
    if on_no_face not in ON_NO_FACE:
        raise UserError(f"on_no_face = {on_no_face!r}: allowed are {', '.join(ON_NO_FACE)}.")
    out = user_path(out, "--out")
    embedding_file.check_output(out)
    images = find_images(paths)

    from imagefec.faces.detectors import make_detector
    from imagefec.model import Embedder

    face_detector = make_detector(detector, min_score)
    embedder = Embedder.load(run_dir)
    crop_detection = embedder.cropper(face_detector)
    found = _FaceRows(images.left_out)
    with progress("embed", total=len(images.paths), unit="images") as bar:
        faces = _faces(images, face_detector, crop_detection, on_no_face, found, bar.update)
        vectors = embedder.embed(faces)
    if not found.ids:
        raise UserError(
            f"{out}: nothing to write, because none of {len(images.paths)} images shows a face "
            f"({'; '.join(found.left_out.lines())}). Embed complete photos with --on_no_face "
            "whole, or give other images."
        )
    embedding_file.write_columns(out, {"vectors": vectors, **found.columns()})
    for line in found.complete.lines():
        logging.warning("%s", line)
    for line in found.left_out.lines():
        logging.warning("left out, %s", line)
    return {
        "path": str(out),
        "run": str(run_dir),
        "step": embedder.info.get("step"),
        "n_faces": len(found.ids),
        "n_images": len(set(found.paths)),
        "complete": found.complete.counts.get(COMPLETE, 0),
        "left_out": found.left_out.as_json(),
    }


@dataclass
class _FaceRows:
    """The columns of the output except the vectors, and which images have no row and why."""

    left_out: LeftOut
    complete: LeftOut = field(default_factory=LeftOut)
    ids: list[str] = field(default_factory=list)
    urls: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    boxes: list[tuple[float, ...]] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    _used: set[str] = field(default_factory=set)

    def add(self, face_id: str, url: str, path: Path, box: tuple[float, ...], score: float) -> None:
        if face_id in self._used:  # of two folders of faces that were cropped from the same photos
            face_id = _text(path)
        self._used.add(face_id)
        self.ids.append(face_id)
        self.urls.append(url)
        self.paths.append(_text(path))
        self.boxes.append(box)
        self.scores.append(score)

    def columns(self) -> dict[str, np.ndarray]:
        return {
            "ids": np.array(self.ids),
            "urls": np.array(self.urls),
            "paths": np.array(self.paths),
            "boxes": np.array(self.boxes, np.float32),
            "scores": np.array(self.scores, np.float32),
        }


def _faces(
    images: ImageFiles,
    detector: Detector,
    crop_detection: Callable[[np.ndarray, Detection], FaceCrop],
    on_no_face: str,
    found: _FaceRows,
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


def _takes_complete(path: Path, detector: Detector, on_no_face: str, found: _FaceRows) -> bool:
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
