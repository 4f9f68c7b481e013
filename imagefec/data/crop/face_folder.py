"""The folder of cut faces: where a face's PNG lies, its book faces.csv, its settings and its lock.

What is cut, and by whom, is decided in `face_files`.
"""

import csv
import fcntl
import io
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from imagefec.data.exclusion import EXCLUDED
from imagefec.errors import UserError
from imagefec.maths.geometry import Box

BOOK = "faces.csv"
SETTINGS = "settings.json"
REPORT = "report.json"
HEADER = "face_id,url,left,right,top,bottom,kept,reason,detector,score,upscaled"
FORMAT = 1  # goes up when the same photo and settings would give another face file


@dataclass(frozen=True, slots=True)
class FaceRecord:
    """What became of one face: `path` is its PNG, None where dropped; `score` None where nothing was found.

    `reason` says why it was dropped, "" where kept; `upscaled` says that its patch was smaller than
    128 px.
    """

    kept: bool
    reason: str
    detector: str
    score: float | None
    upscaled: bool
    path: Path | None


def read_faces(faces_dir: str | os.PathLike) -> dict[str, FaceRecord]:
    """Reads what became of every face that crop has seen, by face id.

    Raises:
      UserError: there is no faces.csv in the folder, or it is damaged.
    """
    faces_dir = Path(faces_dir)
    if not (faces_dir / BOOK).is_file():
        raise UserError(
            f"{faces_dir}: found no {BOOK}, so no faces were cut here; give the --faces folder that "
            "`imagefec crop` wrote, or run `imagefec crop` first."
        )
    return {face_id: record for face_id, record, _ in read_book(faces_dir)}


def face_path(faces_dir: Path, face_id: str) -> Path:
    """Where a face's PNG lies; 256 folders, so that none grows too large to list."""
    return faces_dir / face_id[:2] / f"{face_id}.png"


def book_line(
    face_id: str,
    url: str,
    box: Box,
    kept: bool,
    reason: str,
    detector: str,
    score: float | None,
    upscaled: bool,
) -> str:
    """One face's line of faces.csv, with its line end."""
    sides = (repr(float(side)) for side in box.sides)
    text = io.StringIO()
    score_text = "" if score is None else f"{score:.4f}"
    csv.writer(text, lineterminator="\n").writerow(
        [face_id, url, *sides, int(kept), reason, detector, score_text, int(upscaled)]
    )
    return text.getvalue()


def read_book(faces_dir: Path) -> Iterator[tuple[str, FaceRecord, str]]:
    """Yields (face id, record, the line itself) of faces.csv; a face may come again, its last line counts.

    A last line without line end was torn by a killed crop and is left out.
    """
    path = faces_dir / BOOK
    try:
        with open(path, encoding="utf-8", newline="") as book:
            for number, line in enumerate(book, start=1):
                if not line.endswith("\n"):
                    return
                if number == 1:
                    if line.rstrip("\r\n") != HEADER:
                        raise _damaged(
                            path, number, f"the header {line.strip()[:80]!r}, not {HEADER!r}"
                        )
                    continue
                yield *_parsed(faces_dir, path, number, line), line
    except UnicodeDecodeError:
        raise _damaged(path, None, "bytes that are no UTF-8 text") from None


def excluded_line(line: str) -> str:
    """A face's line of faces.csv as it is where the face is excluded, whatever became of it before."""
    (cells,) = csv.reader((line,), strict=True)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow([*cells[:6], 0, EXCLUDED, cells[8], "", 0])
    return text.getvalue()


def url_of(line: str) -> str:
    """The URL in a line of faces.csv."""
    return next(csv.reader((line,), strict=True))[1]


def delete_face(faces_dir: Path, face_id: str) -> None:
    """Deletes a face's PNG where there is one, and its folder where it was the last in it."""
    path = face_path(faces_dir, face_id)
    path.unlink(missing_ok=True)
    with suppress(OSError):  # not empty, or not there
        path.parent.rmdir()


def open_book(faces_dir: Path) -> TextIO:
    """Opens faces.csv to append whole lines; makes it, or cuts off what a killed crop left half-written."""
    path = faces_dir / BOOK
    with open(path, "ab+") as book:
        size = book.seek(0, os.SEEK_END)
        book.seek(max(size - 65536, 0))
        tail = book.read()
        book.truncate(size - len(tail) + tail.rfind(b"\n") + 1)
        book.seek(0, os.SEEK_END)
        if book.tell() == 0:
            book.write(HEADER.encode() + b"\n")
    return open(path, "a", encoding="utf-8", newline="")


def sort_book(faces_dir: Path) -> None:
    """Rewrites faces.csv by face id with one line a face: the same bytes whatever the order of work."""
    lines = {face_id: line for face_id, _, line in read_book(faces_dir)}
    _replace(faces_dir / BOOK, (f"{HEADER}\n", *(lines[face_id] for face_id in sorted(lines))))


def check_settings(faces_dir: Path, settings: dict, compared: Iterable[str]) -> None:
    """Writes settings.json, or sees that the folder's own agrees in the `compared` ones.

    Raises:
      UserError: the folder's faces were cut with other settings.
    """
    path = faces_dir / SETTINGS
    if not path.exists():
        if (faces_dir / BOOK).exists():
            raise UserError(
                f"{faces_dir}: found {BOOK} but no {SETTINGS}, so how its faces were cut is not known; give "
                "another --faces folder, or delete this one and crop again."
            )
        _replace(path, (json.dumps(settings, indent=2) + "\n",))
        return
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        differing = [name for name in compared if found.get(name) != settings[name]]
    except (ValueError, AttributeError):
        raise UserError(f"{path}: damaged; delete the folder {faces_dir} and crop again.") from None
    if differing:
        was, wanted = (
            ", ".join(f"{name} {values.get(name)}" for name in differing)
            for values in (found, settings)
        )
        raise UserError(
            f"{faces_dir}: its faces were cut with {was}, and now {wanted} is asked for; faces of both must "
            "not be mixed. Give another --faces folder, or ask for the same settings."
        )


def write_report(faces_dir: Path, report: dict) -> None:
    _replace(faces_dir / REPORT, (json.dumps(report, indent=2, ensure_ascii=False) + "\n",))


@contextmanager
def locked(faces_dir: Path) -> Iterator[None]:
    """Keeps other crops off the folder; the lock goes with the process, even a killed one."""
    faces_dir.mkdir(parents=True, exist_ok=True)
    with open(faces_dir / "crop.lock", "a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"{faces_dir}: another crop is at work on this folder, and one at a time is allowed. Wait "
                "for it, stop it, or give another --faces."
            ) from None
        for passing in (
            *faces_dir.glob(".*.tmp"),
            *faces_dir.glob("??/.*.tmp"),
        ):  # of a killed crop
            passing.unlink(missing_ok=True)
        yield


def _parsed(faces_dir: Path, path: Path, number: int, line: str) -> tuple[str, FaceRecord]:
    try:
        (cells,) = csv.reader((line,), strict=True)
        face_id, _, _, _, _, _, kept, reason, detector, score, upscaled = cells
        if kept not in ("0", "1") or upscaled not in ("0", "1") or len(face_id) < 3:
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
        raise _damaged(path, number, f"{line.strip()[:80]!r}, no line of {HEADER}") from None
    return face_id, record


def _damaged(path: Path, number: int | None, found: str) -> UserError:
    where = path if number is None else f"{path}, line {number}"
    return UserError(
        f"{where}: found {found}. Delete that line, or the file, and run `imagefec crop` again: it cuts what "
        "is not listed."
    )


def _replace(path: Path, lines: Iterable[str]) -> None:
    passing = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with open(passing, "w", encoding="utf-8", newline="") as file:
        file.writelines(lines)
        file.flush()
        os.fsync(file.fileno())
    passing.replace(path)
