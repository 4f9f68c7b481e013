"""The devices of this machine, and whether JAX can use them."""

import json
import os
import pathlib
from typing import Any

from imagefec import devices as jax_devices
from imagefec.doctor.packages import REINSTALL
from imagefec.quiet import unnamed_file

DEVICES_TIMEOUT_S = 60.0
_NVIDIA_FILES = ("dev/nvidia0", "dev/nvidiactl", "dev/dxg")  # the last one in WSL2
_TPU_VENDOR = "0x1ae0"  # Google's; its network cards and disks have other device ids
_TPU_DEVICES = ("0x0027", "0x0056", "0x005e", "0x0062", "0x0063", "0x006f", "0x0076")


def accelerators(root: pathlib.Path = pathlib.Path("/")) -> list[str]:
    """The accelerators whose driver or PCI device this machine has, of "NVIDIA GPU" and "TPU".

    Args:
      root: of the file system.

    Source: the signs that JAX itself looks for (jax/_src/hardware_utils.py).
    """
    found = []
    if any((root / name).exists() for name in _NVIDIA_FILES):
        found.append("NVIDIA GPU")
    for device in root.glob("sys/bus/pci/devices/*"):
        try:
            vendor, kind = ((device / name).read_text().strip() for name in ("vendor", "device"))
        except OSError:
            continue
        if vendor == _TPU_VENDOR and kind in _TPU_DEVICES:
            found.append("TPU")
            break
    return found


def devices(timeout_s: float, problems: list[str]) -> dict[str, Any]:
    """JAX's devices: platform, n, kinds; or error. Says if an accelerator is not among them."""
    found = _devices_of_jax(timeout_s, problems)
    present = found["accelerators"] = accelerators()
    is_chosen = bool(
        os.environ.get("JAX_PLATFORMS") or os.environ.get("CUDA_VISIBLE_DEVICES") == ""
    )
    if found["platform"] == "cpu" and present and not is_chosen:
        extra = "cuda" if present[0] == "NVIDIA GPU" else "tpu"
        problems.append(
            f"this machine has a {present[0]}, but JAX uses the CPU. Run pip install -e "
            f"'.[{extra}]' in the checkout; if that is done, {jax_devices.INSTALLATION} says which "
            "driver is required."
        )
    return found


def memory() -> dict[str, float] | None:
    """Memory of this machine that is free and in all, in GB; None if it is unknown."""
    try:
        lines = pathlib.Path("/proc/meminfo").read_text().splitlines()
        kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in lines}
        free, total = kilobytes["MemAvailable"], kilobytes["MemTotal"]
    except (OSError, ValueError, KeyError, IndexError):
        return None
    return {"free_gb": round(free / 1e6, 1), "total_gb": round(total / 1e6, 1)}


def _devices_of_jax(timeout_s: float, problems: list[str]) -> dict[str, Any]:
    unknown: dict[str, Any] = {"platform": None, "n": 0, "kinds": []}
    try:
        # Files instead of pipes, which a process that hangs in a driver keeps open.
        with unnamed_file() as out, unnamed_file() as err:
            ended = jax_devices.list_in_process(timeout_s, out, err)
            out.seek(0)
            err.seek(0)
            said, told = (each.read().decode(errors="replace").strip() for each in (out, err))
    except OSError as error:  # no process can be started, or there is no temporary folder
        problems.append(f"JAX's devices cannot be listed: {error}. Set TMPDIR to a folder.")
        return unknown | {"error": str(error)}
    if not ended:
        problems.append(
            f"JAX did not list its devices within {timeout_s:g} s: the accelerator's driver "
            "hangs, or another process holds the device. Restart the machine, end that "
            "process, or set JAX_PLATFORMS=cpu."
        )
        return unknown | {"error": "timeout"}
    try:
        found = json.loads(said.splitlines()[-1])
    except (ValueError, IndexError):
        last = told.splitlines()[-1][:300] if told else "its process ended without a word"
        problems.append(
            f"JAX cannot be used: {last}. Run {REINSTALL}, then install JAX for your "
            f"accelerator: {jax_devices.INSTALLATION}"
        )
        return unknown | {"error": last}
    if "error" in found:
        problem = jax_devices.explain(found["error"], found["platforms"])
        problems.append(problem)
        return unknown | {"error": problem}
    return found
