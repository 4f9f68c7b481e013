"""Where any builder writes: what a killed build left is deleted, and a disk that cannot be written is told in a sentence."""

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


class TidyDataDir:
    """Put before tfds.core.GeneratorBasedBuilder, which writes to a folder incomplete.XXXXXX_VERSION and renames it at the end.

    That folder is locked while it is written to; of a build that was killed it would stay, and take
    as much room as the dataset.
    """

    def download_and_prepare(self, *args: Any, **kwargs: Any) -> None:
        """As TFDS's.

        Raises:
          UserError: the disk is full, or data_dir cannot be written; or the builder's own.
        """
        try:
            super().download_and_prepare(*args, **kwargs)
        except UserError:
            raise
        except Exception as error:
            root = os.fspath(self.data_dir_root)
            reason = _trouble_with(root, error)
            if reason is None:
                raise
            raise UserError(
                f"{root}: the dataset cannot be written ({reason}). Make room, up to twice the size of the dataset, or give "
                "another --data_dir. What was half-written is deleted: the same command starts anew."
            ) from error

    def _download_and_prepare(self, *args: Any, **kwargs: Any) -> None:
        folder = Path(self.data_dir)
        if not folder.is_dir():  # in a bucket of a cloud
            super()._download_and_prepare(*args, **kwargs)
            return
        with _locked(folder):
            for left in folder.parent.glob(f"incomplete.*_{self.version}"):
                with suppress(BlockingIOError), _locked(left):
                    logging.info("Deleting what a killed build left: %s", left)
                    shutil.rmtree(left)
            super()._download_and_prepare(*args, **kwargs)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(lock)  # and so does the system where the process is killed


def _trouble_with(root: str, error: BaseException) -> str | None:
    """What the first error of a chain of causes says that is about a file in root; TensorFlow's begin with its path."""
    import tensorflow as tf

    while error is not None:
        if isinstance(error, OSError) and error.strerror and str(error.filename).startswith(root):
            return f"{error.strerror}: {error.filename}"
        if isinstance(error, tf.errors.OpError) and error.message.startswith(root):
            return error.message
        error = error.__cause__ or error.__context__
    return None
