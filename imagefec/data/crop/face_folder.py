"""The folder of cropped faces: paths of the PNGs, the manifest faces.csv, the settings, the lock.

`stage` decides which faces are cropped.
"""

import csv
import io
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from imagefec import files, json_files
from imagefec.data.exclusion import EXCLUDED
from imagefec.errors import UserError
from imagefec.faces.crop_settings import ALIGNMENT
from imagefec.fec import is_face_id
from imagefec.maths.geometry import Box
from imagefec.paths import user_path

MANIFEST = "faces.csv"
SETTINGS = "settings.json"
REPORT = "report.json"
LOCK = "crop.lock"
HEADER = "face_id,url,left,right,top,bottom,kept,reason,detector,score,upscaled"
FORMAT = 2  # increase if the same photo and settings would give another face file


@dataclass(frozen=True, slots=True)
class FaceRecord:
    """The outcome of one face.

    Attributes:
      kept: whether the face has a PNG.
      reason: why the face was dropped; "" if it was not.
      detector: name of the detector.
      score: the detector's score, in its own scale; None if it found no face.
      upscaled: whether the cropped patch was smaller than 128 px.
      path: of the PNG; None if the face was dropped.
    """

    kept: bool
    reason: str
    detector: str
    score: float | None
    upscaled: bool
    path: Path | None


def read_faces(faces_dir: str | os.PathLike[str]) -> dict[str, FaceRecord]:
    """Reads the outcome of every face from a folder of cropped faces.

    Args:
      faces_dir: folder that `crop_faces` wrote.

    Returns:
      FaceRecord by face id.

    Raises:
      UserError: the folder has no faces.csv, or a damaged one.
    """
    faces_dir = user_path(faces_dir, "faces_dir")
    if not (faces_dir / MANIFEST).is_file():
        raise UserError(
            f"{faces_dir}: no {MANIFEST} in it, so no faces were cropped to it. Give the --faces "
            "folder that `imagefec crop` wrote, or run `imagefec crop` first."
        )
    return {face_id: record for face_id, record, _ in read_manifest(faces_dir)}


def face_path(faces_dir: Path, face_id: str) -> Path:
    """Path of a face's PNG, in one of 256 subfolders; the id has been checked by `is_face_id`."""
    return faces_dir / face_id[:2] / f"{face_id}.png"


def manifest_line(
    face_id: str,
    url: str,
    box: Box,
    reason: str,
    detector: str,
    score: float | None,
    upscaled: bool,
) -> str:
    """One face's line of faces.csv, with its line end.

    Args:
      face_id: of the face.
      url: of the photo.
      box: in fractions of the photo.
      reason: why the face was dropped; "" if it was not.
      detector: name of the detector.
      score: the detector's score; None if it found no face.
      upscaled: whether the cropped patch was smaller than 128 px.
    """
    sides = (repr(float(side)) for side in box.sides)
    score_text = "" if score is None else f"{score:.4f}"
    return _csv_line(
        [face_id, url, *sides, int(not reason), reason, detector, score_text, int(upscaled)]
    )


def read_manifest(faces_dir: Path) -> Iterator[tuple[str, FaceRecord, str]]:
    """Yields (face id, record, line) from faces.csv; a face's last line overrides earlier ones.

    A last line without a line end was left incomplete by a killed crop and is skipped. A folder
    without faces.csv has no lines.

    Args:
      faces_dir: folder of the faces.

    Raises:
      UserError: a line is damaged.
    """
    path = faces_dir / MANIFEST
    try:
        with path.open(encoding="utf-8", newline="") as manifest:
            for number, line in enumerate(manifest, start=1):
                if not line.endswith("\n"):
                    return
                if number == 1:
                    if line.rstrip("\r\n") != HEADER:
                        found = f"the header is {line.strip()[:80]!r}, not {HEADER!r}"
                        raise _damaged(path, number, found)
                    continue
                yield *_parsed(faces_dir, path, number, line), line
    except FileNotFoundError:
        return
    except UnicodeDecodeError:
        raise _damaged(path, None, "the text is not UTF-8") from None


def excluded_line(line: str) -> str:
    """The line of faces.csv that replaces `line` if its face is excluded."""
    (cells,) = csv.reader((line,), strict=True)
    return _csv_line([*cells[:6], 0, EXCLUDED, cells[8], "", 0])


def url_of(line: str) -> str:
    """The URL in a line of faces.csv."""
    return next(csv.reader((line,), strict=True))[1]


def box_of(line: str) -> Box:
    """The box in a line of faces.csv, in fractions of the photo."""
    return Box(*map(float, next(csv.reader((line,), strict=True))[2:6]))


def delete_face(faces_dir: Path, face_id: str) -> None:
    """Deletes a face's PNG if it exists, and its subfolder if then empty."""
    path = face_path(faces_dir, face_id)
    path.unlink(missing_ok=True)
    with suppress(OSError):  # not empty, or absent
        path.parent.rmdir()


def open_manifest(faces_dir: Path) -> TextIO:
    """Opens faces.csv for appending; removes the incomplete line of a killed crop."""
    path = faces_dir / MANIFEST
    with path.open("ab+") as manifest:
        size = manifest.seek(0, os.SEEK_END)
        manifest.seek(max(size - 65536, 0))
        tail = manifest.read()
        manifest.truncate(size - len(tail) + tail.rfind(b"\n") + 1)
        manifest.seek(0, os.SEEK_END)
        if manifest.tell() == 0:
            manifest.write(HEADER.encode() + b"\n")
    return path.open("a", encoding="utf-8", newline="")


def sort_manifest(faces_dir: Path) -> dict[str, FaceRecord]:
    """Sorts faces.csv by face id, one line per face: the same bytes for any order of work.

    Args:
      faces_dir: folder of the faces.

    Returns:
      The records by face id, as `read_faces`.
    """
    lines, records = {}, {}
    for face_id, record, line in read_manifest(faces_dir):
        lines[face_id], records[face_id] = line, record
    ordered = (lines[face_id] for face_id in sorted(lines))
    with files.atomic_open(faces_dir / MANIFEST, "w", encoding="utf-8", newline="") as manifest:
        manifest.writelines((f"{HEADER}\n", *ordered))
    return records


def claim(faces_dir: Path, settings: dict[str, Any], compared: Iterable[str]) -> None:
    """As `check_settings`, then writes settings.json unless it is there."""
    if not check_settings(faces_dir, settings, compared):
        files.write_text(faces_dir / SETTINGS, json.dumps(settings, indent=2) + "\n")


def check_settings(faces_dir: Path, settings: dict[str, Any], compared: Iterable[str]) -> bool:
    """Whether the folder has a settings.json, which must agree.

    Args:
      faces_dir: folder of the faces.
      settings: all settings of this crop.
      compared: names of the settings that must agree.

    Raises:
      UserError: the folder's faces were cropped with other settings.
    """
    path = faces_dir / SETTINGS
    if not path.exists():
        if (faces_dir / MANIFEST).exists():
            raise UserError(
                f"{faces_dir}: it has {MANIFEST} but no {SETTINGS}, so the settings of its faces "
                "are unknown. Give another --faces folder, or delete this one and crop again."
            )
        return False
    try:
        # Folders of earlier versions do not record the alignment: they have none.
        found = {ALIGNMENT: "none"} | json_files.read_json(path)
        differing = json_files.differing(found, settings, compared)
    except (ValueError, AttributeError, TypeError):
        raise UserError(f"{path}: damaged. Delete the folder {faces_dir} and crop again.") from None
    if differing:
        earlier, now = differing
        raise UserError(
            f"{faces_dir}: its faces were cropped with {earlier}, this crop uses {now}; the two "
            "must not be mixed. Give another --faces folder, or use the same settings."
        )
    return True


def write_report(faces_dir: Path, report: dict[str, Any]) -> None:
    """Writes report.json."""
    files.write_text(faces_dir / REPORT, json.dumps(report, indent=2, ensure_ascii=False) + "\n")


def refuse_links(faces_dir: Path) -> None:
    """Raises UserError if links lead to files outside of the folder, which a crop would write."""
    files.refuse_links(faces_dir, (MANIFEST, "??"))


@contextmanager
def locked(faces_dir: Path) -> Iterator[None]:
    """Prevents two crops to one folder, and deletes the temporary files of a killed crop.

    Args:
      faces_dir: made if missing.

    Raises:
      UserError: another crop holds the lock, or links lead out of the folder, so that files
        elsewhere would be written or deleted.
    """
    refuse_links(faces_dir)
    with files.folder_lock(faces_dir, "crop", "--faces", LOCK, "??"):
        yield


def _csv_line(cells: Iterable[object]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()


def _parsed(faces_dir: Path, path: Path, number: int, line: str) -> tuple[str, FaceRecord]:
    try:
        (cells,) = csv.reader((line,), strict=True)
        face_id, _, _, _, _, _, kept, reason, detector, score, upscaled = cells
        # Paths are made of the id: others than crop's own may lead out of the folder.
        if kept not in ("0", "1") or upscaled not in ("0", "1") or not is_face_id(face_id):
            raise ValueError
        record = FaceRecord(
            kept == "1",
            reason,
            detector,
            float(score) if score else None,
            upscaled == "1",
            face_path(faces_dir, face_id) if kept == "1" else None,
        )
    except (ValueError, csv.Error):
        found = f"{line.strip()[:80]!r} is not a line of {HEADER} (face_id: 20 digits of 0-9a-f)"
        raise _damaged(path, number, found) from None
    return face_id, record


def _damaged(path: Path, number: int | None, found: str) -> UserError:
    where = path if number is None else f"{path}, line {number}"
    return UserError(
        f"{where}: {found}. Delete that line, or the file, and run `imagefec crop` again: it crops "
        "the faces that are not listed."
    )
