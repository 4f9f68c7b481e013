"""Keeps notices that no user can act upon off stderr; errors and all other lines pass."""

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator

# Lines that TensorFlow's C++ side and gym print at import, whatever one does; no user can act upon
# them.
_NOTICES = re.compile(
    r"All log messages before absl::InitializeLog|oneDNN custom operations|Could not find cuda drivers"
    r"|TensorFlow binary is optimized|rebuild TensorFlow with|Gym has been unmaintained|upgrade to Gymnasium"
    r"|replace 'import gym'|gymnasium.farama.org|failed call to cuInit"
    r"|MLIR V1 optimization pass is not enabled"
)


@contextlib.contextmanager
def quiet_imports() -> Iterator[None]:
    """Drops known notices from what is written to file descriptor 2 meanwhile; all else is passed on.

    TensorFlow 2.21 writes its notices from C++ and heeds no environment variable there, so they are
    caught where they arrive. Use it around imports only: what is written appears when the block
    ends, errors too.
    """
    if sys.stderr is None:  # a daemon that closed it
        yield
        return
    sys.stderr.flush()
    kept_stderr = os.dup(2)
    with tempfile.TemporaryFile() as caught:
        os.dup2(caught.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept_stderr, 2)
            os.close(kept_stderr)
            caught.seek(0)
            for line in caught.read().decode(errors="replace").splitlines(keepends=True):
                if not _NOTICES.search(line):
                    os.write(2, line.encode())
