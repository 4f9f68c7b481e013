"""Runs the crop worker on many photos, in this process or in several spawned ones."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from imagefec.cpu import cpu_count
from imagefec.data.crop import worker
from imagefec.data.crop.worker import CropOutcome, CropTask
from imagefec.faces.detectors import Detector
from imagefec.faces.opencv import single_thread
from imagefec.workers import worker_pool

Job = tuple[Path | str, list[CropTask]]  # a photo, or the reason why there is none; and its faces
_BATCH_FACES = 32  # sent to a worker at once: a crash loses few, the cost of sending is hidden
_WORKER_FACES = 400  # cropped in about the time that another process takes to start


def default_workers(n_faces: int) -> int:
    """Default number of processes: one per core, fewer if there are few faces."""
    return max(min(cpu_count(), n_faces // _WORKER_FACES), 1)


def crop_jobs(
    jobs: Iterable[Job],
    detector: Detector,
    n_workers: int,
    model_dir: str | os.PathLike[str] | None,
    align: str = "none",
) -> Iterator[list[CropOutcome]]:
    """Yields the outcomes of all faces, in batches; memory does not grow with the number of jobs.

    Args:
      jobs: photos with their faces.
      detector: used in this process; the workers make an equal one.
      n_workers: number of processes; 1 for this process only.
      model_dir: as for `make_detector`.
      align: as for `crop.crop_face`.

    Raises:
      UserError: a worker process died.
      OSError: a PNG cannot be written.
    """
    if n_workers == 1:
        with single_thread():
            for photo, tasks in jobs:
                if isinstance(photo, Path):
                    yield worker.crop_photo(photo, tasks, detector, align)
                else:
                    yield [CropOutcome(task, photo) for task in tasks]
        return
    prepared = (detector.name, detector.min_score, model_dir, align)
    with worker_pool(n_workers, "crop", worker.start_worker, prepared) as pool:
        yield from _crop_in(pool, jobs, max_running=3 * n_workers)


def _crop_in(
    pool: ProcessPoolExecutor, jobs: Iterable[Job], max_running: int
) -> Iterator[list[CropOutcome]]:
    running: deque = deque()
    for batch in _batches(jobs):
        with_photo = [(photo, tasks) for photo, tasks in batch if isinstance(photo, Path)]
        without_photo = [
            CropOutcome(task, photo)
            for photo, tasks in batch
            if not isinstance(photo, Path)
            for task in tasks
        ]
        if without_photo:
            yield without_photo
        if with_photo:
            running.append(pool.submit(worker.crop_photos, with_photo))
        while len(running) > max_running:
            yield running.popleft().result()
    while running:
        yield running.popleft().result()


def _batches(jobs: Iterable[Job]) -> Iterator[list[Job]]:
    batch: list[Job] = []
    n_faces = 0
    for job in jobs:
        batch.append(job)
        n_faces += len(job[1])
        if n_faces >= _BATCH_FACES:
            yield batch
            batch, n_faces = [], 0
    if batch:
        yield batch
