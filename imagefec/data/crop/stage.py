"""The crop stage: crops 128 px faces from cached photos and records why others were dropped."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2

import imagefec
from imagefec import files
from imagefec.data.crop import box_sample, face_folder, pool
from imagefec.data.crop.csv_triplets import CsvTriplets
from imagefec.data.crop.detector_warnings import warnings_about
from imagefec.data.crop.expressions import read_expressions
from imagefec.data.crop.face_folder import FaceRecord, read_faces
from imagefec.data.crop.planned import PlannedCrop
from imagefec.data.crop.report import CropReport
from imagefec.data.crop.worker import NOT_A_PHOTO, CropOutcome, CropTask
from imagefec.data.exclusion import EXCLUDED, Exclusion
from imagefec.data.fec_csv import RowReport, read_rows, split_of
from imagefec.data.fetch.photo_cache.cache import NEVER_REQUESTED, Cache
from imagefec.data.stage_progress import Progress, StageProgress
from imagefec.errors import UserError
from imagefec.faces.alignment import check_detector
from imagefec.faces.crop_settings import ALIGNMENT
from imagefec.faces.detectors import Detector, make_detector
from imagefec.maths.geometry import Box
from imagefec.paths import user_path
from imagefec.plan import Plan
from imagefec.workers import checked_workers

__all__ = ["CropReport", "FaceRecord", "crop_faces", "plan_crop", "read_faces"]

NOT_FETCHED = "photo not fetched"
FacesByPhoto = dict[str, dict[str, Box]]  # URL -> face id -> box


def crop_faces(
    csv_paths: Sequence[str | os.PathLike[str]],
    cache_dir: str | os.PathLike[str],
    faces_dir: str | os.PathLike[str],
    detector: str = "auto",
    min_score: float | None = None,
    workers: int | None = None,
    skip_bad_rows: bool = False,
    progress: Progress | None = None,
    model_dir: str | os.PathLike[str] | None = None,
    exclude: str | os.PathLike[str] | None = None,
    align: str = "none",
) -> CropReport:
    """Crops the faces of FEC's csv files from the cached photos; run it again to resume.

    The finished folder has the same bytes for any number of workers and any interruptions.

    Args:
      csv_paths: one or more of FEC's csv files, with Google's names. If expressions.csv is beside
        them, the report also says which expressions the detector misses.
      cache_dir: photo cache that `fetch_photos` filled.
      faces_dir: made if missing; gets `ab/<face_id>.png`, faces.csv, settings.json and report.json.
        It may already hold faces of other csv files, which remain unless they are excluded.
      detector: as for `make_detector`. A folder takes faces of a single detector, version and
        minimum score.
      min_score: as for `make_detector`.
      workers: number of processes; None for one per core, fewer for little work. 1 uses only this
        process. In a script, more than one needs the usual `if __name__ == "__main__":` guard.
      skip_bad_rows: skip bad rows of the csv files instead of stopping at the first.
      progress: gets every finished face and the counts; None shows nothing.
      model_dir: as for `make_detector`.
      exclude: list of URLs and face ids (see `Exclusion.load`). Their faces are dropped as
        "excluded": their photos are not opened, and faces that an earlier crop wrote are deleted,
        those of other csv files too. The list applies to this call only: a later call crops the
        faces that its own list does not name.
      align: as for `crop.crop_face`; a folder takes faces of a single alignment.

    Returns:
      CropReport, also written to faces_dir/report.json.

    Raises:
      UserError: a csv file, expressions.csv or the list is bad, there is no cache, the detector is
        not available, cannot align or is not the folder's, the folder cannot be written (or the
        disk is full), or another crop uses it.
      ValueError: workers < 1, or no csv file.
    """
    if isinstance(csv_paths, str | os.PathLike):
        csv_paths = [csv_paths]
    if not csv_paths:
        raise ValueError("crop_faces needs at least one csv file; csv_paths is empty")
    workers = checked_workers(workers)
    splits = [split_of(path) for path in csv_paths]
    exclusion = Exclusion.load(exclude)
    labels = read_expressions(csv_paths)
    finder = make_detector(detector, min_score, model_dir)
    check_detector(align, finder.name)
    faces_dir = user_path(faces_dir, "faces_dir")
    with Cache(cache_dir) as cache, _folder_errors(faces_dir), face_folder.locked(faces_dir):
        face_folder.claim(faces_dir, *_settings(finder, align))
        pending, triplets, train_ids = _read_csvs(csv_paths, splits, skip_bad_rows)
        _check_fetched(pending, cache, cache_dir)
        shown = StageProgress(progress, _n_faces(pending), ("kept", "dropped"))
        # A report describes finished work only.
        (faces_dir / face_folder.REPORT).unlink(missing_ok=True)
        with face_folder.open_manifest(faces_dir) as manifest:
            manifest.writelines(_exclude(pending, faces_dir, exclusion, finder.name, shown))
            manifest.flush()
            _remove_done(pending, faces_dir, shown)
            n_workers = workers or pool.default_workers(_n_faces(pending))
            jobs = _jobs(pending, cache, faces_dir)
            for outcomes in pool.crop_jobs(jobs, finder, n_workers, model_dir, align):
                manifest.writelines(_line_of(outcome, finder.name) for outcome in outcomes)
                manifest.flush()
                shown.add(Counter(_kind(not outcome.reason) for outcome in outcomes))
        shown.show()
        report = triplets.summarise_crop(face_folder.sort_manifest(faces_dir), labels)
        report = replace(report, warnings=warnings_about(report.detector, finder, model_dir))
        if align == "none":  # an aligned crop depends on the eyes alone
            box_sample.record_mapping(faces_dir, cache, finder, train_ids)
        face_folder.write_report(faces_dir, report.as_json())
    return report


def plan_crop(
    csv_paths: Sequence[str | os.PathLike[str]],
    cache_dir: str | os.PathLike[str],
    faces_dir: str | os.PathLike[str],
    detector: str = "auto",
    min_score: float | None = None,
    skip_bad_rows: bool = False,
    model_dir: str | os.PathLike[str] | None = None,
    exclude: str | os.PathLike[str] | None = None,
    align: str = "none",
) -> Plan:
    """What `crop_faces` would do; no photo is opened, nothing written. Arguments, errors alike."""
    splits = [split_of(path) for path in csv_paths]
    exclusion = Exclusion.load(exclude)
    read_expressions(csv_paths)
    finder = make_detector(detector, min_score, model_dir)
    check_detector(align, finder.name)
    faces_dir = user_path(faces_dir, "faces_dir")
    with Cache(cache_dir) as cache, _folder_errors(faces_dir):
        files.check_folder(faces_dir)
        face_folder.refuse_links(faces_dir)
        face_folder.check_settings(faces_dir, *_settings(finder, align))
        pending, _, _ = _read_csvs(csv_paths, splits, skip_bad_rows)
        _check_fetched(pending, cache, cache_dir)
        n_faces = _n_faces(pending)
        excluded = _excluded(pending, faces_dir, exclusion, finder.name)
        n_left = _n_faces(pending)
        _remove_done(pending, faces_dir, StageProgress(None, 0, ("kept", "dropped")))
        n_pending = _n_faces(pending)
        found = PlannedCrop(
            finder.name,
            n_faces,
            n_faces - n_left,
            n_left - n_pending,
            sum(len(faces) for url, faces in pending.items() if not cache.photo_path(url)),
            sum(face_folder.face_path(faces_dir, face_id).exists() for face_id in excluded),
        )
    return found.plan(faces_dir)


def _settings(finder: Detector, align: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """All settings of a crop, and those on which the crops of a folder must agree."""
    compared = {
        "format": face_folder.FORMAT,
        "detector": finder.name,
        "detector_version": finder.version,
        "min_score": finder.min_score,
        ALIGNMENT: align,
    }
    noted = {"imagefec_version": imagefec.__version__, "opencv_version": cv2.__version__}
    return compared | noted, compared


def _read_csvs(
    csv_paths: Sequence[str | os.PathLike[str]], splits: Sequence[str], skip_bad_rows: bool
) -> tuple[FacesByPhoto, CsvTriplets, set[str]]:
    """The faces by photo, the triplets, and the ids of the train split's faces."""
    faces_by_photo: FacesByPhoto = {}
    triplets = CsvTriplets()
    train_ids: set[str] = set()
    for path, split in zip(csv_paths, splits):
        rows = RowReport()
        for row in read_rows(path, rows, skip_bad_rows):
            face_ids = [face.face_id for face in row.faces]
            triplets.add(split, row, face_ids)
            if split == "train":
                train_ids.update(face_ids)
            for face, face_id in zip(row.faces, face_ids):
                faces_by_photo.setdefault(face.url, {})[face_id] = face.box
        triplets.rows_refused[split] += rows.n_refused
    return faces_by_photo, triplets, train_ids


def _check_fetched(
    faces_by_photo: FacesByPhoto, cache: Cache, cache_dir: str | os.PathLike[str]
) -> None:
    if all(cache.reason(url) == NEVER_REQUESTED for url in faces_by_photo):
        raise UserError(
            f"{cache_dir}: none of the {len(faces_by_photo)} photos of these csv files was fetched "
            "into this cache. Run `imagefec fetch` with the same csv files and --cache, or give "
            "the --cache that has them."
        )


def _n_faces(faces_by_photo: FacesByPhoto) -> int:
    return sum(map(len, faces_by_photo.values()))


def _kind(kept: bool) -> str:
    return "kept" if kept else "dropped"


def _exclude(
    pending: FacesByPhoto,
    faces_dir: Path,
    exclusion: Exclusion,
    detector: str,
    shown: StageProgress,
) -> list[str]:
    """Removes excluded faces from `pending`, deletes their PNGs, returns their manifest lines.

    The PNGs are deleted before the lines are written: a crop killed in between leaves no excluded
    face, and the next one notices that a face which it may crop is missing.
    """
    if not exclusion:
        return []
    before = _n_faces(pending)
    lines = _excluded(pending, faces_dir, exclusion, detector)
    shown.add({"dropped": before - _n_faces(pending)})
    for face_id in lines:
        face_folder.delete_face(faces_dir, face_id)
    return list(lines.values())


def _excluded(
    pending: FacesByPhoto, faces_dir: Path, exclusion: Exclusion, detector: str
) -> dict[str, str]:
    """Removes excluded faces from `pending`; the manifest lines of all that are excluded, by id."""
    if not exclusion:
        return {}
    lines = {}
    for url in list(pending):
        faces = pending[url]
        for face_id in [face_id for face_id in faces if exclusion.excludes(url, face_id)]:
            lines[face_id] = face_folder.manifest_line(
                face_id, url, faces.pop(face_id), EXCLUDED, detector, None, False
            )
        if not faces:
            del pending[url]
    # Faces of other csv files that were cropped to the folder before.
    for face_id, _, line in face_folder.read_manifest(faces_dir):
        if face_id not in lines and exclusion.excludes(face_folder.url_of(line), face_id):
            lines[face_id] = face_folder.excluded_line(line)
    return lines


def _remove_done(pending: FacesByPhoto, faces_dir: Path, shown: StageProgress) -> None:
    """Removes from `pending` the faces that an earlier crop finished."""
    done = {
        face_id: record
        for face_id, record, _ in face_folder.read_manifest(faces_dir)
        if _is_done(record)
    }
    if not done:
        return
    counts: Counter[str] = Counter()
    for url in list(pending):
        faces = pending[url]
        for face_id in [face_id for face_id in faces if face_id in done]:
            counts[_kind(done[face_id].kept)] += 1
            del faces[face_id]
        if not faces:
            del pending[url]
    shown.add(counts)


def _is_done(record: FaceRecord) -> bool:
    if record.path is None:
        # A later fetch may have brought the photo, and a face that is no longer listed is no longer
        # excluded.
        return (
            not record.reason.startswith((NOT_FETCHED, NOT_A_PHOTO)) and record.reason != EXCLUDED
        )
    try:
        return record.path.stat().st_size > 0  # a power cut may leave an empty file
    except FileNotFoundError:
        return False


def _jobs(pending: FacesByPhoto, cache: Cache, faces_dir: Path) -> Iterator[pool.Job]:
    for url, faces in pending.items():
        tasks = [
            CropTask(face_id, url, box, face_folder.face_path(faces_dir, face_id))
            for face_id, box in faces.items()
        ]
        yield cache.photo_path(url) or f"{NOT_FETCHED}: {cache.reason(url)}", tasks


def _line_of(outcome: CropOutcome, detector: str) -> str:
    task = outcome.task
    return face_folder.manifest_line(
        task.face_id,
        task.url,
        task.box,
        outcome.reason,
        detector,
        outcome.score,
        outcome.upscaled,
    )


@contextmanager
def _folder_errors(faces_dir: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{faces_dir}: cannot write the faces ({error.filename or 'disk'}: "
            f"{error.strerror or error}). Give --faces on a disk with free space and write "
            "permission, or free some space. Cropped faces are not lost: the same command resumes."
        ) from error
