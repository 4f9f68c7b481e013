"""All that Trax 1.4.1 needs on today's JAX, and nothing else; import this module before `trax`.

Each mend says why it is there and has a test of its own in tests/test_compat.py. Nothing of Trax is copied.
"""

import contextlib
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Iterator

# Lines that TensorFlow's C++ side and gym print at import, whatever one does; no user can act upon them.
_NOTICES = re.compile(
    r"All log messages before absl::InitializeLog|oneDNN custom operations|Could not find cuda drivers"
    r"|TensorFlow binary is optimized|rebuild TensorFlow with|Gym has been unmaintained|upgrade to Gymnasium"
    r"|replace 'import gym'|gymnasium.farama.org")


@contextlib.contextmanager
def quiet_imports() -> Iterator[None]:
    """Drops known notices from what is written to file descriptor 2 meanwhile; all else is passed on.

    TensorFlow 2.21 writes its notices from C++ and heeds no environment variable there, so they are caught
    where they arrive. Use it around imports only: what is written appears when the block ends, errors too.
    """
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


def silence_known_warnings() -> None:
    """Silences three Python warnings that Trax calls forth by being of 2021; every other one still shows."""
    # Trax's batch norm asks JAX for an int64 counter; int32 is what it gets and all it needs.
    warnings.filterwarnings("ignore", message="Explicitly requested dtype.*int64")
    warnings.filterwarnings("ignore", message="jax.(host_count|process_count) has been renamed")
    # NumPy scalars taken from arrays of one element, in Trax's logging.
    warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"trax\.")


def mend_host_count() -> None:
    """Gives JAX its old name `host_count` back: Trax's Loop calls it, JAX has announced its end."""
    import jax
    jax.host_count = jax.process_count


def mend_local_device_count() -> None:
    """Lets Trax see one device: its many-device path is `pmap`, which today's JAX refuses to feed.

    `jax.device_put_replicated` is gone and `pmap` rejects the arrays that Trax replicates, so on a machine
    with several devices every Trax Loop would fail at its first step.
    """
    import trax.fastmath.jax as trax_jax
    trax_jax.JAX_BACKEND["local_device_count"] = lambda: 1


silence_known_warnings()
with quiet_imports():
    mend_host_count()
    import trax  # noqa: F401
    mend_local_device_count()
