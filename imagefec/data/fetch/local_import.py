"""Imports photos that the user already has into the cache, by file name; no network."""

from __future__ import annotations

import hashlib
import logging
import os
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from imagefec.data.fetch.photo_cache.ledger import Ledger, Outcome
from imagefec.data.fetch.photo_cache.photo_store import FetchFailed
from imagefec.data.fetch.photo_cache.url_names import decoded_name, file_names, loose_name
from imagefec.errors import UserError


class FileStore(Protocol):
    """What `import_photos` requires of a PhotoStore."""

    def add_file(self, path: str) -> tuple[int, str]:
        """As `PhotoStore.add_file`."""


_PAGE_SIZE = 1000
_log = logging.getLogger(__name__)


def import_photos(
    ledger: Ledger, store: FileStore, folder: str | os.PathLike[str]
) -> Iterator[tuple[list[Outcome], int]]:
    """Copies a folder's photos of pending URLs to the cache; these URLs are then not pending.

    A file belongs to a URL if its name is the last part of the URL's path, the complete URL quoted,
    or the URL's SHA-256 in hexadecimal, with any suffix. Names are compared in Unicode's form NFC,
    with and without percent-encoding; if no file has the name, letter case and the spelling of
    JPEG's suffix are ignored. If a name matches several URLs or several files, the name of its
    folder must match as well, as in a mirror of the host. A URL that then still has several
    candidates is ambiguous: it is counted, not guessed. Few matches are a warning.

    Args:
      ledger: holds the pending URLs.
      store: checks and stores the files as it does downloads.
      folder: searched with all its subfolders.

    Yields:
      (outcomes of imported photos, number of ambiguous URLs), page by page.

    Raises:
      UserError: there is no such folder.
    """
    if not Path(folder).is_dir():
        raise UserError(
            f"--from_dir={folder}: no such folder; nothing was fetched. Give the folder of your "
            "photos."
        )
    n_files = 0
    a_file = ""
    for path in (paths := _files(folder)):
        page = [path, *islice(paths, _PAGE_SIZE - 1)]
        ledger.add_files((name, str(path)) for path in page for name in _names_of(path))
        shown = [path for path in page if not path.name.startswith(".")]
        n_files += len(shown)
        a_file = a_file or next((path.name for path in shown), "")
    pending = ledger.pending_names(_PAGE_SIZE)
    n_urls = n_imported = 0
    a_url = ""
    while urls := list(islice(pending, _PAGE_SIZE)):
        outcomes: list[Outcome] = []
        n_ambiguous = 0
        for url, *names in urls:
            found = _file_of(ledger, url, names)
            n_ambiguous += found == ""
            if found:
                outcomes += _imported(store, url, found)
            else:
                a_url = a_url or url
        n_urls += len(urls)
        n_imported += len(outcomes)
        ledger.mark_obtained(outcome.url for outcome in outcomes)
        yield outcomes, n_ambiguous
    ledger.remove_obtained()
    if 2 * n_imported < min(n_urls, n_files) or n_urls > n_files == 0:
        _log.warning(
            "--from_dir=%s: %d of %d photos found among %d files. The photo %.300s would be a file "
            "named %s; a file is named %s. The others are downloaded.",
            *(folder, n_imported, n_urls, n_files),
            *(a_url or "of a URL", ascii(file_names(a_url)[0]), ascii(a_file)),
        )


def _files(folder: str | os.PathLike[str]) -> Iterator[Path]:
    def warn(error: OSError) -> None:
        _log.warning("--from_dir: %s: cannot be read (%s)", error.filename, error.strerror)

    for where, folders, names in os.walk(folder, onerror=warn):
        folders.sort()
        for name in sorted(names):
            yield Path(where, name)


def _names_of(path: Path) -> set[str]:
    written = {path.name, f"{path.parent.name}/{path.name}"}
    names = {unicodedata.normalize("NFC", name) for name in written} | set(
        map(decoded_name, written)
    )
    names |= {_LOOSE + loose_name(name) for name in names}
    return names | ({f"{path.stem}.*"} if path.stem else set())


_LOOSE = "//"  # before names without case; no file name begins so


def _file_of(ledger: Ledger, url: str, names: Sequence[tuple[str, int]]) -> str | None:
    """Path of a URL's file; "" if several match, None if none does.

    Args:
      ledger: holds the files of the folder.
      url: of the photo.
      names: (name, number of URLs with this name), the more general first; then without case.
    """
    quoted = (quote(url, safe=""), unicodedata.normalize("NFC", url))
    for unique in (f"{hashlib.sha256(url.encode()).hexdigest()}.*", *quoted):
        if len(found := ledger.files_named(unique)) == 1:
            return found[0]
    for prefix, pairs in (("", names[:2]), (_LOOSE, names[2:])):
        is_ambiguous = False
        for name, n_urls in pairs:
            found = ledger.files_named(prefix + name) if name else []
            if len(found) == 1 and n_urls == 1:
                return found[0]
            is_ambiguous |= bool(found)
        if is_ambiguous:
            return ""
    return None


def _imported(store: FileStore, url: str, path: str) -> list[Outcome]:
    try:
        n_bytes, sha256 = store.add_file(path)
    except FetchFailed:  # not a photo: the URL is requested as if the file did not exist
        return []
    return [Outcome(url, "ok", None, 0, n_bytes, sha256, url)]
