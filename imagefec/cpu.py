"""The number of processors that this process may use."""

import os


def cpu_count() -> int:
    """Number of cores that a container or `taskset` leaves to this process, 1 or more."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
