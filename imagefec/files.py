"""Opening regular files, atomic writes and locks between processes: the only file with either."""

import contextlib
import errno
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, BinaryIO

from imagefec.errors import UserError

TEMPORARY_SUFFIX = ".tmp"  # of files that are still written, or were when their process was killed


class NotAFileError(OSError):
    """A named pipe, a socket or a device, which could be read without end."""

    def __init__(self, path: str) -> None:
        super().__init__(errno.EINVAL, "it is not a file", path)


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Opens a regular file for reading, without waiting for the other end of a named pipe.

    Raises:
      NotAFileError: it is a named pipe, a socket or a device.
      OSError: it is a folder, is missing, or cannot be read.
      ValueError: the path has a zero byte.
    """

    def opener(name: str, flags: int) -> int:
        descriptor = os.open(name, flags | getattr(os, "O_NONBLOCK", 0))
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # open() refuses folders itself
            os.close(descriptor)
            raise NotAFileError(name)
        return descriptor

    return open(path, "rb", opener=opener)  # Path.open takes no opener


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


@contextlib.contextmanager
def written_together(folder: Path, order: Sequence[str]) -> Iterator[Path]:
    """Gives a new folder whose files move into `folder` when the block ends without an error.

    So a full disk or a kill while they are written leaves none of them, not some. The caller holds
    the lock of `folder`. What a killed process left is deleted by the next one.

    Args:
      folder: gets the files; older ones of their names are replaced. It must exist.
      order: their names, in the order in which they move; any of them may be left out.

    Raises:
      OSError: the disk is full, or the folder is missing or not writable.
      ValueError: a file was written that is not in `order`.
    """
    new = folder / f".new{TEMPORARY_SUFFIX}"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    try:
        yield new
        for path in sorted(new.iterdir(), key=lambda path: order.index(path.name)):
            path.replace(folder / path.name)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def refuse_links(folder: Path, patterns: Iterable[str]) -> None:
    """Refuses a folder in which symbolic links would lead writing and deleting elsewhere.

    Args:
      folder: to be written to; it may itself be a link, which its user chose.
      patterns: globs, relative to the folder, of what would be written to.

    Raises:
      UserError: one of them is a symbolic link.
    """
    for pattern in patterns:
        for path in sorted(folder.glob(pattern)):
            if path.is_symlink():
                raise UserError(
                    f"{path}: a symbolic link, so files would be written or deleted outside "
                    f"{folder}. Put a real file or folder in its place, or delete the link."
                )


def remove_temporary_files(folder: Path, pattern: str = "") -> None:
    """Deletes files that killed processes left: those that `atomic_open` writes, and no others.

    One that another process of this machine has open stays (on Linux).

    Args:
      folder: where `atomic_open` wrote.
      pattern: glob of subfolders that are searched too, such as "??"; "" for none. Those that are
        symbolic links are not searched.
    """
    subfolders = folder.glob(pattern) if pattern else ()
    for place in (folder, *(path for path in subfolders if not path.is_symlink())):
        for path in place.glob(f".*{TEMPORARY_SUFFIX}"):
            match = _TEMPORARY.fullmatch(path.name)
            if match and not path.is_dir() and not _is_writing(match[1], path):
                path.unlink(missing_ok=True)


# Earlier versions wrote no random part.
_TEMPORARY = re.compile(rf"\..+\.([0-9]+)(?:-[0-9a-f]+)?{re.escape(TEMPORARY_SUFFIX)}", re.DOTALL)


def _is_writing(process: str, path: Path) -> bool:
    """Whether another process has the file open; False where the system does not tell (/proc)."""
    if process == str(os.getpid()):
        return False
    try:
        return any(opened.samefile(path) for opened in Path("/proc", process, "fd").iterdir())
    except OSError:
        return False


def make_folder(folder: Path) -> None:
    """Makes a folder and those above it, unless it exists.

    Raises:
      OSError: it cannot be made; if a file is in its place, the error says so.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        _refuse_file(_nearest(folder))
        raise


def check_folder(folder: Path) -> None:
    """Checks that a folder exists or can be made, and can be written to; writes nothing.

    Raises:
      OSError: as `make_folder`.
    """
    place = _nearest(folder)
    _refuse_file(place)
    if not os.access(place, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(place))


def _nearest(folder: Path) -> Path:
    """The folder, or the nearest above it that exists."""
    return next(place for place in (folder, *folder.absolute().parents) if os.path.lexists(place))


def _refuse_file(place: Path) -> None:
    if not place.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "this is a file, not a folder", str(place))


class LockedError(Exception):
    """Another process holds the lock; `holder` is its process id, or "unknown"."""

    def __init__(self, holder: str) -> None:
        super().__init__(holder)
        self.holder = holder


@contextlib.contextmanager
def file_lock(path: Path, wait: bool = False) -> Iterator[None]:
    """Holds a lock between processes during the block; it is free again if the process dies.

    On a file system without locks (some NFS and FUSE mounts), the lock is a file PATH.soft with the
    process id; that of a process which died on this machine is ignored.

    Args:
      path: the lock file, made if missing; while locked it holds the owner's process id. Its folder
        must exist.
      wait: wait for the lock instead of raising LockedError.

    Raises:
      LockedError: another process holds the lock.
      OSError: the file cannot be opened or locked.
    """
    import filelock

    timeout_s = -1 if wait else 0
    lock: filelock.BaseFileLock = filelock.FileLock(path, timeout_s, fallback_to_soft=False)
    soft = False
    try:
        try:
            lock.acquire()
        except (NotImplementedError, OSError) as error:
            if isinstance(error, OSError) and error.errno not in _WITHOUT_LOCKS:
                raise
            soft, lock = True, filelock.SoftFileLock(f"{path}.soft", timeout_s)
            lock.acquire()
    except filelock.Timeout:
        holder = lock.pid if isinstance(lock, filelock.SoftFileLock) else _text_of(path)
        raise LockedError(str(holder or "unknown")) from None
    try:
        if not soft:
            path.write_text(str(os.getpid()))
        yield
    finally:
        if not soft:
            with contextlib.suppress(OSError):
                path.write_text("")  # so that finished folders have the same bytes
        lock.release()


# What flock says on file systems without locks.
_WITHOUT_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP)


def _text_of(path: Path) -> str:
    with contextlib.suppress(OSError, UnicodeDecodeError):
        return path.read_text().strip()
    return ""


@contextlib.contextmanager
def folder_lock(
    folder: Path, work: str, flag: str, name: str = ".lock", temporary: str = ""
) -> Iterator[None]:
    """Makes a folder and holds its lock, so that no two processes write to it at the same time.

    Also deletes the temporary files that killed processes left in it.

    Args:
      folder: made if missing.
      work: what the command does, for the message: "crop".
      flag: the flag that names the folder, for the message: "--faces".
      name: of the lock file, which stays in the folder, empty.
      temporary: as `pattern` of `remove_temporary_files`.

    Raises:
      UserError: another process holds the lock.
      OSError: the folder cannot be made or written to.
    """
    make_folder(folder)
    try:
        with file_lock(folder / name):
            remove_temporary_files(folder, temporary)
            try:
                yield
            except BaseException:
                remove_temporary_files(folder, temporary)  # of worker processes that were killed
                raise
    except LockedError as error:
        raise UserError(
            f"{folder}: another {work} (process {error.holder}) is writing to this folder; only "
            f"one at a time is allowed. Wait for it, stop it, or give another {flag}."
        ) from None
