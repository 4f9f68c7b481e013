"""Atomic writes and locks between processes: the only file that implements either."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

TEMPORARY_SUFFIX = ".tmp"  # of files that are still written, or were when their process was killed


@contextlib.contextmanager
def atomic_open(
    path: str | os.PathLike[str], mode: str = "wb", durable: bool = True, **options: Any
) -> Iterator[IO[Any]]:
    """Opens a temporary file that replaces `path` when the block ends without an error.

    A killed process leaves a temporary file behind; `remove_temporary_files` deletes it.

    Args:
      path: file to write. Its folder must exist; an older file is replaced.
      mode: "wb" or "w".
      durable: force the data to disk before the rename, so that even a power cut leaves the old
        or the new file. False saves milliseconds per file; use it if lost files are remade.
      options: of `open`, such as encoding and newline.

    Raises:
      OSError: the disk is full, or the folder is missing or not writable.
    """
    path = Path(path)
    temporary = path.with_name(
        f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}{TEMPORARY_SUFFIX}"
    )
    try:
        with temporary.open(mode, **options) as file:
            yield file
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_bytes(path: str | os.PathLike[str], data: bytes, durable: bool = True) -> None:
    """Writes a file atomically; arguments and errors as for `atomic_open`."""
    with atomic_open(path, durable=durable) as file:
        file.write(data)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes UTF-8 text atomically, line ends as given; errors as `atomic_open`."""
    write_bytes(path, text.encode())


def remove_temporary_files(folder: Path, pattern: str = "") -> None:
    """Deletes files that killed processes left; no other process may be writing to the folder.

    Args:
      folder: where `atomic_open` wrote.
      pattern: glob of subfolders that are searched too, such as "??"; "" for none.
    """
    for place in (folder, *(folder.glob(pattern) if pattern else ())):
        for path in place.glob(f".*{TEMPORARY_SUFFIX}"):
            path.unlink(missing_ok=True)


class LockedError(Exception):
    """Another process holds the lock; `holder` is its process id, or "unknown"."""

    def __init__(self, holder: str) -> None:
        super().__init__(holder)
        self.holder = holder


@contextlib.contextmanager
def file_lock(path: Path, wait: bool = False) -> Iterator[None]:
    """Holds a lock between processes during the block; the system frees it if the process dies.

    Args:
      path: the lock file, made if missing; while locked it holds the owner's process id. Its folder
        must exist.
      wait: wait for the lock instead of raising LockedError.

    Raises:
      LockedError: another process holds the lock.
      OSError: the file cannot be opened or locked.
    """
    import filelock

    lock = filelock.FileLock(path, timeout=-1 if wait else 0)
    try:
        lock.acquire()
    except filelock.Timeout:
        with contextlib.suppress(OSError):
            raise LockedError(path.read_text().strip() or "unknown") from None
        raise LockedError("unknown") from None
    except NotImplementedError as error:  # filelock's answer where the file system has no locks
        raise OSError(f"{path}: {error}") from error
    try:
        path.write_text(str(os.getpid()))
        yield
    finally:
        with contextlib.suppress(OSError):
            path.write_text("")  # so that finished folders have the same bytes
        lock.release()
