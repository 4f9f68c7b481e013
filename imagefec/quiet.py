"""Drops known notices that no user can act on from stderr; errors and all other lines pass."""

import contextlib
import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator
from typing import IO

from imagefec.environment import prepare_for_libraries

# Lines that TensorFlow's C++ code and gym print at import or first use; no setting turns them off.
_NOTICES = re.compile(
    r"All log messages before absl::InitializeLog|oneDNN custom operations"
    r"|Could not find cuda drivers|TensorFlow binary is optimized|rebuild TensorFlow with"
    r"|Gym has been unmaintained|upgrade to Gymnasium|replace 'import gym'|gymnasium.farama.org"
    r"|failed call to cuInit|MLIR V1 optimization pass is not enabled"
    r"|Ignored output_format|Ignored drop_control_dependency|Created TensorFlow Lite XNNPACK"
)


_one_at_a_time = threading.Lock()


@contextlib.contextmanager
def quiet_imports() -> Iterator[None]:
    """Drops known notices from what the block writes to file descriptor 2; passes on the rest.

    TensorFlow 2.21 writes its notices from C++ and ignores every environment variable there, so
    they are intercepted at the file descriptor. Use it around imports only: all output, errors
    included, appears when the block ends. Nothing is dropped in a process without stderr, without a
    place for the output, or in a second block that runs at the same time, in this or another
    thread: two could not both put the file descriptor back.

    Raises:
      UserError: there is no folder for temporary files.
    """
    prepare_for_libraries()
    if sys.stderr is None or not _one_at_a_time.acquire(blocking=False):
        yield
        return
    try:
        with contextlib.ExitStack() as stack:
            # The notices then show, which is better than not to run.
            with contextlib.suppress(OSError):
                stack.enter_context(_dropped_notices(stack.enter_context(unnamed_file())))
            yield
    finally:
        _one_at_a_time.release()


def unnamed_file() -> IO[bytes]:
    """A file without a name, in memory if the system has such files, else in the temporary folder.

    Raises:
      OSError: it needs the temporary folder, and there is none.
    """
    if hasattr(os, "memfd_create"):  # works in containers without any folder to write to
        return os.fdopen(os.memfd_create("imagefec"), "w+b")
    return tempfile.TemporaryFile()


@contextlib.contextmanager
def _dropped_notices(caught: IO[bytes]) -> Iterator[None]:
    sys.stderr.flush()
    saved_stderr = os.dup(2)
    os.dup2(caught.fileno(), 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(saved_stderr, 2)
        os.close(saved_stderr)
        caught.seek(0)
        for line in caught.read().decode(errors="replace").splitlines(keepends=True):
            if not _NOTICES.search(line):
                os.write(2, line.encode())
