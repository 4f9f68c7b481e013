"""Folders that take long to make and are made once: each is whole or not there, and says what it was made from."""

from __future__ import annotations

import contextlib
import fcntl
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

from imagefec.errors import UserError

ABOUT = "about.json"  # in each kept folder: what it was made from
_SAMPLE = 1 << 16  # bytes read of a file's start, middle and end for its fingerprint
_DAMAGED = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)
_log = logging.getLogger(__name__)

T = TypeVar("T")


def keep(
    folder: Path,
    name: str,
    made_from: Mapping[str, Any],
    make: Callable[[Path], None],
    read: Callable[[Path], T],
) -> T:
    """Reads what was kept under a name; makes it first where it is not there, damaged, or made from something else.

    A maker works in a folder of its own, which gets its final name when it is whole and on the
      disk: one that is killed
    leaves nothing that could be read. Of several processes that want the same at once, one makes it
    and the others wait. What was made under this name from something else is deleted.

    Args:
      folder: holds the kept folders; made where missing. If it cannot be written or locked, what is
        made is put in a temporary place, from which it is gone when this process ends, and a
        warning is logged.
      name: of a file, without its ending.
      made_from: plain json values; what is kept is read only where they are the same.
      make: writes files into the empty folder that it is given.
      read: reads them back; raises OSError, ValueError or KeyError where they are damaged. Files
        may stay mapped.

    Raises:
      UserError: there is no room for it, neither in the folder nor in the temporary place.
    """
    about = json.dumps(made_from, indent=1, sort_keys=True)
    path = folder / f"{name}-{hashlib.sha256(about.encode()).hexdigest()[:16]}"
    with contextlib.suppress(_NotKept):
        return _read(path, about, read)
    try:
        with _alone(folder):
            try:
                return _read(path, about, read)  # another process made it meanwhile
            except _NotKept as why:
                if why.args:
                    _log.warning("%s is damaged (%s); it is made again.", path, *why.args)
            _clear(folder, name)
            _make(path, about, make)
        return read(path)
    except OSError as error:
        return _in_passing(path, error, make, read)


def fingerprint(files: Iterable[Path]) -> str:
    """A digest of files' names and sizes, and of what they hold: whole if small, else at their start, middle and end."""
    digest = hashlib.sha256()
    for path in files:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            digest.update(f"{path.name} {size}\n".encode())
            for start in sorted({0, max(0, size - _SAMPLE) // 2, max(0, size - _SAMPLE)}):
                file.seek(start)
                digest.update(file.read(_SAMPLE))
    return digest.hexdigest()


class _NotKept(Exception):
    """Nothing is there, or, if this says so, something damaged."""


def _read(path: Path, about: str, read: Callable[[Path], T]) -> T:
    if not path.is_dir():
        raise _NotKept
    try:
        if (path / ABOUT).read_text(encoding="utf-8") != about:
            raise ValueError(f"{ABOUT} is not its own")
        return read(path)
    except _DAMAGED as error:
        raise _NotKept(error) from error


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _log.warning("Waiting for another process, which is making something in %s.", folder)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _clear(folder: Path, name: str) -> None:
    """Deletes what was made from something else, is damaged, or was left by a maker that was killed."""
    for old in folder.iterdir():
        if old.name.startswith(f"{name}-"):
            shutil.rmtree(old)


def _make(path: Path, about: str, make: Callable[[Path], None]) -> None:
    part = path.with_name(path.name + ".part")
    part.mkdir()
    try:
        make(part)
        (part / ABOUT).write_text(about, encoding="utf-8")
        for file in (*part.iterdir(), part):
            _to_disk(file)
        part.rename(path)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def _to_disk(path: Path) -> None:
    """What a power cut would lose must not bear the name of what is whole."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _in_passing(
    path: Path, why: OSError, make: Callable[[Path], None], read: Callable[[Path], T]
) -> T:
    try:
        with tempfile.TemporaryDirectory(prefix="imagefec-") as folder:
            _log.warning(
                "%s cannot be kept (%s): it is made in %s and will be made again at the next start.",
                path,
                why.strerror or why,
                folder,
            )
            make(Path(folder))
            return read(Path(folder))  # files that are mapped stay readable when they are deleted
    except OSError as error:
        raise UserError(
            f"{path} cannot be made: {why.strerror or why}; nor can it in a temporary place ({tempfile.gettempdir()}): "
            f"{error.strerror or error}. Make room in either, or name another temporary place in TMPDIR."
        ) from error
