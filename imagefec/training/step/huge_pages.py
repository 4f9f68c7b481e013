"""Huge memory pages for training, which glibc enables only when a process starts."""

import os
import sys

_TUNABLE = "glibc.malloc.hugetlb"


def use_huge_pages() -> None:
    """Restarts this process with huge pages enabled in glibc's malloc.

    XLA takes the memory of every step's intermediate values from malloc and returns it. ResNet-50
    at 128 px and 24 images touches a gigabyte per step, and the kernel needed a fifth of the step
    to hand it out in 4 KB pages (benchmarks/README.md).

    Does nothing on systems other than Linux, and if GLIBC_TUNABLES already sets
    glibc.malloc.hugetlb: to 1 after the restart, or to 0 by a user who wants no huge pages.
    """
    tunables = os.environ.get("GLIBC_TUNABLES", "")
    if not sys.platform.startswith("linux") or _TUNABLE in tunables or not sys.orig_argv:
        return
    value = ":".join(filter(None, [tunables, f"{_TUNABLE}=1"]))
    environment = {**os.environ, "GLIBC_TUNABLES": value}
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)
