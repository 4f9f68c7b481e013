"""Caches folders that take long to build: each is complete or absent, and records its source."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from imagefec import files
from imagefec.errors import UserError

ABOUT = "about.json"  # in each cached folder: what it was built from
_SAMPLE_BYTES = 1 << 16  # read of a file's start, middle and end for its fingerprint
_DAMAGED = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)
_log = logging.getLogger(__name__)

T = TypeVar("T")


def build_cached(
    folder: Path,
    name: str,
    made_from: Mapping[str, Any],
    build: Callable[[Path], None],
    read: Callable[[Path], T],
) -> T:
    """Reads a cached folder; builds it first if it is missing, damaged or from another source.

    `build` works in a temporary folder, which gets its final name when it is complete and on disk,
    so a killed process leaves nothing that would be read. If several processes need the same
    folder, one builds it and the others wait. Folders of the same name from other sources are
    deleted.

    Args:
      folder: holds the cached folders; made if missing. If it cannot be written or locked, the
        result is built in a temporary folder, which is deleted at once, and a warning is logged.
      name: first part of the cached folder's name; a digest of `made_from` follows it.
      made_from: the source, as plain JSON values; a cached folder is read only if these are equal.
      build: writes files into the empty folder that it is given.
      read: reads them back; raises OSError, ValueError or KeyError if they are damaged. Files may
        stay memory-mapped.

    Raises:
      UserError: there is not enough room in the folder, nor in the temporary folder.
    """
    about = json.dumps(made_from, indent=1, sort_keys=True)
    path = folder / f"{name}-{hashlib.sha256(about.encode()).hexdigest()[:16]}"
    with contextlib.suppress(_NotCached):
        return _read(path, about, read)
    try:
        with _locked(folder):
            try:
                return _read(path, about, read)  # another process has built it meanwhile
            except _NotCached as why:
                if why.args:
                    _log.warning("%s is damaged (%s). Building it again.", path, *why.args)
            _remove_others(folder, name)
            _build(path, about, build)
        return read(path)
    except OSError as error:
        return _build_uncached(path, error, build, read)


def fingerprint(paths: Iterable[Path]) -> str:
    """A digest of files' names, sizes and contents; large files are read at three places only."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            digest.update(f"{path.name} {size}\n".encode())
            for start in sorted(
                {0, max(0, size - _SAMPLE_BYTES) // 2, max(0, size - _SAMPLE_BYTES)}
            ):
                file.seek(start)
                digest.update(file.read(_SAMPLE_BYTES))
    return digest.hexdigest()


class _NotCached(Exception):
    """The folder is missing or, if the exception has an argument that says why, damaged."""


def _read(path: Path, about: str, read: Callable[[Path], T]) -> T:
    if not path.is_dir():
        raise _NotCached
    try:
        if (path / ABOUT).read_text(encoding="utf-8") != about:
            raise ValueError(f"{ABOUT} belongs to another folder")
        return read(path)
    except _DAMAGED as error:
        raise _NotCached(error) from error


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    lock = folder / ".lock"
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(files.file_lock(lock))
        except files.LockedError as error:
            _log.warning("Waiting for process %s, which builds in %s.", error.holder, folder)
            held.enter_context(files.file_lock(lock, wait=True))
        yield


def _remove_others(folder: Path, name: str) -> None:
    """Deletes folders from other sources, damaged folders, and those of killed processes."""
    for old in folder.iterdir():
        if old.name.startswith(f"{name}-"):
            if old.is_dir() and not old.is_symlink():
                shutil.rmtree(old)
            else:
                old.unlink()


def _build(path: Path, about: str, build: Callable[[Path], None]) -> None:
    part = path.with_name(path.name + ".part")
    part.mkdir()
    try:
        build(part)
        (part / ABOUT).write_text(about, encoding="utf-8")
        for file in (*part.iterdir(), part):
            _sync(file)
        part.rename(path)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def _sync(path: Path) -> None:
    """Forces a file or folder to disk, so that not even a power cut leaves it incomplete."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _build_uncached(
    path: Path, why: OSError, build: Callable[[Path], None], read: Callable[[Path], T]
) -> T:
    try:
        with tempfile.TemporaryDirectory(prefix="imagefec-") as folder:
            _log.warning(
                "%s cannot be cached (%s). Building it in %s; it will be built again at the next "
                "start.",
                path,
                why.strerror or why,
                folder,
            )
            build(Path(folder))
            return read(Path(folder))  # mapped files stay readable after they are deleted
    except OSError as error:
        raise UserError(
            f"{path} cannot be built: {why.strerror or why}. The temporary folder "
            f"{tempfile.gettempdir()} cannot hold it either: {error.strerror or error}. Make room "
            "in one of them, or set TMPDIR to another temporary folder."
        ) from error
