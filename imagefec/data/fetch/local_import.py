"""Photos that a user has already, taken into the cache by their file names; nothing is asked of the network here."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from imagefec.data.fetch.download import Downloader, Refused
from imagefec.data.fetch.ledger import Ledger, Outcome
from imagefec.errors import UserError

_PAGE = 1000


def file_names(url: str) -> tuple[str, str]:
    """The names that a photo of a url is saved under by most tools: the last part of its path, unquoted; the last two."""
    try:
        folder, _, name = unquote(urlsplit(url).path).rpartition("/")
    except ValueError:
        return "", ""
    return name, f"{folder.rpartition('/')[2]}/{name}"


def import_photos(
    ledger: Ledger, downloader: Downloader, folder: str | os.PathLike
) -> Iterator[tuple[list[Outcome], int]]:
    """Copies the photos of a folder that the ledger's asked urls name, and takes those urls off what is to be asked.

    A file is a url's where its name is the last part of the url's path, the whole url quoted, or
    the url's sha256 in hexadecimal, with any suffix. Of a name that fits several urls or several
    files the folder's name counts as well, as in a mirror of the host; what then still fits several
    is ambiguous, and is counted, not guessed.

    Args:
      ledger: with what is to be asked.
      downloader: checks and stores the files as it does downloads.
      folder: searched with all its folders.

    Yields:
      (outcomes of photos that were taken, number of urls whose file was ambiguous), page by page.

    Raises:
      UserError: there is no such folder.
    """
    if not Path(folder).is_dir():
        raise UserError(
            f"--from_dir={folder}: there is no such folder; nothing was fetched. Give the folder of your pictures."
        )
    files = _files(folder)
    while page := list(islice(files, _PAGE)):
        ledger.note_files(page)
    asked = ledger.asked(_PAGE)
    while urls := list(islice(asked, _PAGE)):
        outcomes, n_ambiguous = [], 0
        for url, *names in urls:
            found = _file_of(ledger, url, names)
            n_ambiguous += found == ""
            if found:
                outcomes += _taken(downloader, url, found)
        ledger.note_taken(outcome.url for outcome in outcomes)
        yield outcomes, n_ambiguous
    ledger.drop_taken()


def _files(folder: str | os.PathLike) -> Iterator[tuple[str, str]]:
    for where, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = os.path.join(where, name)
            yield name, path
            yield f"{os.path.basename(where)}/{name}", path
            if stem := Path(name).stem:
                yield f"{stem}.*", path


def _file_of(ledger: Ledger, url: str, names: Sequence[tuple[str, int]]) -> str | None:
    """The file of a url; "" where several fit, None where none does. `names` are (name, number of urls that have it)."""
    for unique in (f"{hashlib.sha256(url.encode()).hexdigest()}.*", quote(url, safe="")):
        if len(found := ledger.files_named(unique)) == 1:
            return found[0]
    is_there = False
    for name, n_urls in names:
        found = ledger.files_named(name) if name else []
        if len(found) == 1 and n_urls == 1:
            return found[0]
        is_there |= bool(found)
    return "" if is_there else None


def _taken(downloader: Downloader, url: str, path: str) -> list[Outcome]:
    try:
        n_bytes, sha256, _ = downloader.copy_file(url, path)
    except Refused:  # no picture: the network is asked as if it were not there
        return []
    return [Outcome(url, "ok", None, 0, n_bytes, sha256, url)]
