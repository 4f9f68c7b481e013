"""The fetch stage: which urls of the csv files to ask, by how many threads, and what came of it.

One url's download is in download.py, the book of outcomes and the cache's read side in ledger.py.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import imagefec
from imagefec.data import ledger as ledgers
from imagefec.data.download import PARTS_DIR, Downloader
from imagefec.data.fec_csv import RowReport, read_rows
from imagefec.data.ledger import Cache, Ledger, Outcome, object_path
from imagefec.errors import UserError

__all__ = ["Cache", "FetchReport", "Progress", "fetch_photos"]

MAX_PHOTO_BYTES = 64 * 2**20


class Progress(Protocol):
    """What a progress bar needs; a tqdm is one."""

    def update(self, n: int) -> object: ...

    def set_postfix(self, **counts: int) -> object: ...


@dataclasses.dataclass(frozen=True)
class FetchReport:
    """What the cache holds of the csv files' photos: n_ok + n_gone + n_failed = n_urls.

    `n_fetched` photos of the n_ok came in this very run; `n_bytes` is the size of all n_ok. `reasons` counts
    the gone and the failed. `n_rows_refused` rows of the csv files were skipped.
    """

    n_urls: int
    n_ok: int
    n_gone: int
    n_failed: int
    n_fetched: int
    n_bytes: int
    n_rows_refused: int
    reasons: dict[str, int]
    seconds: float

    def as_json(self) -> dict:
        return dataclasses.asdict(self)


def fetch_photos(
    csv_paths: Sequence[str | os.PathLike],
    cache_dir: str | os.PathLike,
    workers: int = 16,
    retry_failed: bool = False,
    timeout_s: float = 20.0,
    attempts: int = 4,
    backoff_s: float = 0.5,
    skip_bad_rows: bool = False,
    progress: Progress | None = None,
    max_bytes: int = MAX_PHOTO_BYTES,
) -> FetchReport:
    """Fetches the photographs of FEC's csv files into a cache; run again, it goes on where it was.

    Args:
      csv_paths: files that `read_rows` reads; each distinct url (http, https, file) is asked once.
      cache_dir: made if missing; holds objects/, ledger.sqlite3 and stats.json.
      workers: threads, each with one request at a time.
      retry_failed: ask again also for what is gone (http 404, no image, …), not only for what failed.
      timeout_s: longest silence of a server.
      attempts: how often a url is asked in this run where asking again may help.
      backoff_s: wait before the second attempt; it doubles each time, with jitter. Retry-After is honoured.
      skip_bad_rows: leave out the csv files' bad rows instead of stopping at the first.
      progress: told of every url done, and of counts by status; None is silent.
      max_bytes: larger photos are refused.

    Returns:
      FetchReport, also written to cache_dir/stats.json.

    Raises:
      UserError: a csv file is bad, the cache cannot be written (or the disk is full), or another fetch is at
        work on it.
      ValueError: a number is out of range, or no csv file is given.
    """
    if isinstance(csv_paths, (str, os.PathLike)):
        csv_paths = [csv_paths]
    if not csv_paths or min(workers, attempts, max_bytes) < 1 or timeout_s <= 0 or backoff_s < 0:
        raise ValueError(
            "fetch_photos wants at least one csv file, workers, attempts and max_bytes >= 1, timeout_s > 0, "
            f"backoff_s >= 0; found {csv_paths=}, {workers=}, {attempts=}, {max_bytes=}, {timeout_s=}, "
            f"{backoff_s=}")
    start = time.monotonic()
    cache_dir = Path(cache_dir)
    agent = f"imagefec/{imagefec.__version__} (+https://pypi.org/project/imagefec)"
    with _cache_errors(cache_dir), _locked(cache_dir), contextlib.closing(Ledger(cache_dir)) as ledger:
        _clear_parts(cache_dir)
        reports = [RowReport() for _ in csv_paths]
        for path, report in zip(csv_paths, reports):
            ledger.want(face.url for row in read_rows(path, report, skip_bad_rows) for face in row.faces)
        downloader = Downloader(cache_dir, agent, workers, timeout_s, attempts, backoff_s, max_bytes)
        with contextlib.closing(downloader):
            n_fetched = _fetch_wanted(ledger, downloader, cache_dir, workers, retry_failed, progress)
        n_refused = sum(len(report.refused) for report in reports)
        report = _report(ledger, n_fetched, n_refused, time.monotonic() - start)
        _write_stats(cache_dir / "stats.json", report)
    return report


def _fetch_wanted(
    ledger: Ledger, downloader: Downloader, cache_dir: Path, workers: int, retry_failed: bool,
    progress: Progress | None,
) -> int:
    counts = {"ok": 0, "gone": 0, "failed": 0}
    shown_at = 0.0
    if hasattr(progress, "total"):
        progress.total = ledger.n_wanted()

    def note(outcomes: list[Outcome]) -> None:
        nonlocal shown_at
        for outcome in outcomes:
            counts[outcome.status] += 1
        if progress is not None:
            progress.update(len(outcomes))
            if time.monotonic() - shown_at > _SHOW_EVERY_S:
                shown_at = time.monotonic()
                progress.set_postfix(**counts)

    def to_ask() -> Iterator[str]:
        for url, known in ledger.wanted():
            if known and _is_done(known, cache_dir, retry_failed):
                note([known])
            else:
                yield url

    n_fetched = 0
    for outcomes in _in_threads(downloader, to_ask(), workers):
        ledger.record(outcomes)
        n_fetched += sum(outcome.status == "ok" for outcome in outcomes)
        note(outcomes)
    if progress is not None:
        progress.set_postfix(**counts)
    return n_fetched


_SHOW_EVERY_S = 0.5
_READ_AHEAD = 4  # urls a worker that wait in the queue, so that no thread starves


def _is_done(known: Outcome, cache_dir: Path, retry_failed: bool) -> bool:
    if known.status != "ok":
        return known.status == "gone" and not retry_failed
    try:
        return object_path(cache_dir, known.sha256).stat().st_size == known.n_bytes
    except FileNotFoundError:
        return False


def _in_threads(downloader: Downloader, urls: Iterable[str], workers: int) -> Iterator[list[Outcome]]:
    """Yields outcomes as they come, all that are there at a time; the first exception of a thread ends it."""
    todo: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    done: queue.SimpleQueue[Outcome | BaseException] = queue.SimpleQueue()
    threads = [
        threading.Thread(target=_work, args=(downloader.get, todo, done), daemon=True, name=f"fetch-{n}")
        for n in range(workers)]
    for thread in threads:
        thread.start()
    try:
        n_open = 0
        for url in urls:
            todo.put(url)
            n_open += 1
            if n_open >= _READ_AHEAD * workers:
                outcomes = _take_all(done)
                n_open -= len(outcomes)
                yield outcomes
        while n_open:
            outcomes = _take_all(done)
            n_open -= len(outcomes)
            yield outcomes
    finally:
        downloader.stop()
        with contextlib.suppress(queue.Empty):
            while True:
                todo.get_nowait()
        for _ in threads:
            todo.put(None)
        deadline = time.monotonic() + _GRACE_S
        for thread in threads:
            thread.join(timeout=max(0.0, deadline - time.monotonic()))


_GRACE_S = 1.0  # for threads amid a request; they are daemons, and the next fetch clears their half files


def _work(get: Callable[[str], Outcome], todo: queue.SimpleQueue, done: queue.SimpleQueue) -> None:
    while (url := todo.get()) is not None:
        try:
            done.put(get(url))
        except BaseException as error:
            done.put(error)


def _take_all(done: queue.SimpleQueue) -> list[Outcome]:
    found = [done.get()]
    with contextlib.suppress(queue.Empty):
        while True:
            found.append(done.get_nowait())
    outcomes = [item for item in found if isinstance(item, Outcome)]
    errors = [item for item in found if not isinstance(item, Outcome)]
    if errors and not outcomes:
        raise errors[0]
    if errors:
        done.put(errors[0])  # for the next call: what came before it is recorded first
    return outcomes


@contextlib.contextmanager
def _cache_errors(cache_dir: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise ledgers.damaged(cache_dir / ledgers.FILE_NAME, error) from error
    except OSError as error:
        raise UserError(
            f"{cache_dir}: the cache cannot be written ({error.strerror or error}); give a --cache on a disk "
            "with free space and write permission, or make room. What is fetched stays: the same command "
            "goes on from there.") from error


@contextlib.contextmanager
def _locked(cache_dir: Path) -> Iterator[None]:
    """Keeps other fetches off the cache; the lock goes with the process, even a killed one."""
    (cache_dir / "objects").mkdir(parents=True, exist_ok=True)
    (cache_dir / PARTS_DIR).mkdir(exist_ok=True)
    with open(cache_dir / "fetch.lock", "a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise UserError(
                f"{cache_dir}: another fetch (process {lock.read().strip() or 'unknown'}) is at work on this "
                "cache, one at a time is allowed. Wait for it, stop it, or give another --cache.") from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def _clear_parts(cache_dir: Path) -> None:
    for part in (cache_dir / PARTS_DIR).glob("*.part"):
        part.unlink(missing_ok=True)


def _report(ledger: Ledger, n_fetched: int, n_rows_refused: int, seconds: float) -> FetchReport:
    n_by_status, reasons, n_bytes = {"ok": 0, "gone": 0, "failed": 0}, {}, 0
    for status, reason, n, size in ledger.tally():
        n_by_status[status] += n
        n_bytes += size
        if reason:
            reasons[reason] = reasons.get(reason, 0) + n
    return FetchReport(
        n_urls=ledger.n_wanted(), n_ok=n_by_status["ok"], n_gone=n_by_status["gone"],
        n_failed=n_by_status["failed"], n_fetched=n_fetched, n_bytes=n_bytes, n_rows_refused=n_rows_refused,
        reasons=reasons, seconds=seconds)


def _write_stats(path: Path, report: FetchReport) -> None:
    part = path.with_suffix(".part")
    part.write_text(json.dumps(report.as_json(), indent=2) + "\n", encoding="utf-8")
    os.replace(part, path)
