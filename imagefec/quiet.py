"""Drops known notices that no user can act on from stderr; errors and all other lines pass."""

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator

# Lines that TensorFlow's C++ code and gym print at import; no setting turns them off.
_NOTICES = re.compile(
    r"All log messages before absl::InitializeLog|oneDNN custom operations"
    r"|Could not find cuda drivers|TensorFlow binary is optimized|rebuild TensorFlow with"
    r"|Gym has been unmaintained|upgrade to Gymnasium|replace 'import gym'|gymnasium.farama.org"
    r"|failed call to cuInit|MLIR V1 optimization pass is not enabled"
)


@contextlib.contextmanager
def quiet_imports() -> Iterator[None]:
    """Drops known notices from what the block writes to file descriptor 2; passes on the rest.

    TensorFlow 2.21 writes its notices from C++ and ignores every environment variable there, so
    they are intercepted at the file descriptor. Use it around imports only: all output, errors
    included, appears when the block ends.
    """
    if sys.stderr is None:  # a daemon that closed it
        yield
        return
    sys.stderr.flush()
    saved_stderr = os.dup(2)
    with tempfile.TemporaryFile() as caught:
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
