"""The photo cache's book: which url became which file, or why not; no network here."""

from __future__ import annotations

import dataclasses
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from imagefec.errors import UserError


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How the fetch of one url ended.

    `status` is 'ok', 'gone' (the server's final answer: asked again only on demand) or 'failed'
      (asked again
    by the next fetch). `reason` is a short text of few kinds, so that reasons can be counted; None
    where ok.
    """

    url: str
    status: str
    reason: str | None = None
    attempts: int = 1
    n_bytes: int = 0
    sha256: str | None = None
    final_url: str | None = None


class Ledger:
    """The write side, for one fetch at a time: `wanted` urls of this fetch against the `photos` known so far.

    Urls live in SQLite, never in a Python set, so memory does not grow with the csv files.
    """

    def __init__(self, cache_dir: Path):
        self._cache_dir = cache_dir
        self._path = cache_dir / FILE_NAME
        self._db = sqlite3.connect(self._path, isolation_level=None)
        try:
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            # WAL + NORMAL: a killed process loses nothing; a power cut may lose the last rows:
            # refetched.
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            if version == 0:
                self._db.executescript(_SCHEMA)
            elif version != _VERSION:
                raise _wrong_version(self._path, version)
            self._db.executescript(_TEMPORARY)  # in a file of SQLite's own, not in memory
        except BaseException:
            self._db.close()
            raise

    def want(self, urls: Iterable[str]) -> None:
        """Adds urls to this fetch; each counts once, in the order of first mention."""
        self._db.execute("BEGIN")
        self._db.executemany(
            "INSERT OR IGNORE INTO wanted (url, host) VALUES (?, ?)",
            ((url, host_of(url)) for url in urls),
        )
        self._db.execute("COMMIT")

    def n_wanted(self) -> int:
        return self._db.execute("SELECT count(*) FROM wanted").fetchone()[0]

    def wanted(self, page: int = 1000) -> Iterator[tuple[str, Outcome | None]]:
        """Yields each wanted url with its outcome of an earlier fetch, if any; `record` may run between."""
        last = 0
        while rows := self._db.execute(_WANTED_PAGE, (last, page)).fetchall():
            last = rows[-1][0]
            for _, url, status, reason, attempts, n_bytes, sha256, final_url in rows:
                known = (
                    Outcome(url, status, reason, attempts, n_bytes, sha256, final_url)
                    if status
                    else None
                )
                yield url, known

    def ask(self, urls: Iterable[tuple[str, str, str, str]], taken: bool = False) -> None:
        """Notes (url, host, file name, folder/file name) of what this fetch has to ask, in order; or as `note_taken` does."""
        self._db.execute("BEGIN")
        self._db.executemany(
            "INSERT OR IGNORE INTO asked (url, host, name, tail, taken) VALUES (?, ?, ?, ?, ?)",
            ((*names, taken) for names in urls),
        )
        self._db.execute("COMMIT")

    def asked_hosts(self) -> Iterator[str]:
        """The hosts that have to be asked, each once, those first that come first in the csv files."""
        last = -1
        while found := self._db.execute(_NEXT_HOST, (last,)).fetchone():
            last, host = found
            yield host

    def asked_of(self, host: str, after: int, page: int) -> list[tuple[int, str]]:
        """The next (number, url) of a host with a number above `after`, `page` of them at most."""
        return self._db.execute(_ASKED_PAGE, (host, after, page)).fetchall()

    def asked(self, page: int = 1000) -> Iterator[tuple[str, tuple[str, int], tuple[str, int]]]:
        """Yields (url, (file name, number of asked urls that have it), the same for folder/file name).

        `note_taken` may run between.
        """
        last = 0
        while rows := self._db.execute(_ASKED_NAMES, (last, page)).fetchall():
            last = rows[-1][0]
            for _, url, name, n_of_name, tail, n_of_tail in rows:
                yield url, (name, n_of_name), (tail, n_of_tail)

    def note_taken(self, urls: Iterable[str]) -> None:
        """Notes urls that need not be asked any more; until `drop_taken` they count among those of their names."""
        self._db.execute("BEGIN")
        self._db.executemany("UPDATE asked SET taken = 1 WHERE url = ?", ((url,) for url in urls))
        self._db.execute("COMMIT")

    def drop_taken(self) -> None:
        """Takes the urls noted as taken off what has to be asked."""
        self._db.execute("DELETE FROM asked WHERE taken")

    def note_files(self, files: Iterable[tuple[str, str]]) -> None:
        """Notes (name, path) of files that may be photos that have to be asked for."""
        self._db.execute("BEGIN")
        # A name need not be text (a disk of another system's, say), which SQLite asks of a string:
        # the path is kept as bytes.
        self._db.executemany(
            "INSERT INTO files (name, path) VALUES (?, ?)",
            ((name.encode(errors="replace").decode(), os.fsencode(path)) for name, path in files),
        )
        self._db.execute("COMMIT")

    def files_named(self, name: str) -> list[str]:
        """Paths of the noted files of a name, two at most."""
        found = self._db.execute("SELECT path FROM files WHERE name = ? LIMIT 2", (name,))
        return [os.fsdecode(path) for (path,) in found]

    def mark_placeholders(self, urls: int) -> int:
        """Marks as gone what one and the same picture was sent for, for so many wanted urls of a host; how many urls.

        What an earlier fetch marked is known for a placeholder, however few urls it was sent for
        this time.
        """
        return self._db.execute(_MARK_PLACEHOLDERS, (time.time(), urls)).rowcount

    def n_whole(self, urls: Sequence[str]) -> int:
        """How many of three urls have a photo, a url that comes twice counted twice."""
        found = dict(
            self._db.execute(
                "SELECT url, 1 FROM photos WHERE status = 'ok' AND url IN (?, ?, ?)", urls
            )
        )
        return sum(url in found for url in urls)

    def tally_by_host(self, most: int) -> list[tuple[str, str, int]]:
        """(host, status, number of urls) of the `most` hosts that have the most wanted urls."""
        return self._db.execute(_TALLY_BY_HOST, (most,)).fetchall()

    def record(self, outcomes: Iterable[Outcome]) -> None:
        """Writes outcomes in one transaction. An 'ok' comes here only once its file is in place."""
        now = time.time()
        self._db.execute("BEGIN")
        self._db.executemany(
            _RECORD,
            [
                (o.url, o.status, o.reason, o.attempts, now, o.n_bytes, o.sha256, o.final_url)
                for o in outcomes
            ],
        )
        self._db.execute("COMMIT")

    def tally(self) -> list[tuple[str, str | None, int, int]]:
        """(status, reason, number of urls, their bytes) over the wanted urls."""
        return self._db.execute(
            "SELECT status, reason, count(*), sum(n_bytes) FROM wanted JOIN photos USING (url) "
            "GROUP BY status, reason ORDER BY 3 DESC, 2"
        ).fetchall()

    def close(self) -> None:
        try:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            # Back to one plain file, which a later reader can open in a folder it may not write to.
            self._db.execute("PRAGMA journal_mode=DELETE")
        except sqlite3.Error:
            pass  # someone is reading: the ledger stays in WAL mode, which is as safe
        finally:
            self._db.close()


class Cache:
    """The read side: where a url's photo lies, or why there is none.

    Raises:
      UserError: `cache_dir` holds no ledger, or none that can be read.
    """

    def __init__(self, cache_dir: str | os.PathLike):
        self._cache_dir = Path(cache_dir)
        path = self._cache_dir / FILE_NAME
        if not path.is_file():
            raise UserError(
                f"{self._cache_dir}: found no {FILE_NAME}, so this is no photo cache; give the --cache that "
                "`imagefec fetch` wrote, or fetch first."
            )
        try:
            self._db = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode=ro", uri=True, check_same_thread=False
            )
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
        except sqlite3.Error as error:
            raise damaged(path, error) from None
        if version != _VERSION:
            self._db.close()
            raise _wrong_version(path, version)

    def photo_path(self, url: str) -> Path | None:
        """The photo's file, or None; `reason` says why."""
        status, _, sha256 = self._look_up(url)
        path = object_path(self._cache_dir, sha256) if status == "ok" else None
        return path if path is not None and path.is_file() else None

    def reason(self, url: str) -> str | None:
        """Why the url has no photo: 'http 404', 'timed out', 'not fetched', …; None where it has one."""
        status, reason, sha256 = self._look_up(url)
        if status == "ok":
            return (
                None
                if object_path(self._cache_dir, sha256).is_file()
                else "file missing from the cache"
            )
        return reason

    def close(self) -> None:
        self._db.close()

    def __enter__(self) -> Cache:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _look_up(self, url: str) -> tuple[str, str | None, str | None]:
        try:
            found = self._db.execute(_LOOK_UP, (url,)).fetchone()
        except sqlite3.Error as error:
            raise damaged(self._cache_dir / FILE_NAME, error) from None
        return found or ("failed", "not fetched", None)


def host_of(url: str) -> str:
    """The host and port of a url in lower case; "" of a file."""
    try:
        return urlsplit(url).netloc.rpartition("@")[2].lower()
    except ValueError:
        return ""


def object_path(cache_dir: Path, sha256: str) -> Path:
    """Where a photo of these bytes lies: the same bytes under several urls are one file."""
    return cache_dir / "objects" / sha256[:2] / sha256


def damaged(path: Path, error: sqlite3.Error) -> UserError:
    """What to tell the user when SQLite cannot work with the ledger."""
    if "disk is full" in str(error) or "disk I/O" in str(error):
        return UserError(
            f"{path}: cannot be written ({error}); free some space and run the same command again."
        )
    if "readonly" in str(error) or "unable to open" in str(error) or "locked" in str(error):
        return UserError(
            f"{path}: cannot be opened ({error}); check its permissions and that no other program holds it."
        )
    return UserError(
        f"{path}: found a damaged ledger ({error}), an SQLite file is wanted. Delete it and fetch again; "
        "only the photos' bookkeeping is in it."
    )


FILE_NAME = "ledger.sqlite3"
_VERSION = 1
_SCHEMA = f"""
BEGIN;
CREATE TABLE photos (
  url TEXT PRIMARY KEY, status TEXT NOT NULL, reason TEXT, attempts INTEGER NOT NULL, last_try REAL NOT NULL,
  n_bytes INTEGER NOT NULL, sha256 TEXT, final_url TEXT
) WITHOUT ROWID;
PRAGMA user_version={_VERSION};
COMMIT;
"""
_TEMPORARY = """
CREATE TEMP TABLE wanted (n INTEGER PRIMARY KEY, url TEXT NOT NULL UNIQUE, host TEXT NOT NULL);
CREATE TEMP TABLE asked (n INTEGER PRIMARY KEY, url TEXT NOT NULL UNIQUE, host TEXT NOT NULL, name TEXT NOT NULL,
  tail TEXT NOT NULL, taken INTEGER NOT NULL DEFAULT 0);
CREATE INDEX temp.asked_by_host ON asked (host, n);
CREATE INDEX temp.asked_by_name ON asked (name);
CREATE INDEX temp.asked_by_tail ON asked (tail);
CREATE TEMP TABLE files (name TEXT NOT NULL, path BLOB NOT NULL);
CREATE INDEX temp.files_by_name ON files (name);
"""
# Those whose first url has a higher number than the last host's first.
_NEXT_HOST = """
SELECT a.n, a.host FROM asked a
WHERE a.n > ? AND NOT EXISTS (SELECT 1 FROM asked b WHERE b.host = a.host AND b.n < a.n) ORDER BY a.n LIMIT 1
"""
_ASKED_PAGE = "SELECT n, url FROM asked WHERE host = ? AND n > ? ORDER BY n LIMIT ?"
_ASKED_NAMES = """
SELECT n, url, name, (SELECT count(*) FROM asked b WHERE b.name = a.name),
  tail, (SELECT count(*) FROM asked b WHERE b.tail = a.tail) FROM asked a WHERE n > ? AND NOT taken ORDER BY n LIMIT ?
"""
_MARK_PLACEHOLDERS = """
UPDATE photos SET status = 'gone', reason = 'placeholder picture', last_try = ?
WHERE status = 'ok' AND url IN (
  SELECT url FROM wanted JOIN photos p USING (url) WHERE host != '' AND (
    sha256 IN (SELECT sha256 FROM photos WHERE reason = 'placeholder picture' AND sha256 IS NOT NULL)
    OR (sha256, host) IN (
      SELECT sha256, host FROM wanted JOIN photos USING (url) WHERE status = 'ok' AND host != ''
      GROUP BY sha256, host HAVING count(*) >= ?)))
"""
_TALLY_BY_HOST = """
SELECT host, status, count(*) FROM wanted JOIN photos USING (url)
WHERE host IN (SELECT host FROM wanted GROUP BY host ORDER BY count(*) DESC, host LIMIT ?)
GROUP BY host, status ORDER BY host, status
"""
_LOOK_UP = "SELECT status, reason, sha256 FROM photos WHERE url = ?"
_WANTED_PAGE = """
SELECT n, w.url, status, reason, attempts, n_bytes, sha256, final_url
FROM wanted w LEFT JOIN photos p ON p.url = w.url WHERE n > ? ORDER BY n LIMIT ?
"""
_RECORD = """
INSERT INTO photos (url, status, reason, attempts, last_try, n_bytes, sha256, final_url)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (url) DO UPDATE SET
  status = excluded.status, reason = excluded.reason, attempts = photos.attempts + excluded.attempts,
  last_try = excluded.last_try, n_bytes = excluded.n_bytes, sha256 = excluded.sha256,
  final_url = excluded.final_url
"""


def _wrong_version(path: Path, version: int) -> UserError:
    return UserError(
        f"{path}: found a ledger of version {version}; this imagefec reads version {_VERSION}. Use the "
        "imagefec that wrote it, or fetch into another cache."
    )
