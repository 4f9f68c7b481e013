"""Huge memory pages for the verbs that train, asked of the C library the one way there is: before the process starts."""

import os
import sys

_TUNABLE = "glibc.malloc.hugetlb"


def use_huge_pages() -> None:
    """Starts this process anew with glibc's malloc asking for huge pages; does nothing where that is done or cannot be.

    XLA takes the memory of every step's intermediate values from malloc and gives it back:
      ResNet-50 at 128 px and 24
    images touches a gigabyte a step, and a fifth of the step went into the kernel's handing out 4
    KB pages (benchmarks/README.md). Whoever sets GLIBC_TUNABLES to "glibc.malloc.hugetlb=0" goes
    without.
    """
    tunables = os.environ.get("GLIBC_TUNABLES", "")
    if not sys.platform.startswith("linux") or _TUNABLE in tunables or not sys.orig_argv:
        return
    environment = dict(
        os.environ, GLIBC_TUNABLES=":".join(filter(None, [tunables, f"{_TUNABLE}=1"]))
    )
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)
