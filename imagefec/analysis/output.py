"""Output folders of the commands that write files: created and checked before any work."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from imagefec import files
from imagefec.errors import UserError


def make_folder(folder: Path) -> None:
    """Creates a folder if missing.

    Raises:
      UserError: it cannot be created or written to.
    """
    try:
        files.make_folder(folder)
    except OSError as error:
        raise unwritable(folder, error) from None
    if not os.access(folder, os.W_OK):
        raise UserError(f"{folder}: no permission to write here. Give another --out.")


@contextlib.contextmanager
def folder_to_write(folder: Path, lock: str) -> Iterator[None]:
    """Creates a folder if missing, and removes it if the block fails before it wrote a file.

    Args:
      folder: created with those above it, which are removed likewise.
      lock: name of the lock file in it, which does not count.

    Raises:
      UserError: as `make_folder`.
    """
    places = folder, *folder.absolute().parents
    new = [place for place in places if not os.path.lexists(place)]
    make_folder(folder)
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):  # as soon as one is not empty
            if new and {path.name for path in folder.iterdir()} == {lock}:
                (folder / lock).unlink()
            for place in new:
                place.rmdir()
        raise


def check_writable(path: Path) -> None:
    """Checks that a file of this name can be made, by making an empty one beside it.

    Raises:
      UserError: it cannot: its name is too long, the disk is full or read-only, …
    """
    try:
        with tempfile.NamedTemporaryFile(
            dir=path.parent, prefix=f".{path.name}.{os.getpid()}-", suffix=files.TEMPORARY_SUFFIX
        ):
            pass
    except OSError as error:
        raise unwritable(path, error) from None


def unwritable(out: Path, error: OSError) -> UserError:
    """The error to raise if writing `out` failed."""
    return UserError(
        f"{out}: cannot be written ({error.strerror or error}). Give an --out with free space and "
        "write permission."
    )
