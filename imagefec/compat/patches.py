"""Patches that let Trax 1.4.1 run on current JAX and Python; no code of Trax is copied.

Each patch says why it exists and has its own test in tests/compat/test_patches.py.
"""

import contextlib
import inspect
import sys
import types
import warnings
from collections.abc import Iterator

from imagefec.compat.stubs import stubs_of_missing_packages
from imagefec.quiet import quiet_imports


def import_trax() -> None:
    """Imports trax and applies every patch."""
    silence_known_warnings()
    with quiet_imports(), quick_stack(), stubs_of_missing_packages():
        patch_host_count()
        import trax  # noqa: F401

        patch_local_device_count()
        patch_on_cpu()


def silence_known_warnings() -> None:
    """Silences four Python warnings about Trax's older code; all others still show."""
    # Trax's batch norm requests an int64 counter; JAX gives it int32, which is enough.
    warnings.filterwarnings("ignore", message="Explicitly requested dtype.*int64")
    warnings.filterwarnings("ignore", message="jax.(host_count|process_count) has been renamed")
    # Trax's logging converts NumPy arrays of one element to scalars.
    warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"trax\.")
    # Trax writes `is ()`; Python says so where the package was installed without bytecode. The
    # module of such a warning is the file's path.
    warnings.filterwarnings("ignore", category=SyntaxWarning, module=r".*[/\\]trax[/\\]")


@contextlib.contextmanager
def quick_stack() -> Iterator[None]:
    """Replaces `inspect.stack` by a version that reads no source files.

    `trax.layers.assert_shape` calls it three times at import for a caller's file and line. The
    original searches every loaded module for the source of every frame, including those of the
    import system: 20 s of the 26 s that `import trax` took. Frames, files, lines and function names
    are the same; `code_context` is None.
    """
    original = inspect.stack

    def stack(context: int = 1) -> list[inspect.FrameInfo]:
        del context
        frames: list[inspect.FrameInfo] = []
        frame: types.FrameType | None = sys._getframe(1)
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
    """Restores `jax.host_count`, the former name of `process_count`, which Trax's Loop calls."""
    import jax

    jax.host_count = jax.process_count


def patch_local_device_count() -> None:
    """Makes Trax see one device: its multi-device path with `pmap` fails in current JAX.

    JAX has removed `device_put_replicated`, and `pmap` rejects the arrays that Trax replicates. On
    a machine with several devices every Trax Loop would fail at its first step.
    """
    import trax.fastmath.jax as trax_jax

    trax_jax.JAX_BACKEND["local_device_count"] = lambda: 1


def patch_on_cpu() -> None:
    """Makes Trax use this process's own CPU: the first of all CPUs may be another host's."""
    import jax
    from trax import layers

    layers.on_cpu = lambda tree: jax.device_put(tree, jax.local_devices(backend="cpu")[0])
