"""What libraries take for granted and a container may lack: a home and a temporary folder."""

import os
import tempfile

from absl import logging

from imagefec.errors import UserError
from imagefec.paths import cache_folder

_IN_MEMORY = "/dev/shm"  # Linux's folder in memory, writable in most containers


def prepare_for_libraries() -> None:
    """Sets what TensorFlow, Matplotlib and others need at import; changes nothing if it is there.

    Raises:
      UserError: there is no folder for temporary files.
    """
    temporary_folder()
    if cache_folder("keras") is None:
        # Otherwise TensorFlow's Keras writes its settings to a folder called "~".
        os.environ.setdefault("KERAS_HOME", f"{os.devnull}/keras")


def temporary_folder() -> str:
    """The folder of temporary files: the usual one, else the folder in memory, with a warning.

    Raises:
      UserError: none can be written to.
    """
    try:
        return tempfile.gettempdir()
    except OSError as error:  # names the folders that were tried
        if not os.access(_IN_MEMORY, os.W_OK | os.X_OK):
            raise UserError(
                f"{error.strerror}. Set the environment variable TMPDIR to a folder that can be "
                "written to."
            ) from None
        logging.warning(
            "%s; temporary files are written to %s. Set the environment variable TMPDIR to a "
            "folder that can be written to.",
            error.strerror,
            _IN_MEMORY,
        )
        tempfile.tempdir = os.environ["TMPDIR"] = _IN_MEMORY  # for child processes too
        return _IN_MEMORY
