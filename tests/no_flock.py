"""A file system without locks, for other processes: a preloaded library whose flock() fails."""

import errno
import os
import shutil
import subprocess
from pathlib import Path

import pytest

_SOURCE = """
#include <errno.h>
#include <stdlib.h>
int flock(int descriptor, int operation) {
  (void)descriptor, (void)operation;
  errno = atoi(getenv("FLOCK_ERRNO"));
  return -1;
}
"""


def environment(folder: Path, error: int = errno.ENOSYS) -> dict[str, str]:
    """The environment of a process in which flock() fails with this error number."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    source, library = folder / "no_flock.c", folder / "no_flock.so"
    source.write_text(_SOURCE)
    done = subprocess.run(
        [compiler, "-shared", "-fPIC", "-o", library, source], capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"the C compiler does not work: {done.stderr}")
    checkout = Path(__file__).parents[1]
    return os.environ | {
        "LD_PRELOAD": str(library),
        "FLOCK_ERRNO": str(error),
        "PYTHONPATH": str(checkout),
    }
