"""The fetch stage: downloads the photos of FEC's csv files that the cache does not have yet."""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import os
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import imagefec
from imagefec import files
from imagefec.data.fec_csv import RowReport, check_file, read_rows, split_of
from imagefec.data.fetch.config import DEFAULT_CONFIG, FetchConfig
from imagefec.data.fetch.download import Downloader
from imagefec.data.fetch.local_import import import_photos
from imagefec.data.fetch.network.proxies import Proxies
from imagefec.data.fetch.photo_cache import ledger as ledgers
from imagefec.data.fetch.photo_cache.ledger import Ledger, Outcome
from imagefec.data.fetch.photo_cache.photo_store import PhotoStore, object_path
from imagefec.data.fetch.photo_cache.url_names import file_names, host_of
from imagefec.data.fetch.planned import PlannedFetch
from imagefec.data.fetch.report import FetchReport, summarise_fetch
from imagefec.data.fetch.scheduler import FetchRun
from imagefec.data.stage_progress import Progress, StageProgress
from imagefec.errors import UserError
from imagefec.paths import user_path
from imagefec.plan import Plan

__all__ = ["FetchConfig", "FetchReport", "fetch_photos", "plan_fetch"]

STATS = "stats.json"
LOCK = "fetch.lock"


def fetch_photos(
    csv_paths: Sequence[str | os.PathLike[str]],
    cache_dir: str | os.PathLike[str],
    config: FetchConfig = DEFAULT_CONFIG,
    from_dir: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> FetchReport:
    """Downloads the photos of FEC's csv files into a cache; run it again to resume.

    Args:
      csv_paths: files that `read_rows` reads. Each distinct URL (http, https or file) is requested
        once.
      cache_dir: made if missing; contains objects/, ledger.sqlite3 and stats.json.
      config: limits, timeouts and retries.
      from_dir: folder of photos that the user already has; see `local_import`.
      progress: gets every finished URL and the counts by status; None shows nothing.

    Returns:
      FetchReport, also written to cache_dir/stats.json.

    Raises:
      UserError: a csv file is bad, the cache cannot be written (or the disk is full), or another
        fetch uses it.
      ValueError: no csv file is given.
    """
    if isinstance(csv_paths, str | os.PathLike):
        csv_paths = [csv_paths]
    if not csv_paths:
        raise ValueError("fetch_photos needs at least one csv file; csv_paths is empty")
    start, cache_dir = time.monotonic(), user_path(cache_dir, "cache_dir")
    csv_paths = _distinct(csv_paths)
    for path in csv_paths:
        check_file(path)  # a wrong path must not leave a cache, which crop would take for one
    with (
        _cache_errors(cache_dir),
        files.folder_lock(cache_dir, "fetch", "--cache", LOCK),
        contextlib.closing(Ledger(cache_dir)) as ledger,
    ):
        store = PhotoStore(cache_dir, config.max_bytes, config.max_pixels)
        store.clear_parts()
        rows_refused = _read_csvs(csv_paths, ledger, config.skip_bad_rows)
        shown = StageProgress(progress, ledger.n_wanted(), ("ok", "gone", "failed"))
        _find_pending(ledger, cache_dir, config.retry_failed, from_dir is not None, shown)
        proxies = Proxies()
        _log.info(
            "%d photos of %d hosts; %s", ledger.n_wanted(), ledger.n_hosts(), proxies.describe()
        )
        n_imported, n_ambiguous = _import(ledger, store, from_dir, shown)
        n_fetched, throttled = _download(ledger, store, config, proxies, shown)
        shown.show()
        if config.placeholder_urls:
            ledger.mark_placeholders(config.placeholder_urls)
        report = summarise_fetch(
            ledger,
            throttled,
            n_fetched,
            n_imported,
            n_ambiguous,
            rows_refused,
            time.monotonic() - start,
        )
        files.write_text(cache_dir / STATS, json.dumps(report.as_json(), indent=2) + "\n")
    return report


def plan_fetch(
    csv_paths: Sequence[str | os.PathLike[str]],
    cache_dir: str | os.PathLike[str],
    config: FetchConfig = DEFAULT_CONFIG,
    from_dir: str | os.PathLike[str] | None = None,
) -> Plan:
    """What `fetch_photos` would do; nothing is requested or written. Arguments and errors alike."""
    cache_dir = user_path(cache_dir, "cache_dir")
    with (
        _cache_errors(cache_dir),
        contextlib.closing(Ledger(cache_dir, read_only=True)) as ledger,
    ):
        files.check_folder(cache_dir)
        rows_refused = _read_csvs(_distinct(csv_paths), ledger, config.skip_bad_rows)
        shown = StageProgress(None, 0, ("ok", "gone", "failed"))
        done = _find_pending(ledger, cache_dir, config.retry_failed, from_dir is not None, shown)
        n_imported = 0
        for outcomes, _ in [] if from_dir is None else import_photos(ledger, _NoStore(), from_dir):
            n_imported += len(outcomes)
        found = PlannedFetch(
            ledger.n_wanted(),
            done["ok"],
            done["gone"],
            n_imported,
            ledger.count_pending(),
            ledger.mean_bytes(),
            sum(rows_refused.values()),
        )
    return found.plan(cache_dir)


class _NoStore:
    """Takes the place of the photo store where nothing is to be stored."""

    def add_file(self, path: str) -> tuple[int, str]:
        return Path(path).stat().st_size, ""


_PAGE_SIZE = 1000
_log = logging.getLogger(__name__)


def _distinct(csv_paths: Sequence[str | os.PathLike[str]]) -> list[str | os.PathLike[str]]:
    """Leaves out csv files that are given twice, whose triplets would be counted twice."""
    return list({os.path.realpath(path): path for path in reversed(csv_paths)}.values())[::-1]


def _read_csvs(
    csv_paths: Sequence[str | os.PathLike[str]], ledger: Ledger, skip_bad_rows: bool
) -> Counter[str]:
    """Adds the rows of the csv files to the ledger; returns the numbers of bad rows by kind."""
    refused: Counter[str] = Counter()
    for path in csv_paths:
        rows = RowReport()
        ledger.add_rows(_split_name(path), read_rows(path, rows, skip_bad_rows))
        refused += rows.kinds
    return refused


def _split_name(path: str | os.PathLike[str]) -> str:
    try:
        return split_of(path)
    except UserError:  # a file of another name has no split and is counted under its own name
        return Path(path).name


def _find_pending(
    ledger: Ledger, cache_dir: Path, retry_failed: bool, by_name: bool, shown: StageProgress
) -> Counter[str]:
    """Adds the URLs that this fetch must request to the ledger; counts the others by status."""
    wanted, n_done = ledger.wanted(), Counter[str]()
    while page := list(itertools.islice(wanted, _PAGE_SIZE)):
        done = [known for _, known in page if known and _is_done(known, cache_dir, retry_failed)]
        finished = {known.url for known in done}
        ledger.add_pending(
            (url, host_of(url), *file_names(url)) for url, _ in page if url not in finished
        )
        if by_name:  # finished URLs still count when a name is checked for several URLs
            ledger.add_pending(
                ((url, host_of(url), *file_names(url)) for url in finished), obtained=True
            )
        counts = Counter(known.status for known in done)
        n_done += counts
        shown.add(counts)
    return n_done


def _is_done(known: Outcome, cache_dir: Path, retry_failed: bool) -> bool:
    if known.status != "ok" or known.sha256 is None:
        return known.status == "gone" and not retry_failed
    try:
        return object_path(cache_dir, known.sha256).stat().st_size == known.n_bytes
    except FileNotFoundError:
        return False


def _import(
    ledger: Ledger,
    store: PhotoStore,
    folder: str | os.PathLike[str] | None,
    shown: StageProgress,
) -> tuple[int, int]:
    """Returns the numbers of imported photos and of ambiguous URLs."""
    n_imported = n_ambiguous = 0
    if folder is None:
        return n_imported, n_ambiguous
    for outcomes, ambiguous in import_photos(ledger, store, folder):
        ledger.record(outcomes)
        shown.add({"ok": len(outcomes)})
        n_imported, n_ambiguous = n_imported + len(outcomes), n_ambiguous + ambiguous
    return n_imported, n_ambiguous


def _download(
    ledger: Ledger,
    store: PhotoStore,
    config: FetchConfig,
    proxies: Proxies,
    shown: StageProgress,
) -> tuple[int, dict]:
    """Returns the number of downloaded photos and the facts about hosts that throttled."""

    def waiting() -> dict[str, str]:
        cooldowns = run.cooldowns()
        if not cooldowns:
            return {}
        host, left_s = max(cooldowns.items(), key=lambda item: item[1])
        return {"waiting": f"{left_s:.0f} s for {host}"}

    agent = f"imagefec/{imagefec.__version__} (+https://pypi.org/project/imagefec)"
    n_fetched = 0
    named = frozenset(ledger.wanted_hosts())
    downloader = Downloader(store, agent, config, proxies, named.__contains__)
    with contextlib.closing(downloader):
        run = FetchRun(ledger, downloader.attempt, config, downloader.stop)
        with contextlib.closing(run.outcomes()) as pages:
            for outcomes in pages:
                if outcomes:
                    ledger.record(outcomes)
                by_status = Counter(outcome.status for outcome in outcomes)
                n_fetched += by_status["ok"]
                shown.add(by_status, waiting)
    return n_fetched, run.throttled


@contextlib.contextmanager
def _cache_errors(cache_dir: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise ledgers.unusable(cache_dir / ledgers.FILE_NAME, error) from error
    except OSError as error:
        raise UserError(
            f"{cache_dir}: the cache cannot be written ({error.strerror or error}). Give a --cache "
            "on a disk with free space and write permission, or free some space. Fetched photos "
            "are not lost: the same command resumes."
        ) from error
