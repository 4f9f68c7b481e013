"""The read side of the photo cache: where the photo of a URL is, or why there is none."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from imagefec.data.fetch.photo_cache import ledger
from imagefec.data.fetch.photo_cache.photo_store import object_path
from imagefec.errors import UserError
from imagefec.paths import user_path

NEVER_REQUESTED = "not fetched"  # reason of a URL that the ledger does not have


class Cache:
    """A photo cache that `fetch_photos` filled.

    Args:
      cache_dir: its folder.

    Raises:
      UserError: `cache_dir` has no ledger, or one that cannot be read.
    """

    def __init__(self, cache_dir: str | os.PathLike[str]) -> None:
        self._cache_dir = user_path(cache_dir, "cache_dir")
        path = self._cache_dir / ledger.FILE_NAME
        if not path.is_file():
            raise UserError(
                f"{self._cache_dir}: no {ledger.FILE_NAME} in it, so it is not a photo cache. Give "
                "the --cache that `imagefec fetch` wrote, or fetch first."
            )
        try:
            self._db = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode=ro", uri=True, check_same_thread=False
            )
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
        except sqlite3.Error as error:
            raise ledger.unusable(path, error) from None
        if version != ledger.VERSION:
            self._db.close()
            raise ledger.wrong_version(path, version)

    def photo_path(self, url: str) -> Path | None:
        """The file of a URL's photo; None if there is none, and `reason` says why."""
        status, _, sha256 = self._look_up(url)
        if status != "ok" or sha256 is None:
            return None
        path = object_path(self._cache_dir, sha256)
        return path if path.is_file() else None

    def reason(self, url: str) -> str | None:
        """Why a URL has no photo: "http 404", "timed out", ...; None if it has one."""
        status, reason, _ = self._look_up(url)
        if status != "ok":
            return reason
        return None if self.photo_path(url) else "file missing from the cache"

    def close(self) -> None:
        """Closes the ledger."""
        self._db.close()

    def __enter__(self) -> Cache:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _look_up(self, url: str) -> tuple[str, str | None, str | None]:
        try:
            found = self._db.execute(_LOOK_UP, (url,)).fetchone()
        except sqlite3.Error as error:
            raise ledger.unusable(self._cache_dir / ledger.FILE_NAME, error) from None
        return found or ("failed", NEVER_REQUESTED, None)


_LOOK_UP = "SELECT status, reason, sha256 FROM photos WHERE url = ?"
