"""The crop stage: from cached photos to 128 px face files, and why each face or triplet was lost.

One photo's work is in worker.py, the folder of faces in face_folder.py, the counts in
face_report.py.
"""

from __future__ import annotations

import multiprocessing
import os
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import cv2

import imagefec
from imagefec.data.crop import face_folder, worker
from imagefec.data.crop.face_folder import FaceRecord, read_faces
from imagefec.data.crop.report import CropReport, make_report
from imagefec.data.crop.worker import NOT_A_PHOTO, Cut, Wanted
from imagefec.data.exclusion import EXCLUDED, Exclusion
from imagefec.data.fec_csv import read_rows, split_of
from imagefec.data.fetch.ledger import Cache
from imagefec.errors import UserError
from imagefec.faces.detectors import Detector, make_detector
from imagefec.maths.geometry import Box

if TYPE_CHECKING:
    from imagefec.data.fetch.stage import Progress

__all__ = ["CropReport", "FaceRecord", "crop_faces", "read_faces"]

NOT_FETCHED = "photo not fetched"


def crop_faces(
    csv_paths: Sequence[str | os.PathLike],
    cache_dir: str | os.PathLike,
    faces_dir: str | os.PathLike,
    detector: str = "auto",
    min_score: float | None = None,
    workers: int | None = None,
    skip_bad_rows: bool = False,
    progress: Progress | None = None,
    model_dir: str | os.PathLike | None = None,
    exclude: str | os.PathLike | None = None,
) -> CropReport:
    """Cuts the faces of FEC's csv files out of the cached photos; run again, it goes on where it was.

    The finished folder has the same bytes for any number of workers, however often it was
    interrupted.

    Args:
      csv_paths: one or both of FEC's csv files, named as Google names them.
      cache_dir: what `fetch_photos` filled.
      faces_dir: made if missing; gets `ab/<face_id>.png`, faces.csv, settings.json and report.json.
        Faces of other csv files that were cut there before stay.
      detector, min_score, model_dir: of `make_detector`; a folder takes faces of one detector (and
        version of it) and score only.
      workers: processes; None for one a CPU core, fewer for little work. 1 works in this very
        process. In a script of your own more than one wants the usual `if __name__ == "__main__":`
        guard.
      skip_bad_rows: leave out the csv files' bad rows instead of stopping at the first.
      progress: told of every face done, and of counts; None is silent.
      exclude: a list of URLs and face ids (as `Exclusion.load` reads it). Their faces are dropped
        as "excluded": their photos are not opened, and what an earlier crop cut of them is deleted,
        in the whole folder. The list counts for this call: what a later one does not name is cut
        again.

    Returns:
      CropReport, also written to faces_dir/report.json.

    Raises:
      UserError: a csv file or the list is bad, there is no cache, the detector is not available or
        another than the folder's, the folder cannot be written (or the disk is full), or another
        crop is at work on it.
      ValueError: workers < 1 or no csv file.
    """
    if isinstance(csv_paths, (str, os.PathLike)):
        csv_paths = [csv_paths]
    if not csv_paths or (workers is not None and workers < 1):
        raise ValueError(
            f"crop_faces wants at least one csv file and workers >= 1, found {csv_paths=}, {workers=}"
        )
    splits = [split_of(path) for path in csv_paths]
    exclusion = Exclusion.load(exclude)
    finder = make_detector(detector, min_score, model_dir)
    faces_dir = Path(faces_dir)
    with Cache(cache_dir) as cache, _folder_errors(faces_dir), face_folder.locked(faces_dir):
        _check_settings(faces_dir, finder)
        faces_of, n_faces = _faces_by_photo(csv_paths, skip_bad_rows)
        tally = _Tally(progress, n_faces)
        (faces_dir / face_folder.REPORT).unlink(missing_ok=True)  # it speaks of finished work only
        with face_folder.open_book(faces_dir) as book:
            book.writelines(_exclude(faces_of, faces_dir, exclusion, finder.name, tally))
            book.flush()
            _drop_done(faces_of, faces_dir, tally)
            jobs = _jobs(faces_of, cache, faces_dir)
            for cuts in _all_cuts(jobs, finder, _n_workers(workers, faces_of), model_dir):
                book.writelines(_line_of(cut, finder.name) for cut in cuts)
                book.flush()
                tally.add(cuts)
        face_folder.sort_book(faces_dir)
        report = make_report(csv_paths, splits, read_faces(faces_dir), skip_bad_rows)
        face_folder.write_report(faces_dir, report.as_json())
    return report


_Job = tuple[Path | str, list[Wanted]]  # a photo, or why there is none; and its faces
_FACES_A_BATCH = 32  # sent to a worker at once: little enough to lose, enough to hide the sending
_FACES_A_WORKER = 400  # fewer are cut before another process has started


class _Tally:
    """What is told to the progress bar."""

    def __init__(self, progress: Progress | None, n_faces: int):
        self._progress = progress
        self._counts = {"kept": 0, "dropped": 0}
        if hasattr(progress, "total"):
            progress.total = n_faces

    def add(self, cuts: Iterable[Cut]) -> None:
        self.note(Counter(not cut.reason for cut in cuts))

    def note(self, n_by_kept: Counter[bool]) -> None:
        self._counts["kept"] += n_by_kept[True]
        self._counts["dropped"] += n_by_kept[False]
        if self._progress is not None:
            self._progress.update(n_by_kept.total())
            self._progress.set_postfix(**self._counts)


def _check_settings(faces_dir: Path, finder: Detector) -> None:
    compared = {
        "format": face_folder.FORMAT,
        "detector": finder.name,
        "detector_version": finder.version,
        "min_score": finder.min_score,
    }
    noted = {"imagefec_version": imagefec.__version__, "opencv_version": cv2.__version__}
    face_folder.check_settings(faces_dir, compared | noted, compared)


def _faces_by_photo(
    csv_paths: Sequence[str | os.PathLike], skip_bad_rows: bool
) -> tuple[dict[str, dict[str, Box]], int]:
    faces_of: dict[str, dict[str, Box]] = {}
    for path in csv_paths:
        for row in read_rows(path, skip_bad_rows=skip_bad_rows):
            for face in row.faces:
                faces_of.setdefault(face.url, {})[face.face_id] = face.box
    return faces_of, sum(map(len, faces_of.values()))


def _exclude(
    faces_of: dict[str, dict[str, Box]],
    faces_dir: Path,
    exclusion: Exclusion,
    detector: str,
    tally: _Tally,
) -> list[str]:
    """Takes what is excluded out of the work and deletes its PNGs; returns the book's lines that say so.

    Deleted before they are written: a crop killed in between leaves no face of the excluded, and
      the next one sees
    that a face it may cut is missing.
    """
    if not exclusion:
        return []
    lines = {}
    for url in list(faces_of):
        faces = faces_of[url]
        for face_id in [face_id for face_id in faces if exclusion.excludes(url, face_id)]:
            lines[face_id] = face_folder.book_line(
                face_id, url, faces.pop(face_id), False, EXCLUDED, detector, None, False
            )
        if not faces:
            del faces_of[url]
    tally.note(Counter({False: len(lines)}))
    for face_id, _, line in face_folder.read_book(
        faces_dir
    ):  # those cut before for other csv files, too
        if face_id not in lines and exclusion.excludes(face_folder.url_of(line), face_id):
            lines[face_id] = face_folder.excluded_line(line)
    for face_id in lines:
        face_folder.delete_face(faces_dir, face_id)
    return list(lines.values())


def _drop_done(faces_of: dict[str, dict[str, Box]], faces_dir: Path, tally: _Tally) -> None:
    done = {id_: record for id_, record, _ in face_folder.read_book(faces_dir) if _is_done(record)}
    if not done:
        return
    n_done: Counter[bool] = Counter()
    for url in list(faces_of):
        faces = faces_of[url]
        for face_id in [face_id for face_id in faces if face_id in done]:
            n_done[done[face_id].kept] += 1
            del faces[face_id]
        if not faces:
            del faces_of[url]
    tally.note(n_done)


def _is_done(record: FaceRecord) -> bool:
    if not record.kept:
        # A later fetch may have brought the photo; and whom no list names any more is not excluded
        # any more.
        return (
            not record.reason.startswith((NOT_FETCHED, NOT_A_PHOTO)) and record.reason != EXCLUDED
        )
    try:
        return record.path.stat().st_size > 0  # a power cut may leave an empty file
    except FileNotFoundError:
        return False


def _jobs(faces_of: dict[str, dict[str, Box]], cache: Cache, faces_dir: Path) -> Iterator[_Job]:
    for url, faces in faces_of.items():
        wanted = [
            Wanted(face_id, url, box, face_folder.face_path(faces_dir, face_id))
            for face_id, box in faces.items()
        ]
        yield cache.photo_path(url) or f"{NOT_FETCHED}: {cache.reason(url)}", wanted


def _n_workers(workers: int | None, faces_of: dict[str, dict[str, Box]]) -> int:
    if workers is not None:
        return workers
    n_cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    return max(min(n_cores, sum(map(len, faces_of.values())) // _FACES_A_WORKER), 1)


def _all_cuts(
    jobs: Iterable[_Job], finder: Detector, n_workers: int, model_dir: str | os.PathLike | None
) -> Iterator[list[Cut]]:
    """Yields what became of the faces, in batches; the few in the air bound the memory."""
    if n_workers == 1:
        with _one_opencv_thread():
            for photo, faces in jobs:
                yield _without_photo(photo, faces) or worker.crop_photo(photo, faces, finder)
        return
    # Spawned, never forked: the caller may run TF's or JAX's threads, which a fork does not
    # survive.
    pool = ProcessPoolExecutor(
        n_workers,
        multiprocessing.get_context("spawn"),
        worker.set_up,
        (finder.name, finder.min_score, model_dir),
    )
    try:
        running: deque = deque()
        for batch in _batches(jobs):
            without = [cut for photo, faces in batch for cut in _without_photo(photo, faces)]
            if without:
                yield without
            with_photo = [(photo, faces) for photo, faces in batch if isinstance(photo, Path)]
            if with_photo:
                running.append(pool.submit(worker.crop_photos, with_photo))
            while len(running) > 3 * n_workers:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
    except BrokenProcessPool:
        raise UserError(
            "a worker process of crop ended before its work was done: killed for lack of memory, or the "
            'script that called it lacks the `if __name__ == "__main__":` guard. Run again with fewer '
            "--workers (1 needs no other process). What is cut stays."
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _without_photo(photo: Path | str, faces: list[Wanted]) -> list[Cut]:
    return [] if isinstance(photo, Path) else [Cut(wanted, photo) for wanted in faces]


def _batches(jobs: Iterable[_Job]) -> Iterator[list[_Job]]:
    batch, n_faces = [], 0
    for job in jobs:
        batch.append(job)
        n_faces += len(job[1])
        if n_faces >= _FACES_A_BATCH:
            yield batch
            batch, n_faces = [], 0
    if batch:
        yield batch


@contextmanager
def _one_opencv_thread() -> Iterator[None]:
    # A face is too small to share among threads: starting them costs more than they save.
    n_threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(n_threads)


def _line_of(cut: Cut, detector: str) -> str:
    wanted = cut.wanted
    return face_folder.book_line(
        wanted.face_id,
        wanted.url,
        wanted.box,
        not cut.reason,
        cut.reason,
        detector,
        cut.score,
        cut.upscaled,
    )


@contextmanager
def _folder_errors(faces_dir: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{faces_dir}: cannot write the faces ({error.filename or 'disk'}: {error.strerror or error}). "
            "Give --faces on a disk with free space and write permission, or make room. What is cut stays: "
            "the same command goes on from there."
        ) from error
