"""The fetch stage: which urls of the csv files have to be asked, and what came of it.

The threads are in fetch_run.py, a host's pace in host_gate.py, one request in download.py, the book
of outcomes and the cache's read side in ledger.py, what is told in fetch_report.py.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import imagefec
from imagefec.data.fec_csv import RowReport, read_rows
from imagefec.data.fetch import ledger as ledgers
from imagefec.data.fetch.download import PARTS_DIR, Downloader
from imagefec.data.fetch.ledger import Cache, Ledger, Outcome, host_of, object_path
from imagefec.data.fetch.local_import import file_names, import_photos
from imagefec.data.fetch.report import FetchReport, make_report, write_stats
from imagefec.data.fetch.scheduler import FetchRun, Pace
from imagefec.data.pictures import MAX_PIXELS
from imagefec.errors import UserError

__all__ = ["Cache", "FetchReport", "Progress", "fetch_photos"]

MAX_PHOTO_BYTES = 64 * 2**20
GIVE_UP_S = 600.0
PLACEHOLDER_URLS = 8


class Progress(Protocol):
    """What a progress bar needs; a tqdm is one."""

    def update(self, n: int) -> object: ...

    def set_postfix(self, **counts: object) -> object: ...


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
    max_pixels: int = MAX_PIXELS,
    max_rate_per_host: float | None = None,
    give_up_s: float = GIVE_UP_S,
    from_dir: str | os.PathLike | None = None,
    ignore_x_robots_tag: bool = False,
    placeholder_urls: int = PLACEHOLDER_URLS,
) -> FetchReport:
    """Fetches the photographs of FEC's csv files into a cache; run again, it goes on where it was.

    Args:
      csv_paths: files that `read_rows` reads; each distinct url (http, https, file) is asked once.
      cache_dir: made if missing; holds objects/, ledger.sqlite3 and stats.json.
      workers: threads, each with one request at a time.
      retry_failed: ask again also for what is gone (http 404, no image, …), not only for what
        failed.
      timeout_s: longest silence of a server.
      attempts: how often a url is asked in this run where asking again may help.
      backoff_s: wait before the second attempt; it doubles each time, with jitter. Being told to
        wait (http 429, or Retry-After) is no attempt: the whole host is left alone for as long as
        it says, then asked more slowly.
      skip_bad_rows: leave out the csv files' bad rows instead of stopping at the first.
      progress: told of every url done, and of counts by status; None is silent.
      max_bytes: larger photos are refused.
      max_pixels: likewise, by what their headers say.
      max_rate_per_host: requests/s that no host gets more of; None leaves it to what the host lets
        through.
      give_up_s: a host that has served nothing for so long, or asks for more patience than that, is
        given up for this run; its photos are 'failed' and asked for by the next.
      from_dir: a folder of photos had already, taken by their names before anything is asked; see
        import_folder.py.
      ignore_x_robots_tag: take photos whose server says noai or noimageai.
      placeholder_urls: one and the same picture sent for so many urls of a host is no photo; 0
        believes all.

    Returns:
      FetchReport, also written to cache_dir/stats.json.

    Raises:
      UserError: a csv file is bad, the cache cannot be written (or the disk is full), or another
        fetch is at work on it.
      ValueError: a number is out of range, or no csv file is given.
    """
    if isinstance(csv_paths, (str, os.PathLike)):
        csv_paths = [csv_paths]
    if (
        not csv_paths
        or min(workers, attempts, max_bytes, max_pixels) < 1
        or min(timeout_s, give_up_s) <= 0
        or min(backoff_s, placeholder_urls) < 0
        or (max_rate_per_host is not None and max_rate_per_host <= 0)
    ):
        raise ValueError(
            "fetch_photos wants at least one csv file, workers, attempts, max_bytes and max_pixels >= 1, timeout_s, give_up_s "
            f"and max_rate_per_host > 0, backoff_s and placeholder_urls >= 0; found {csv_paths=}, {workers=}, {attempts=}, "
            f"{max_bytes=}, {max_pixels=}, {timeout_s=}, {give_up_s=}, {max_rate_per_host=}, {backoff_s=}, {placeholder_urls=}"
        )
    start = time.monotonic()
    cache_dir = Path(cache_dir)
    agent = f"imagefec/{imagefec.__version__} (+https://pypi.org/project/imagefec)"
    with (
        _cache_errors(cache_dir),
        _locked(cache_dir),
        contextlib.closing(Ledger(cache_dir)) as ledger,
    ):
        _clear_parts(cache_dir)
        reports = [RowReport() for _ in csv_paths]
        for path, report in zip(csv_paths, reports):
            ledger.want(
                face.url for row in read_rows(path, report, skip_bad_rows) for face in row.faces
            )
        tally = _Tally(progress, ledger.n_wanted())
        _note_what_to_ask(ledger, cache_dir, retry_failed, from_dir is not None, tally)
        downloader = Downloader(
            cache_dir, agent, workers, timeout_s, max_bytes, max_pixels, ignore_x_robots_tag
        )
        run = FetchRun(
            ledger,
            downloader.attempt,
            Pace(workers, attempts, backoff_s, max_rate_per_host, give_up_s),
        )
        with contextlib.closing(downloader):
            n_imported, n_ambiguous = (
                _import(ledger, downloader, from_dir, tally) if from_dir is not None else (0, 0)
            )
            n_fetched = 0
            for outcomes in run.outcomes():
                if outcomes:
                    ledger.record(outcomes)
                n_fetched += sum(outcome.status == "ok" for outcome in outcomes)
                tally.add(outcomes, run.waits)
        tally.show()
        if placeholder_urls:
            ledger.mark_placeholders(placeholder_urls)
        report = make_report(
            ledger,
            csv_paths,
            run.throttled,
            n_fetched,
            n_imported,
            n_ambiguous,
            sum(len(report.refused) for report in reports),
            start,
        )
        write_stats(cache_dir / "stats.json", report)
    return report


class _Tally:
    """What is told to the progress bar."""

    def __init__(self, progress: Progress | None, n_urls: int):
        self._progress, self._shown_at = progress, 0.0
        self._counts = {"ok": 0, "gone": 0, "failed": 0}
        if hasattr(progress, "total"):
            progress.total = n_urls

    def add(
        self, outcomes: Sequence[Outcome], waits: Callable[[], dict[str, float]] = dict
    ) -> None:
        for outcome in outcomes:
            self._counts[outcome.status] += 1
        if self._progress is not None:
            if time.monotonic() - self._shown_at > _SHOW_EVERY_S:
                self._shown_at = time.monotonic()
                self.show(waits())
            self._progress.update(len(outcomes))

    def show(self, waits: Mapping[str, float] | None = None) -> None:
        if self._progress is not None:
            host, left_s = max(waits.items(), key=lambda item: item[1]) if waits else ("", 0.0)
            waiting = {"waiting": f"{left_s:.0f} s for {host}"} if waits else {}
            self._progress.set_postfix(**self._counts, **waiting)


_SHOW_EVERY_S = 0.5
_PAGE = 1000


def _note_what_to_ask(
    ledger: Ledger, cache_dir: Path, retry_failed: bool, by_name: bool, tally: _Tally
) -> None:
    wanted = ledger.wanted()
    while page := list(itertools.islice(wanted, _PAGE)):
        done = [known for _, known in page if known and _is_done(known, cache_dir, retry_failed)]
        finished = {known.url for known in done}
        ledger.ask((url, host_of(url), *file_names(url)) for url, _ in page if url not in finished)
        if (
            by_name
        ):  # whether a name fits several urls does not depend on which of them are there already
            ledger.ask(((url, host_of(url), *file_names(url)) for url in finished), taken=True)
        tally.add(done)


def _import(
    ledger: Ledger, downloader: Downloader, folder: str | os.PathLike, tally: _Tally
) -> tuple[int, int]:
    n_imported = n_ambiguous = 0
    for outcomes, ambiguous in import_photos(ledger, downloader, folder):
        ledger.record(outcomes)
        tally.add(outcomes)
        n_imported, n_ambiguous = n_imported + len(outcomes), n_ambiguous + ambiguous
    return n_imported, n_ambiguous


def _is_done(known: Outcome, cache_dir: Path, retry_failed: bool) -> bool:
    if known.status != "ok":
        return known.status == "gone" and not retry_failed
    try:
        return object_path(cache_dir, known.sha256).stat().st_size == known.n_bytes
    except FileNotFoundError:
        return False


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
            "goes on from there."
        ) from error


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
                "cache, one at a time is allowed. Wait for it, stop it, or give another --cache."
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def _clear_parts(cache_dir: Path) -> None:
    for part in (cache_dir / PARTS_DIR).glob("*.part"):
        part.unlink(missing_ok=True)
