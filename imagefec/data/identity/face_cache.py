"""The faces of an identity dataset: cut once a person into a scratch folder, resumable, and read back by row.

Two files a person: NAME.pngs, the PNG files one after the other, and NAME.json, what became of each
photo. The json is written last, so where it lies the work is whole. People are independent of each
other: threads share them, or the workers of a cluster to whom the folder is one. Making a face is
`vggface2_faces`.
"""

from __future__ import annotations

import bisect
import dataclasses
import fcntl
import functools
import hashlib
import itertools
import json
import os
import threading
import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from imagefec.data.exclusion import Exclusion
from imagefec.data.identity.face_making import FORMAT, Face, Settings, face_of, make_faces
from imagefec.data.identity.folders import Person, list_photos
from imagefec.data.identity.loose_boxes import LooseBoxes
from imagefec.errors import UserError
from imagefec.faces.detectors import Detector
from imagefec.faces.photos import write_bytes

Spread = Callable[[Callable[[Person], None], Sequence[Person]], Iterator[None]]


class FaceReader:
    """Reads faces back, by person and place among the person's; pickled by its folder, as it goes to other machines."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._book_of = functools.lru_cache(maxsize=256)(functools.partial(_read_book, folder))

    def __call__(self, person: Person, at: int) -> Face:
        """The face.

        Raises:
          UserError: it is gone, damaged, or was cut anew meanwhile.
        """
        name, offset, length, box, _, _ = self._book_of(person)["faces"][at]
        png = _read_png(_stem(self._folder, person).with_suffix(".pngs"), offset, length)
        return face_of(person, name, tuple(box), png)

    def __reduce__(self) -> tuple:
        return FaceReader, (self._folder,)


class Faces(Sequence):
    """The faces of a split in the scratch folder, by row: person after person, photo after photo; flat in memory.

    Attributes:
      people: of whom there is a row or more or none; `labels` are their labels.
      labels: int32 [n].
      photos, upscaled, stray_files: how many there were of each.
      dropped: how many photos were dropped for which reason.
      read: the FaceReader of the places that `place` tells.
    """

    def __init__(self, people: Sequence[Person], folder: Path) -> None:
        self.people = people
        self._folder = folder
        self.read = FaceReader(folder)
        self.photos = self.upscaled = self.stray_files = 0
        self.dropped: Counter[str] = Counter()
        counts = []
        for person in people:
            book = _read_book(folder, person)
            counts.append(len(book["faces"]))
            self.photos += book["photos"]
            self.stray_files += book["stray_files"]
            self.upscaled += sum(upscaled for *_, upscaled in book["faces"])
            self.dropped.update(book["dropped"])
        self.labels = np.repeat(np.array([person.label for person in people], np.int32), counts)
        self._starts = [0, *itertools.accumulate(counts)]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, row: int) -> Face:
        return self.read(*self.place(row))

    def place(self, row: int) -> tuple[Person, int]:
        """Whose face a row is, and which of theirs."""
        if not 0 <= row < len(self):
            raise IndexError(row)
        at = bisect.bisect_right(self._starts, row) - 1
        return self.people[at], row - self._starts[at]

    @property
    def n_by_person(self) -> np.ndarray:
        """Int [people], how many faces each of `people` has."""
        return np.diff(self._starts)

    def __reduce__(self) -> tuple:
        return Faces, (self.people, self._folder)


def scratch_folder(
    base: str | os.PathLike, manual_dir: str | os.PathLike, settings: Settings
) -> Path:
    """Where under `base` the faces of a manual directory and settings are kept: others' lie beside them."""
    key = json.dumps([FORMAT, dataclasses.astuple(settings), os.path.realpath(manual_dir)])
    return Path(base) / hashlib.sha256(key.encode()).hexdigest()[:12]


def cut_split(
    people: Sequence[Person],
    exclusion: Exclusion,
    settings: Settings,
    scratch: str | os.PathLike,
    boxes: LooseBoxes | None = None,
    spread: Spread | None = None,
    progress: Any = None,
) -> Faces:
    """Cuts the faces of a split's people, each once; run again, it goes on where it was.

    Args:
      people: of one split, as `list_splits` says.
      exclusion: photos on it are not opened, and faces of them that were cut before are deleted.
      settings: how faces are found.
      scratch: folder for the cut faces, about 20 KB each, see `scratch_folder`; it may be deleted
        when no more datasets are to be built.
      boxes: of the split, where the settings say "loose_bb".
      spread: (cut one person, people) -> an iterator that yields as people are done; None for a
        thread a CPU core. The faces are the same for any.
      progress: told of every person done.

    Returns:
      The faces, in order of people and photos by name.

    Raises:
      UserError: the folder cannot be written (or the disk is full), or another build is at work on
        it.
    """
    if not people:
        raise ValueError("cut_split wants at least one person")
    folder = Path(scratch) / people[0].split
    cut = functools.partial(_cut_person, exclusion, settings, folder, boxes)
    with _folder_errors(folder), _locked(folder):
        _drop_others(folder, people)
        for _ in (spread or spread_over_threads)(cut, people):
            if progress is not None:
                progress.update(1)
        return Faces(people, folder)


def spread_over_threads(
    cut: Callable[[Person], None], people: Sequence[Person], workers: int | None = None
) -> Iterator[None]:
    """Threads do: OpenCV lets others run meanwhile, and `tfds build` is a heavy process to start again for each worker."""
    workers = workers or _n_cores()
    with _one_opencv_thread(), ThreadPoolExecutor(workers) as pool:
        running: deque = deque()
        try:
            for person in people:
                running.append(pool.submit(cut, person))
                while len(running) > 2 * workers:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _cut_person(
    exclusion: Exclusion, settings: Settings, folder: Path, boxes: LooseBoxes | None, person: Person
) -> None:
    listed = list_photos(person, exclusion)
    photos = listed.photos
    found = None if boxes is None else [boxes.of(person.name, photo.name) for photo in photos]
    states = [(photo.name, photo.size, photo.mtime_ns) for photo in photos]
    made_from = hashlib.sha256(
        repr((states, found, sorted(listed.dropped.items()), listed.stray_files)).encode()
    ).hexdigest()
    stem = _stem(folder, person)
    book_path = stem.with_suffix(".json")
    if _is_made_from(book_path, made_from):
        return
    book_path.unlink(missing_ok=True)
    dropped, faces, offset = Counter(listed.dropped), [], 0
    passing = stem.with_suffix(
        f".{uuid.uuid4().hex}.tmp"
    )  # a cluster may give a person to two workers at once
    with open(passing, "wb") as file:
        for photo, cut in zip(photos, make_faces(photos, _detector(settings), found)):
            if cut.png is None:
                dropped[cut.reason] += 1
                continue
            faces.append(
                [photo.name, offset, file.write(cut.png), cut.box, cut.score, cut.upscaled]
            )
            offset += len(cut.png)
    passing.replace(stem.with_suffix(".pngs"))
    book = {
        "made_from": made_from,
        "photos": len(photos) + listed.dropped.total(),
        "stray_files": listed.stray_files,
        "dropped": dropped,
        "faces": faces,
    }
    write_bytes(book_path, json.dumps(book).encode())


_of_thread = threading.local()  # no detector may be used by two threads


def _detector(settings: Settings) -> Detector:
    if getattr(_of_thread, "settings", None) != settings:
        _of_thread.settings, _of_thread.detector = settings, settings.make_detector()
    return _of_thread.detector


def _stem(folder: Path, person: Person) -> Path:
    # A hash, as a name may be too long for a file's or collide with another on a disk that ignores
    # case.
    return folder / hashlib.sha256(person.name.encode()).hexdigest()[:20]


def _is_made_from(book_path: Path, made_from: str) -> bool:
    try:
        return json.loads(book_path.read_bytes())["made_from"] == made_from
    except (
        FileNotFoundError,
        ValueError,
        KeyError,
    ):  # a power cut may leave a file without its content
        return False


def _read_book(folder: Path, person: Person) -> dict[str, Any]:
    path = _stem(folder, person).with_suffix(".json")
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        raise _changed(path) from None


def _read_png(path: Path, offset: int, length: int) -> bytes:
    try:
        with open(path, "rb") as file:
            file.seek(offset)
            png = file.read(length)
    except OSError:
        raise _changed(path) from None
    if len(png) != length or not png.startswith(b"\x89PNG") or not png.endswith(b"IEND\xaeB`\x82"):
        raise _changed(path)
    return png


def _changed(path: Path) -> UserError:
    return UserError(
        f"{path}: gone, damaged, or changed by another build meanwhile; delete {path.parent} and build again."
    )


def _drop_others(folder: Path, people: Sequence[Person]) -> None:
    """Deletes what a killed build left half-written, and the faces of people who are not, or no longer, to be used."""
    wanted = {_stem(folder, person).name for person in people}
    for path in folder.iterdir():
        if path.suffix == ".tmp" or (path.suffix in (".json", ".pngs") and path.stem not in wanted):
            path.unlink(missing_ok=True)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"{folder}: another build is cutting faces here, and one at a time is allowed. Wait for it, stop it, "
                "or give another --data_dir."
            ) from None
        yield


@contextmanager
def _folder_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{folder}: cannot write the cut faces ({error.filename or 'disk'}: {error.strerror or error}). Make "
            "room, about 20 KB a face, or give another --data_dir. What is cut stays: the same command goes on "
            "from there."
        ) from error


@contextmanager
def _one_opencv_thread() -> Iterator[None]:
    # A face is too small to share among threads: starting them costs more than they save.
    n_threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(n_threads)


def _n_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
