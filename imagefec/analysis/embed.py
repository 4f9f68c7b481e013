"""From picture files to a file of embeddings; finding pictures and writing the result, no drawing."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from absl import logging

from imagefec.errors import UserError

if TYPE_CHECKING:
    from imagefec.faces.detectors import Detector

PICTURES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
ON_NO_FACE = ("raise", "skip", "whole")
FORMATS = (".npz", ".parquet")


def embed_paths(
    run_dir: str | os.PathLike,
    paths: str | os.PathLike | Iterable[str | os.PathLike],
    out: str | os.PathLike,
    on_no_face: str = "whole",
    detector: str = "auto",
    min_score: float | None = None,
) -> Path:
    """Embeds the faces of picture files and writes them, one row a face.

    A picture of 128 x 128 pixels is a face, as `imagefec crop` writes them, and is embedded as it
    is. Any other is a photograph: turned as its EXIF asks, each face found in it is cropped as the
    dataset's are. So one photograph may give several rows.

    Args:
      run_dir: a training run's directory.
      paths: picture files and folders; of a folder all pictures, in its folders too, told by their
        suffix.
      out: file to write, .npz or .parquet; its folder is made if missing. Columns (arrays of an
        .npz): vectors: float32 [n, d], unit length. ids: for a face that crop wrote its face id,
        else its path, with #1, #2, … (best score first) for the faces found in a photograph. No two
        rows share one. urls: where the photograph came from, for a face listed in crop's faces.csv;
        else the file's own URL. paths: the picture's path. boxes: float32 [n, 4], left, right, top,
        bottom of the face in pixels of the (upright) picture. scores: float32 [n], the detector's;
        NaN where nothing was detected.
      on_no_face: of a photograph without a face, "whole" embeds the whole picture, scaled and
        padded to a face's format; "skip" leaves it out, as well as files that cannot be read as a
        picture, and logs how many; "raise" refuses it.
      detector, min_score: of imagefec.faces.detectors.make_detector.

    Returns:
      `out` as a path.

    Raises:
      UserError: no such run, path or picture, a photograph without a face (if so asked), none left
        to write, or `out` cannot be written.
    """
    if on_no_face not in ON_NO_FACE:
        raise UserError(f"on_no_face = {on_no_face!r}: allowed are {', '.join(ON_NO_FACE)}.")
    out = _checked_out(out)
    files = find_pictures(paths)

    from imagefec.faces.detectors import make_detector
    from imagefec.model import Embedder

    finder = make_detector(detector, min_score)
    embedder = Embedder.load(run_dir)
    found = _Found()
    vectors = embedder.embed(_faces(files, finder, on_no_face, found))
    if found.skipped:
        logging.warning(
            "%d of %d pictures left out, the first: %s",
            len(found.skipped),
            len(files),
            found.skipped[0],
        )
    if not found.ids:
        raise UserError(
            f"{out}: nothing to write, for none of {len(files)} pictures shows a face "
            f"({found.skipped[0]}). Embed them whole with --on_no_face whole, or give others."
        )
    _write(out, {"vectors": vectors, **found.columns()})
    return out


def find_pictures(paths: str | os.PathLike | Iterable[str | os.PathLike]) -> list[Path]:
    """The picture files meant by files and folders: in the order given, a folder's sorted, none twice.

    Raises:
      UserError: a path does not exist, a folder holds no picture, or no path was given.
    """
    files: dict[Path, None] = {}
    for path in [paths] if isinstance(paths, (str, os.PathLike)) else paths:
        path = Path(path)
        if path.is_dir():
            inside = sorted(
                file
                for file in path.rglob("*")
                if file.suffix.lower() in PICTURES and file.is_file()
            )
            if not inside:
                raise UserError(
                    f"{path}: no pictures in this folder or below; they are told by their suffix "
                    f"({', '.join(PICTURES)}). Name files without it one by one."
                )
            files.update(dict.fromkeys(inside))
        elif path.exists():
            files[path] = None
        else:
            raise UserError(
                f"{path}: there is no such file or folder. Give picture files or folders of them."
            )
    if not files:
        raise UserError("No picture was named. Give picture files or folders of them.")
    return list(files)


@dataclass
class _Found:
    """What is known of each face besides its embedding; and the pictures left out, with the reason."""

    ids: list[str] = field(default_factory=list)
    urls: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    boxes: list[tuple[float, ...]] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    def add(self, face_id: str, url: str, path: Path, box: tuple[float, ...], score: float) -> None:
        for column, value in zip(
            (self.ids, self.urls, self.paths, self.boxes, self.scores),
            (face_id, url, _text(path), box, score),
        ):
            column.append(value)

    def columns(self) -> dict[str, np.ndarray]:
        return {
            "ids": np.array(self.ids),
            "urls": np.array(self.urls),
            "paths": np.array(self.paths),
            "boxes": np.array(self.boxes, np.float32),
            "scores": np.array(self.scores, np.float32),
        }


def _faces(
    files: Sequence[Path], finder: Detector, on_no_face: str, found: _Found
) -> Iterator[np.ndarray]:
    """Yields the faces one by one, noting each in `found` as it goes."""
    from imagefec.faces import crop
    from imagefec.faces.photos import NotAPhoto, read_photo

    books = _Books()
    for path in files:
        try:
            picture = read_photo(path, upright=True)
        except NotAPhoto as error:
            if on_no_face != "skip":
                raise UserError(
                    f"{path}: {error}. Give picture files; --on_no_face skip leaves such a file "
                    "out."
                ) from None
            found.skipped.append(f"{path}: {error}")
            continue
        height, width = picture.shape[:2]
        whole = (0, width, 0, height)
        if (height, width) == (crop.FACE_PX, crop.FACE_PX):
            found.add(*books.id_and_url(path), path, whole, np.nan)
            yield picture
            continue
        detections = finder.detect(picture)
        url = _file_url(path)
        for number, detection in enumerate(detections, start=1):
            box = detection.box
            sides = box.sides
            found.add(f"{_text(path)}#{number}", url, path, sides, detection.score)
            yield crop.crop_detection(picture, detection).face
        if detections:
            continue
        if on_no_face == "raise":
            raise UserError(
                f"{path}: detector {finder.name} found no face in it. Give another photograph, or "
                "choose --on_no_face skip (leave such out) or whole (take the whole picture)."
            )
        if on_no_face == "skip":
            found.skipped.append(f"{path}: no face found")
            continue
        found.add(_text(path), url, path, whole, np.nan)
        yield crop.letterbox(picture)[0]


class _Books:
    """The faces.csv files met on the way, each read once."""

    def __init__(self) -> None:
        self._url_of: dict[Path, dict[str, str]] = {}

    def id_and_url(self, path: Path) -> tuple[str, str]:
        from imagefec.data.crop import face_folder

        # As crop has it: FACES/ab/<face id>.png, and FACES/faces.csv with the url.
        folder = path.absolute().parent.parent
        if face_folder.face_path(folder, path.stem) == path.absolute():
            if folder not in self._url_of:
                there = (folder / face_folder.BOOK).is_file()
                self._url_of[folder] = (
                    {
                        face_id: next(csv.reader([line]))[1]
                        for face_id, _, line in face_folder.read_book(folder)
                    }
                    if there
                    else {}
                )
            if path.stem in self._url_of[folder]:
                return path.stem, self._url_of[folder][path.stem]
        return _text(path), _file_url(path)


def _file_url(path: Path) -> str:
    return path.absolute().as_uri()


def _text(path: Path) -> str:
    # File names need not be text; what is written must be.
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _checked_out(out: str | os.PathLike) -> Path:
    """Refuses, before any work, what could not be written after it."""
    out = Path(out)
    if out.suffix.lower() not in FORMATS:
        raise UserError(
            f"{out}: the suffix says what to write; allowed are {' and '.join(FORMATS)}."
        )
    if out.suffix.lower() == ".parquet":
        _pyarrow()
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(out, error) from None
    if out.is_dir():
        raise UserError(f"{out}: is a folder. Give the name of a file to write.")
    if not os.access(out.parent, os.W_OK):
        raise UserError(f"{out.parent}: no permission to write here. Give --out elsewhere.")
    return out


def _write(out: Path, columns: dict[str, np.ndarray]) -> None:
    from imagefec.faces.photos import write_bytes

    file = io.BytesIO()
    if out.suffix.lower() == ".npz":
        np.savez_compressed(file, **columns)
    else:
        _write_parquet(file, columns)
    try:
        write_bytes(out, file.getvalue())
    except OSError as error:
        raise _unwritable(out, error) from None


def _write_parquet(file: io.BytesIO, columns: dict[str, np.ndarray]) -> None:
    pyarrow, parquet = _pyarrow()
    table = {}
    for name, column in columns.items():
        if column.ndim == 2:  # a list of fixed length in each row
            flat = pyarrow.array(np.ascontiguousarray(column).reshape(-1))
            table[name] = pyarrow.FixedSizeListArray.from_arrays(flat, column.shape[1])
        else:
            table[name] = pyarrow.array(column.tolist() if column.dtype.kind == "U" else column)
    parquet.write_table(pyarrow.table(table), file)


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise UserError(
            "Writing .parquet needs pyarrow, which is not installed: pip install pyarrow. Or "
            "write .npz, which needs nothing more."
        ) from None
    return pyarrow, parquet


def _unwritable(out: Path, error: OSError) -> UserError:
    return UserError(
        f"{out}: cannot be written ({error.strerror or error}). Give --out where there is free "
        "space and write permission."
    )
