"""The faces of a user's own image files for a gallery: embedded now, or rows of embed's file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from absl import logging

from imagefec.analysis.gallery.faces import GalleryFaces, left_out_text
from imagefec.analysis.vectors.matching import NOT_FINITE, REPEATED, ZERO
from imagefec.analysis.vectors.vector_file import VectorFile, unit_length
from imagefec.errors import UserError
from imagefec.faces.image_files import LeftOut

if TYPE_CHECKING:
    from imagefec.maths.geometry import Box

NO_PICTURE = "no such file"
_ADVICE = "Give more photos or exclude fewer."


def faces_of_photos(
    run_dir: str | os.PathLike[str],
    photos: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    on_no_face: str,
    detector: str,
) -> GalleryFaces:
    """Finds and embeds the faces of image files, as `imagefec embed` does.

    Args:
      run_dir: as for `embed.embed_and_count`; likewise the others.
      photos: likewise.
      on_no_face: likewise.
      detector: likewise.

    Raises:
      UserError: as for `embed.embed_files`.
    """
    from imagefec.analysis.embed import embed_files

    found = embed_files(run_dir, photos, on_no_face, detector, keep_faces=True)
    rows = found.rows
    for line in (*rows.complete.lines(), *(f"left out, {line}" for line in rows.left_out.lines())):
        logging.warning("%s", line)
    step = f" · step {found.step:,}" if isinstance(found.step, int) else ""
    facts = f"{_counted(len(set(rows.paths)), 'photo')}{step}{left_out_text(rows.left_out.counts)}"
    return GalleryFaces(
        faces=found.faces,
        face_ids=rows.ids,
        urls=rows.urls,
        names=[_names(*names) for names in zip(rows.ids, rows.urls, rows.paths)],
        known=np.ones(len(rows.ids), bool),
        boxes=rows.columns()["boxes"],
        embed=lambda: found.vectors,
        source=Path(run_dir),
        describe=lambda _: facts,
        advice=_ADVICE,
        left_out=rows.left_out.counts,
    )


def faces_of_file(file: VectorFile, normalise: bool) -> GalleryFaces:
    """The rows of a file that `imagefec embed` or another program wrote; pictures from its paths.

    Args:
      file: the rows.
      normalise: scale the vectors to length 1.

    Raises:
      UserError: the file has no paths, none of them exists, or two rows of one id differ.
    """
    if file.paths is None:
        raise UserError(
            f"{file.path}: it has no paths, so there is no picture to show. Give --data_dir if its "
            "ids are those of a dataset's faces, or add paths: the image file of each row."
        )
    vectors, usable = file.vectors, file.usable
    has_length = np.ones(len(file), bool)
    if normalise:
        vectors, has_length = unit_length(vectors)
    ids = [file.name_of(row) for row in range(len(file))]
    left_out, known, first_of = LeftOut(), np.zeros(len(file), bool), dict[str, int]()
    for row, path in enumerate(file.paths):
        first = row if file.ids is None else first_of.setdefault(ids[row], row)
        if first != row:
            file.check_equal(first, row)
            left_out.add(REPEATED, ids[row])
        elif not usable[row]:
            left_out.add(NOT_FINITE, ids[row])
        elif not has_length[row]:
            left_out.add(ZERO, ids[row])
        elif not os.path.isfile(path):  # noqa: PTH113  # no error for any text
            left_out.add(NO_PICTURE, path)
        else:
            known[row] = True
    for line in left_out.lines():
        logging.warning("left out, %s", line)
    if set(left_out.counts) == {NO_PICTURE} and not known.any():
        raise UserError(
            f"{file.path}: none of its {len(file):,} paths is a file, the first: {file.paths[0]}. "
            "Relative paths are from the current folder: run this where the file was made, or make "
            "it again."
        )
    urls = [(file.urls[row] if file.urls else "") or file.paths[row] for row in range(len(file))]
    facts = _counted(len(set(np.array(file.paths)[known].tolist())), "photo")
    return GalleryFaces(
        faces=_Pictures(file),
        face_ids=ids,
        urls=urls,
        names=[_names(*names) for names in zip(ids, urls, file.paths)],
        known=known,
        embed=lambda: vectors,
        source=file.path,
        describe=lambda _: f"{facts}{left_out_text(left_out.counts)}",
        advice=_ADVICE,
        left_out=left_out.counts,
    )


class _Pictures(Sequence[np.ndarray]):
    """The faces of a file's rows, each read from its image file on access."""

    def __init__(self, file: VectorFile) -> None:
        self._file = file

    def __len__(self) -> int:
        return len(self._file)

    def __getitem__(self, row: int) -> np.ndarray:  # type: ignore[override] # no slices
        """Reads one face.

        Raises:
          NotAPhoto: its file cannot be read.
        """
        from imagefec.faces import crop
        from imagefec.faces.detectors.protocol import Detection
        from imagefec.faces.photos import read_photo

        assert self._file.paths is not None
        photo = read_photo(self._file.paths[row], upright=True)
        height, width = photo.shape[:2]
        box = None if self._file.boxes is None else _box(self._file.boxes[row], width, height)
        if box is None:
            return crop.letterbox(photo)[0]
        face = crop.crop_detection(photo, Detection(box, 1.0)).face
        return crop.letterbox(photo)[0] if face is None else face


def _box(sides: np.ndarray, width: int, height: int) -> Box | None:
    """The box of a face; None for the complete photo, or if it is none in the photo."""
    from imagefec.maths.geometry import Box, clip

    if not np.isfinite(sides).all() or sides.tolist() == [0, width, 0, height]:
        return None
    box = clip(Box(*map(float, sides)), width, height)
    return box if box.width >= 1 and box.height >= 1 else None


def _names(face_id: str, url: str, path: str) -> tuple[str, ...]:
    return face_id, url, path, Path(path).name


def _counted(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"
