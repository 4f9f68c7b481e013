"""Keeps a data_dir tidy and its errors short: one build at a time, no leftovers, one sentence."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

from absl import logging

from imagefec import files
from imagefec.data.store.dataset_folder import INFO
from imagefec.errors import UserError

_Mixin: Any = object  # typed as Any: the mixin calls methods of the builder class it is mixed into
# The package that writes each format besides TFRecord.
_WRITERS = {"array_record": "array_record", "parquet": "pyarrow", "riegeli": "riegeli"}


class TidyDataDir(_Mixin):
    """Mixin before tfds.core.GeneratorBasedBuilder that leaves no partial datasets behind.

    TFDS writes to a folder incomplete.XXXXXX_VERSION and renames it at the end. A killed build
    leaves that folder, which takes as much room as the dataset.
    """

    def download_and_prepare(self, *args: Any, **kwargs: Any) -> None:
        """As the method of TFDS; `tfds build` exits with 2 and a sentence if the user can fix it.

        Raises:
          UserError: the disk is full, data_dir cannot be written, or another build is running;
            this config is not built, but others are; or the builder's own.
        """
        try:
            with _write_errors(os.fspath(self.data_dir_root)), self._other_configs_named():
                super().download_and_prepare(*args, **kwargs)
        except UserError as error:
            if not _is_tfds_build():
                raise
            print(f"tfds build: {error}", file=sys.stderr)
            raise SystemExit(2) from None
        except KeyboardInterrupt:
            if not _is_tfds_build():
                raise
            print("\ntfds build: stopped; run the same command again.", file=sys.stderr)
            raise SystemExit(130) from None

    @contextmanager
    def _other_configs_named(self) -> Iterator[None]:
        """Says which configs are built, if there is nothing to build the requested one from."""
        try:
            yield
        except AssertionError as error:  # TFDS's of a manual directory that is missing or empty
            root = Path(self.data_dir_root)
            found = {path.parts[-3] for path in (root / self.name).glob(f"*/*/{INFO}")}
            built = " and ".join(f"{self.name}/{config}" for config in sorted(found))
            if not built or not str(error).startswith("Manual directory"):
                raise
            wanted = f"{self.name}/{self.builder_config.name}"
            with suppress(OSError):
                Path(self.data_dir).parent.rmdir()  # TFDS leaves it empty
            raise UserError(
                f"{root}: {wanted} is not built here, only {built}. Load that, or build it: "
                f"tfds build tfds_builders/{self.name} --config={self.builder_config.name} "
                f"--manual_dir=DIR --data_dir={root}"
            ) from None

    def _download_and_prepare(self, *args: Any, **kwargs: Any) -> None:
        _check_format(self.info.file_format.value)
        folder = Path(self.data_dir)
        if not folder.is_dir():  # in cloud storage
            super()._download_and_prepare(*args, **kwargs)
            return
        with _one_build(Path(self.data_dir_root), self.info.full_name):
            for partial in folder.parent.glob(f"incomplete.*_{self.version}"):
                if partial != folder and partial.is_dir() and not partial.is_symlink():
                    logging.info("Deleting the partial dataset of a killed build: %s", partial)
                    shutil.rmtree(partial)
            super()._download_and_prepare(*args, **kwargs)


@contextmanager
def _one_build(root: Path, full_name: str) -> Iterator[None]:
    # In the folder that TFDS makes for downloads: beside the dataset, the lock file would be part
    # of what people copy.
    name = f"{full_name.replace('/', '-')}.lock"
    with files.folder_lock(root / "downloads", f"build of {full_name}", "--data_dir", name):
        yield


def _check_format(file_format: str) -> None:
    """Refuses a format that cannot be written here, before any work."""
    package = _WRITERS.get(file_format)
    if package is not None and importlib.util.find_spec(package) is None:
        raise UserError(
            f"--file_format={file_format} requires the package {package}, which is not installed. "
            "Install it, or use tfrecord (the default) or array_record; training reads these."
        )


@contextmanager
def _write_errors(root: str) -> Iterator[None]:
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        reason = _write_error(root, error)
        if reason is None:
            raise
        raise UserError(
            f"{root}: the dataset cannot be written ({reason}). Make room, up to twice the "
            "dataset's size, or give another --data_dir. The partial dataset is deleted: the "
            "same command starts again."
        ) from error


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


def _is_tfds_build() -> bool:
    """Whether the command `tfds build` called this; it would print a traceback of any error."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_globals.get("__name__") == "tensorflow_datasets.scripts.cli.build":
            return True
        frame = frame.f_back
    return False
