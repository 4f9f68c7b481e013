"""Deletes the partial datasets of killed builds, and reports a data_dir that cannot be written."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from absl import logging

from imagefec.errors import UserError

_Mixin: Any = object  # typed as Any: the mixin calls methods of the builder class it is mixed into


class TidyDataDir(_Mixin):
    """Mixin before tfds.core.GeneratorBasedBuilder that leaves no partial datasets behind.

    TFDS writes to a folder incomplete.XXXXXX_VERSION and renames it at the end. A killed build
    leaves that folder, which takes as much room as the dataset. Running builds lock theirs.
    """

    def download_and_prepare(self, *args: Any, **kwargs: Any) -> None:
        """As the method of TFDS.

        Raises:
          UserError: the disk is full, or data_dir cannot be written; or the builder's own.
        """
        try:
            super().download_and_prepare(*args, **kwargs)
        except UserError:
            raise
        except Exception as error:
            root = os.fspath(self.data_dir_root)
            reason = _write_error(root, error)
            if reason is None:
                raise
            raise UserError(
                f"{root}: the dataset cannot be written ({reason}). Make room, up to twice the "
                "dataset's size, or give another --data_dir. The partial dataset is deleted: the "
                "same command starts again."
            ) from error

    def _download_and_prepare(self, *args: Any, **kwargs: Any) -> None:
        folder = Path(self.data_dir)
        if not folder.is_dir():  # in cloud storage
            super()._download_and_prepare(*args, **kwargs)
            return
        with _locked(folder):
            for partial in folder.parent.glob(f"incomplete.*_{self.version}"):
                with suppress(BlockingIOError), _locked(partial):  # a running build holds its lock
                    logging.info("Deleting the partial dataset of a killed build: %s", partial)
                    shutil.rmtree(partial)
            super()._download_and_prepare(*args, **kwargs)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    # Locks the folder itself: files.file_lock's file would become part of the dataset when TFDS
    # renames the folder, or, beside it, stay in data_dir.
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(lock)  # frees it, as the system does if the process is killed


def _write_error(root: str, error: BaseException | None) -> str | None:
    """Describes the first error about a file in root among an error and its causes, if any."""
    import tensorflow as tf

    while error is not None:
        if isinstance(error, OSError) and error.strerror and str(error.filename).startswith(root):
            return f"{error.strerror}: {error.filename}"
        # TensorFlow's messages begin with the file's path.
        if isinstance(error, tf.errors.OpError) and error.message.startswith(root):
            return error.message
        error = error.__cause__ or error.__context__
    return None
