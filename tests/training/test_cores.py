"""A CPU's cores as devices: how many, and when not."""

import os
import subprocess
import sys

import pytest

from imagefec.training.cores import n_devices


@pytest.mark.parametrize(
    "images, cores, wanted",
    [
        (96, 2, 2),
        (99, 2, 1),  # 99 images cannot be halved
        (99, 4, 3),
        (96, 64, 8),  # no more than 8
        (24, 8, 3),
        (12, 2, 1),  # 8 images a device at least
        (0, 4, 1),
        (-3, 4, 1),
        (90, 1, 1),
    ],
)
def test_devices_share_the_images_evenly_with_enough_for_each(images, cores, wanted):
    assert n_devices(images, cores) == wanted


@pytest.mark.parametrize(
    "settings, before, wanted",
    [
        ({}, "", 2),
        ({"XLA_FLAGS": "--xla_force_host_platform_device_count=3"}, "", 3),
        ({"JAX_NUM_CPU_DEVICES": "1"}, "", 1),
        ({}, "jax.devices(); ", 1),
    ],
)
def test_cores_become_devices_unless_somebody_has_said_how_many_or_jax_has_looked(
    settings, before, wanted
):
    code = (
        "import os; os.sched_getaffinity = lambda process: {0, 1}; import jax; from imagefec.training import cores; "
        f"{before}cores.split_cpu(96); print(len(jax.devices()))"
    )
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("XLA_FLAGS", "JAX_NUM_CPU_DEVICES")
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**environment, "JAX_PLATFORMS": "cpu", **settings},
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == [str(wanted)]
