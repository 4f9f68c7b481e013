"""How many processors there are to work with."""

import os


def cpu_count() -> int:
    """Number of cores that this process may use: 1 or more, as a container or `taskset` allows."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
