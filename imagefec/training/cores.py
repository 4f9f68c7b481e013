"""A CPU's cores as devices of their own, before JAX has looked for devices."""

import contextlib
import os

import jax

_FEWEST_IMAGES = 8  # a device: below that there is more waiting for one another than work
_MOST_DEVICES = 8


def split_cpu(images: int) -> None:
    """Lets JAX see the CPU as several devices, among which a step's images can be shared evenly.

    Each then computes its images on a thread of its own, where XLA would share out the work within
    every single operation. On two cores quickstart's network takes as many images a second either
    way, ResNet-50, whose 24 million weights each device then has for itself, 0.8 times as many
    (benchmarks/README.md). It does nothing where somebody has said how many CPU devices there are
    (XLA_FLAGS, JAX_NUM_CPU_DEVICES), where JAX has looked for devices already or hosts have been
    joined; GPUs and TPUs are what they are in any case.

    Args:
      images: that a step takes at a time.
    """
    if jax.distributed.is_initialized() or "host_platform_device_count" in os.environ.get(
        "XLA_FLAGS", ""
    ):
        return
    if jax.config.jax_num_cpu_devices > 0:
        return
    with contextlib.suppress(RuntimeError):  # devices have been looked for
        jax.config.update("jax_num_cpu_devices", n_devices(images, _n_cores()))


def n_devices(images: int, cores: int) -> int:
    """The most devices, one a core, that share images evenly and have enough of them each."""
    most = min(cores, _MOST_DEVICES, images // _FEWEST_IMAGES)
    return next((n for n in range(most, 1, -1) if images % n == 0), 1)


def _n_cores() -> int:
    """Those that this process may use, where the system tells."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
