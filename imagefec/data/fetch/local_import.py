"""Imports photos that the user already has into the cache, by file name; no network."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from imagefec.data.fetch.ledger import Ledger, Outcome
from imagefec.data.fetch.photo_store import FetchFailed, PhotoStore
from imagefec.errors import UserError

_PAGE_SIZE = 1000


def file_names(url: str) -> tuple[str, str]:
    """Names under which most tools save a photo: the last part of the URL's path.

    Args:
      url: of the photo.

    Returns:
      (file name, folder/file name); both "" for a URL that cannot be parsed.
    """
    try:
        folder, _, name = unquote(urlsplit(url).path).rpartition("/")
    except ValueError:
        return "", ""
    return name, f"{folder.rpartition('/')[2]}/{name}"


def import_photos(
    ledger: Ledger, store: PhotoStore, folder: str | os.PathLike[str]
) -> Iterator[tuple[list[Outcome], int]]:
    """Copies a folder's photos of pending URLs to the cache; these URLs are then not pending.

    A file belongs to a URL if its name is the last part of the URL's path, the complete URL quoted,
    or the URL's SHA-256 in hexadecimal, with any suffix. If a name matches several URLs or several
    files, the name of its folder must match as well, as in a mirror of the host. A URL that then
    still has several candidates is ambiguous: it is counted, not guessed.

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
    files = _files(folder)
    while page := list(islice(files, _PAGE_SIZE)):
        ledger.add_files(page)
    pending = ledger.pending_names(_PAGE_SIZE)
    while urls := list(islice(pending, _PAGE_SIZE)):
        outcomes: list[Outcome] = []
        n_ambiguous = 0
        for url, *names in urls:
            found = _file_of(ledger, url, names)
            n_ambiguous += found == ""
            if found:
                outcomes += _imported(store, url, found)
        ledger.mark_obtained(outcome.url for outcome in outcomes)
        yield outcomes, n_ambiguous
    ledger.remove_obtained()


def _files(folder: str | os.PathLike[str]) -> Iterator[tuple[str, str]]:
    for where, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(where, name)
            yield name, str(path)
            yield f"{path.parent.name}/{name}", str(path)
            if path.stem:
                yield f"{path.stem}.*", str(path)


def _file_of(ledger: Ledger, url: str, names: Sequence[tuple[str, int]]) -> str | None:
    """Path of a URL's file; "" if several match, None if none does.

    Args:
      ledger: holds the files of the folder.
      url: of the photo.
      names: (name, number of URLs with this name), the more general first.
    """
    for unique in (f"{hashlib.sha256(url.encode()).hexdigest()}.*", quote(url, safe="")):
        if len(found := ledger.files_named(unique)) == 1:
            return found[0]
    is_ambiguous = False
    for name, n_urls in names:
        found = ledger.files_named(name) if name else []
        if len(found) == 1 and n_urls == 1:
            return found[0]
        is_ambiguous |= bool(found)
    return "" if is_ambiguous else None


def _imported(store: PhotoStore, url: str, path: str) -> list[Outcome]:
    try:
        n_bytes, sha256 = store.add_file(path)
    except FetchFailed:  # not a photo: the URL is requested as if the file did not exist
        return []
    return [Outcome(url, "ok", None, 0, n_bytes, sha256, url)]
