"""The write side of the photo cache's ledger: which URL gave which photo, or why none; no network.

The read side is in `cache`.
"""

# Over 350 lines: the tables and the statements that read and write them belong together.
from __future__ import annotations

import dataclasses
import itertools
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from imagefec.data.fec_csv import Row
from imagefec.data.fetch.photo_cache.url_names import host_of, loose_name
from imagefec.errors import UserError

FILE_NAME = "ledger.sqlite3"
VERSION = 1


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How the fetch of one URL ended.

    Attributes:
      url: of the photo.
      status: "ok", "gone" (the answer is final; only retry_failed requests the URL again) or
        "failed" (the next fetch requests it again).
      reason: short text of few kinds, so that reasons can be counted; None if ok.
      attempts: number of requests in this fetch.
      n_bytes: size of the photo.
      sha256: digest of the photo.
      final_url: its URL after redirects.
    """

    url: str
    status: str
    reason: str | None = None
    attempts: int = 1
    n_bytes: int = 0
    sha256: str | None = None
    final_url: str | None = None


class Ledger:
    """The outcomes known so far, and the URLs of the current fetch; for one fetch at a time.

    A URL is `wanted` if the csv files name it, and `pending` if this fetch must request it. All
    are in SQLite, never in a Python set, so memory does not grow with the csv files.

    Args:
      cache_dir: folder of the cache.
      read_only: for a dry run: the file, which need not exist, is not changed.

    Raises:
      UserError: the ledger is of another version.
      sqlite3.Error: it cannot be opened or is damaged; see `unusable`.
    """

    def __init__(self, cache_dir: Path, read_only: bool = False) -> None:
        path = cache_dir / FILE_NAME
        uri = f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}"
        if read_only and not path.exists():
            uri = ":memory:"
        self._db = sqlite3.connect(uri, isolation_level=None, uri=True)
        try:
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            if not read_only:
                # With WAL and NORMAL a killed process loses nothing. A power cut may lose the last
                # rows, which are then fetched again.
                self._db.execute("PRAGMA journal_mode=WAL")
                self._db.execute("PRAGMA synchronous=NORMAL")
            if version == 0:
                self._db.executescript(_SCHEMA)
            elif version != VERSION:
                raise wrong_version(path, version)
            self._db.create_function("loose_name", 1, loose_name, deterministic=True)
            self._db.executescript(_TEMPORARY)  # SQLite stores it in a file, not in memory
        except BaseException:
            self._db.close()
            raise

    def add_rows(self, split: str, rows: Iterable[Row], page_size: int = 1000) -> None:
        """Adds the triplets of a csv file; their URLs become wanted in the order of first mention.

        Args:
          split: name under which `count_triplets` counts them.
          rows: of the csv file; read once, in pages.
          page_size: rows per transaction.
        """
        rows = iter(rows)
        while page := list(itertools.islice(rows, page_size)):
            urls = [face.url for row in page for face in row.faces]
            self._write_many(_ADD_WANTED, ((url, host_of(url)) for url in urls))
            triplets = ((split, row.type.key, *(face.url for face in row.faces)) for row in page)
            self._write_many(_ADD_TRIPLET, triplets)

    def n_wanted(self) -> int:
        """Number of wanted URLs."""
        return self._db.execute("SELECT count(*) FROM wanted").fetchone()[0]

    def n_hosts(self) -> int:
        """Number of hosts of wanted URLs; files count as one."""
        return self._db.execute("SELECT count(DISTINCT host) FROM wanted").fetchone()[0]

    def wanted_hosts(self) -> Iterator[str]:
        """Yields the hosts of the wanted URLs, as `host_of` gives them."""
        for (host,) in self._db.execute("SELECT DISTINCT host FROM wanted WHERE host != ''"):
            yield host

    def wanted(self, page_size: int = 1000) -> Iterator[tuple[str, Outcome | None]]:
        """Yields (URL, outcome of an earlier fetch or None); `record` may be called in between."""
        last = 0
        while rows := self._db.execute(_WANTED_PAGE, (last, page_size)).fetchall():
            last = rows[-1][0]
            for _, url, status, *facts in rows:
                yield url, Outcome(url, status, *facts) if status else None

    def add_pending(
        self, urls: Iterable[tuple[str, str, str, str]], obtained: bool = False
    ) -> None:
        """Adds URLs that this fetch must request, in order.

        Args:
          urls: (URL, host, file name, folder/file name) of each.
          obtained: add them as `mark_obtained` marks them.
        """
        self._write_many(_ADD_PENDING, ((*names, obtained) for names in urls))

    def pending_hosts(self) -> Iterator[str]:
        """Yields the hosts of the pending URLs once each, in the order of the csv files."""
        last = -1
        while found := self._db.execute(_NEXT_HOST, (last,)).fetchone():
            last, host = found
            yield host

    def count_pending(self) -> dict[str, int]:
        """Number of the pending URLs of each host, most first."""
        return dict(self._db.execute(_COUNT_PENDING).fetchall())

    def pending_urls(self, host: str, after: int, page_size: int) -> list[tuple[int, str]]:
        """The next pending URLs of a host as (number, URL), with numbers above `after`."""
        return self._db.execute(_PENDING_PAGE, (host, after, page_size)).fetchall()

    def pending_names(
        self, page_size: int = 1000
    ) -> Iterator[tuple[str, *tuple[tuple[str, int], ...]]]:
        """Yields the names of each pending URL; `mark_obtained` may be called in between.

        Yields:
          (URL, (file name, number of URLs with it), the same for folder/file name, and for the
          `loose_name` of both).
        """
        last = 0
        while rows := self._db.execute(_PENDING_NAMES, (last, page_size)).fetchall():
            last = rows[-1][0]
            for _, url, *names in rows:
                yield url, *zip(names[0::2], names[1::2])

    def mark_obtained(self, urls: Iterable[str]) -> None:
        """Marks pending URLs that need no request; they still count as URLs with their names."""
        self._write_many("UPDATE pending SET obtained = 1 WHERE url = ?", ((url,) for url in urls))

    def remove_obtained(self) -> None:
        """Removes the URLs marked as obtained from the pending ones."""
        self._db.execute("DELETE FROM pending WHERE obtained")

    def add_files(self, files: Iterable[tuple[str, str]]) -> None:
        """Adds (name, path) of files that may be photos of pending URLs."""
        # A name from another system's disk may not be valid text, which SQLite requires. The path
        # is therefore stored as bytes.
        self._write_many(
            "INSERT INTO files (name, path) VALUES (?, ?)",
            ((name.encode(errors="replace").decode(), os.fsencode(path)) for name, path in files),
        )

    def files_named(self, name: str) -> list[str]:
        """Paths of the files with a name, at most two."""
        found = self._db.execute("SELECT DISTINCT path FROM files WHERE name = ? LIMIT 2", (name,))
        return [os.fsdecode(path) for (path,) in found]

    def record(self, outcomes: Iterable[Outcome]) -> None:
        """Writes outcomes in one transaction; the photo of an "ok" must already be stored."""
        now = time.time()
        self._write_many(
            _RECORD,
            (
                (o.url, o.status, o.reason, o.attempts, now, o.n_bytes, o.sha256, o.final_url)
                for o in outcomes
            ),
        )

    def mark_placeholders(self, n_urls: int) -> int:
        """Marks as gone every image that a host sent for `n_urls` or more wanted URLs.

        Images that an earlier fetch marked are recognised again, for any number of URLs.

        Args:
          n_urls: smallest number of URLs for which an image is taken for a placeholder.

        Returns:
          Number of URLs marked.
        """
        return self._db.execute(_MARK_PLACEHOLDERS, (time.time(), n_urls)).rowcount

    def count_by_reason(self) -> list[tuple[str, str | None, int, int]]:
        """Counts wanted URLs: (status, reason, number of URLs, total bytes) per reason."""
        return self._db.execute(_COUNT_BY_REASON).fetchall()

    def mean_bytes(self) -> float | None:
        """Mean size of the cached photos, of any csv file; None if there are none."""
        return self._db.execute("SELECT avg(n_bytes) FROM photos WHERE status = 'ok'").fetchone()[0]

    def count_by_host(self, max_hosts: int) -> list[tuple[str, str, int]]:
        """Counts URLs of the hosts with the most wanted URLs: (host, status, number of URLs)."""
        return self._db.execute(_COUNT_BY_HOST, (max_hosts,)).fetchall()

    def count_triplets(self) -> list[tuple[str, str, int, int]]:
        """Counts triplets: (split, type, number, number of those with all three photos)."""
        return self._db.execute(_COUNT_TRIPLETS).fetchall()

    def count_triplets_lost(self) -> dict[str, int]:
        """Counts triplets that lack a photo by reason; one may count for several reasons."""
        return dict(self._db.execute(_COUNT_TRIPLETS_LOST).fetchall())

    def close(self) -> None:
        """Closes the ledger; an open transaction is rolled back."""
        try:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            # Back to a single file, which a reader can open in a folder without write permission.
            self._db.execute("PRAGMA journal_mode=DELETE")
        except sqlite3.Error:
            pass  # another process is reading: the ledger stays in WAL mode, which is as safe
        finally:
            self._db.close()

    def _write_many(self, statement: str, rows: Iterable[tuple]) -> None:
        self._db.execute("BEGIN")
        self._db.executemany(statement, rows)
        self._db.execute("COMMIT")


def unusable(path: Path, error: sqlite3.Error) -> UserError:
    """The error to raise if SQLite cannot work with a ledger."""
    if "disk is full" in str(error) or "disk I/O" in str(error):
        return UserError(
            f"{path}: cannot be written ({error}). Free some space and run the same command again."
        )
    if "readonly" in str(error) or "unable to open" in str(error) or "locked" in str(error):
        return UserError(
            f"{path}: cannot be opened ({error}). Check its permissions, that no other program "
            "uses it, and that its disk supports file locks (some network disks do not)."
        )
    return UserError(
        f"{path}: damaged ledger ({error}); it must be an SQLite file. Delete it and fetch again: "
        "every photo is then downloaded again."
    )


def wrong_version(path: Path, version: int) -> UserError:
    """The error to raise for a ledger of another version."""
    return UserError(
        f"{path}: ledger of version {version}; this imagefec reads version {VERSION}. Use the "
        "imagefec that wrote it, or fetch into another cache."
    )


_SCHEMA = f"""
BEGIN;
CREATE TABLE photos (
  url TEXT PRIMARY KEY, status TEXT NOT NULL, reason TEXT, attempts INTEGER NOT NULL,
  last_try REAL NOT NULL, n_bytes INTEGER NOT NULL, sha256 TEXT, final_url TEXT
) WITHOUT ROWID;
PRAGMA user_version={VERSION};
COMMIT;
"""
_TEMPORARY = """
CREATE TEMP TABLE wanted (n INTEGER PRIMARY KEY, url TEXT NOT NULL UNIQUE, host TEXT NOT NULL);
CREATE TEMP TABLE triplets (split TEXT NOT NULL, type TEXT NOT NULL,
  first INTEGER NOT NULL, second INTEGER NOT NULL, third INTEGER NOT NULL);
CREATE TEMP TABLE pending (n INTEGER PRIMARY KEY, url TEXT NOT NULL UNIQUE, host TEXT NOT NULL,
  name TEXT NOT NULL, tail TEXT NOT NULL, obtained INTEGER NOT NULL DEFAULT 0,
  loose_name TEXT NOT NULL, loose_tail TEXT NOT NULL);
CREATE INDEX temp.pending_by_host ON pending (host, n);
CREATE INDEX temp.pending_by_name ON pending (name);
CREATE INDEX temp.pending_by_tail ON pending (tail);
CREATE INDEX temp.pending_by_loose_name ON pending (loose_name);
CREATE INDEX temp.pending_by_loose_tail ON pending (loose_tail);
CREATE TEMP TABLE files (name TEXT NOT NULL, path BLOB NOT NULL);
CREATE INDEX temp.files_by_name ON files (name);
"""
_ADD_WANTED = "INSERT OR IGNORE INTO wanted (url, host) VALUES (?, ?)"
_ADD_TRIPLET = """
INSERT INTO triplets (split, type, first, second, third) VALUES (?, ?,
  (SELECT n FROM wanted WHERE url = ?), (SELECT n FROM wanted WHERE url = ?),
  (SELECT n FROM wanted WHERE url = ?))
"""
_ADD_PENDING = """
INSERT OR IGNORE INTO pending (url, host, name, tail, obtained, loose_name, loose_tail)
SELECT url, host, name, tail, obtained, loose_name(name), loose_name(tail)
FROM (SELECT ? AS url, ? AS host, ? AS name, ? AS tail, ? AS obtained)
"""
_COUNT_TRIPLETS = """
WITH complete AS (SELECT n FROM wanted JOIN photos USING (url) WHERE status = 'ok')
SELECT split, type, count(*), sum(first IN complete AND second IN complete AND third IN complete)
FROM triplets GROUP BY split, type ORDER BY min(triplets.rowid)
"""
_COUNT_TRIPLETS_LOST = """
WITH lost AS MATERIALIZED (
  SELECT n, reason FROM wanted JOIN photos USING (url) WHERE status != 'ok')
SELECT reason, count(*) FROM (
  SELECT t.rowid, reason FROM triplets t JOIN lost ON n = first
  UNION SELECT t.rowid, reason FROM triplets t JOIN lost ON n = second
  UNION SELECT t.rowid, reason FROM triplets t JOIN lost ON n = third)
GROUP BY reason ORDER BY 2 DESC, 1
"""
_COUNT_BY_REASON = """
SELECT status, reason, count(*), sum(n_bytes) FROM wanted JOIN photos USING (url)
GROUP BY status, reason ORDER BY 3 DESC, 2
"""
# Hosts come in the order of their first URLs; the parameter is the number of the last host's first.
_NEXT_HOST = """
SELECT a.n, a.host FROM pending a
WHERE a.n > ? AND NOT EXISTS (SELECT 1 FROM pending b WHERE b.host = a.host AND b.n < a.n)
ORDER BY a.n LIMIT 1
"""
_COUNT_PENDING = "SELECT host, count(*) FROM pending GROUP BY host ORDER BY 2 DESC, 1"
_PENDING_PAGE = "SELECT n, url FROM pending WHERE host = ? AND n > ? ORDER BY n LIMIT ?"
_PENDING_NAMES = """
SELECT n, url, name, (SELECT count(*) FROM pending b WHERE b.name = a.name),
  tail, (SELECT count(*) FROM pending b WHERE b.tail = a.tail),
  loose_name, (SELECT count(*) FROM pending b WHERE b.loose_name = a.loose_name),
  loose_tail, (SELECT count(*) FROM pending b WHERE b.loose_tail = a.loose_tail)
FROM pending a WHERE n > ? AND NOT obtained ORDER BY n LIMIT ?
"""
_MARK_PLACEHOLDERS = """
UPDATE photos SET status = 'gone', reason = 'placeholder picture', last_try = ?
WHERE status = 'ok' AND url IN (
  SELECT url FROM wanted JOIN photos p USING (url) WHERE host != '' AND (
    sha256 IN (
      SELECT sha256 FROM photos WHERE reason = 'placeholder picture' AND sha256 IS NOT NULL)
    OR (sha256, host) IN (
      SELECT sha256, host FROM wanted JOIN photos USING (url) WHERE status = 'ok' AND host != ''
      GROUP BY sha256, host HAVING count(*) >= ?)))
"""
_COUNT_BY_HOST = """
SELECT host, status, count(*) FROM wanted JOIN photos USING (url)
WHERE host IN (SELECT host FROM wanted GROUP BY host ORDER BY count(*) DESC, host LIMIT ?)
GROUP BY host, status ORDER BY host, status
"""
_WANTED_PAGE = """
SELECT n, w.url, status, reason, attempts, n_bytes, sha256, final_url
FROM wanted w LEFT JOIN photos p ON p.url = w.url WHERE n > ? ORDER BY n LIMIT ?
"""
_RECORD = """
INSERT INTO photos (url, status, reason, attempts, last_try, n_bytes, sha256, final_url)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (url) DO UPDATE SET
  status = excluded.status, reason = excluded.reason,
  attempts = photos.attempts + excluded.attempts, last_try = excluded.last_try,
  n_bytes = excluded.n_bytes, sha256 = excluded.sha256, final_url = excluded.final_url
"""
