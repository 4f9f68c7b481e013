"""What Trax 1.4.1 needs changed, in itself or around it, to run on today's JAX and Python. No code of Trax is copied.

Each patch says why it exists and has its own test in tests/compat/test_patches.py.
"""

import contextlib
import inspect
import sys
import warnings
from collections.abc import Iterator

from imagefec.quiet import quiet_imports


def import_trax() -> None:
    """Imports trax with every patch in force."""
    silence_known_warnings()
    with quiet_imports(), quick_stack():
        patch_host_count()
        import trax  # noqa: F401

        patch_local_device_count()
        patch_on_cpu()


def silence_known_warnings() -> None:
    """Silences three Python warnings that Trax triggers because of its age; all others still show."""
    # Trax's batch norm asks JAX for an int64 counter; int32 is what it gets and all it needs.
    warnings.filterwarnings("ignore", message="Explicitly requested dtype.*int64")
    warnings.filterwarnings("ignore", message="jax.(host_count|process_count) has been renamed")
    # NumPy scalars taken from arrays of one element, in Trax's logging.
    warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"trax\.")


@contextlib.contextmanager
def quick_stack() -> Iterator[None]:
    """Replaces `inspect.stack` by one that reads no source files.

    `trax.layers.assert_shape` calls it three times at import to learn a caller's file and line. The
    original looks for the source of every frame, the import system's included, in every loaded
    module: 20 s of the 26 s that `import trax` took. The frames, files, lines and function names
    are the same; `code_context` is None.
    """
    original = inspect.stack

    def stack(context: int = 1) -> list[inspect.FrameInfo]:
        del context
        frames, frame = [], sys._getframe(1)
        while frame is not None:
            code = frame.f_code
            frames.append(
                inspect.FrameInfo(frame, code.co_filename, frame.f_lineno, code.co_name, None, None)
            )
            frame = frame.f_back
        return frames

    inspect.stack = stack
    try:
        yield
    finally:
        inspect.stack = original


def patch_host_count() -> None:
    """Gives JAX its old name `host_count` back: Trax's Loop calls it, JAX has deprecated it."""
    import jax

    jax.host_count = jax.process_count


def patch_local_device_count() -> None:
    """Lets Trax see one device: its multi-device path is `pmap`, which today's JAX refuses to feed.

    `jax.device_put_replicated` is gone and `pmap` rejects the arrays that Trax replicates, so on a
    machine with several devices every Trax Loop would fail at its first step.
    """
    import trax.fastmath.jax as trax_jax

    trax_jax.JAX_BACKEND["local_device_count"] = lambda: 1


def patch_on_cpu() -> None:
    """Makes Trax keep arrays on this process's own CPU: the first of all CPUs, its choice, may be another host's."""
    import jax
    from trax import layers

    layers.on_cpu = lambda tree: jax.device_put(tree, jax.local_devices(backend="cpu")[0])
