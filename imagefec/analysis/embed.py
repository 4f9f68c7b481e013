"""Embeds photo and face files into one file; its formats are in embedding_file.py."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from absl import logging

from imagefec.analysis import embedding_file
from imagefec.analysis.face_files import COMPLETE, FaceRows, each_face
from imagefec.errors import UserError
from imagefec.faces.image_files import find_images
from imagefec.paths import user_path
from imagefec.progress import progress

if TYPE_CHECKING:
    pass

ON_NO_FACE = ("raise", "skip", "whole")


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
      out: file to write, .npz, .parquet or .csv; its folder is created if missing. It appears
        complete when all is done, in place of an older one; of two commands that write the same
        file, the last one's remains. Columns (arrays of an .npz; a .csv has one column for each
        number, as vectors_0, vectors_1, … and boxes_0 to boxes_3): vectors: float32 [n, d], unit
        length. ids: unique; the face id of a face written by crop, else the path, followed by #1,
        #2, … (best score first) for the faces detected in a photo. urls: the photo's URL for a face
        listed in crop's faces.csv, else the file's own URL. paths: the image files. boxes: float32
        [n, 4], left, right, top, bottom of the face in pixels of the (upright) image. scores:
        float32 [n], the detector's; NaN if nothing was detected.
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
    _check_on_no_face(on_no_face)
    out = user_path(out, "--out")
    embedding_file.check_output(out)
    embedded = embed_files(run_dir, paths, on_no_face, detector, min_score)
    found, n_images = embedded.rows, embedded.n_images
    if not found.ids:
        raise UserError(
            f"{out}: nothing to write, because none of {n_images} images shows a face "
            f"({'; '.join(found.left_out.lines())}). Embed complete photos with --on_no_face "
            "whole, or give other images."
        )
    embedding_file.write_columns(out, {"vectors": embedded.vectors, **found.columns()})
    for line in found.complete.lines():
        logging.warning("%s", line)
    for line in found.left_out.lines():
        logging.warning("left out, %s", line)
    return {
        "path": str(out),
        "run": str(run_dir),
        "step": embedded.step,
        "n_faces": len(found.ids),
        "n_images": len(set(found.paths)),
        "complete": found.complete.counts.get(COMPLETE, 0),
        "left_out": found.left_out.as_json(),
    }


@dataclass(frozen=True)
class EmbeddedFiles:
    """The faces of image files and their vectors.

    Attributes:
      vectors: float32 [n, d], unit length.
      rows: names, boxes and scores of the n faces, and what was left out.
      faces: the n faces, uint8 [128, 128, 3] each, if they were to be kept.
      n_images: number of images that were found.
      step: training step of the run; None if unknown.
    """

    vectors: np.ndarray
    rows: FaceRows
    faces: list[np.ndarray]
    n_images: int
    step: int | None


def embed_files(
    run_dir: str | os.PathLike[str],
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    on_no_face: str = "whole",
    detector: str = "auto",
    min_score: float | None = None,
    keep_faces: bool = False,
) -> EmbeddedFiles:
    """Embeds the faces in image files; as `embed_and_count`, but writes nothing.

    Args:
      run_dir: as for `embed_and_count`; likewise the others.
      paths: likewise.
      on_no_face: likewise.
      detector: likewise.
      min_score: likewise.
      keep_faces: also return the faces, which take 49 kB each.

    Raises:
      UserError: as `embed_and_count`, except that there may be no face.
    """
    from imagefec.faces.detectors import make_detector
    from imagefec.model import Embedder
    from imagefec.model.run import Run

    _check_on_no_face(on_no_face)
    images = find_images(paths)
    face_detector = make_detector(detector, min_score)
    run = Run.open(run_dir)
    embedder = Embedder.load(run)
    if run.without_best:
        logging.warning("%s", run.without_best)
    crop_detection = embedder.cropper(face_detector)
    found, kept = FaceRows(images.left_out), list[np.ndarray]()

    def faces() -> Iterator[np.ndarray]:
        for face in each_face(images, face_detector, crop_detection, on_no_face, found, bar.update):
            if keep_faces:
                kept.append(face)
            yield face

    with progress("embed", total=len(images.paths), unit="images") as bar:
        vectors = embedder.embed(faces())
    return EmbeddedFiles(vectors, found, kept, len(images.paths), embedder.info.get("step"))


def _check_on_no_face(on_no_face: str) -> None:
    if on_no_face not in ON_NO_FACE:
        raise UserError(f"on_no_face = {on_no_face!r}: allowed are {', '.join(ON_NO_FACE)}.")
