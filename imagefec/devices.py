"""JAX's devices, or the reason why it has none; JAX itself is imported only when it is needed."""

import os
import subprocess
import sys
import time
from typing import IO, Any

from imagefec.errors import UserError

INSTALLATION = "https://docs.jax.dev/en/latest/installation.html"


def find_devices() -> list[Any]:
    """All devices of JAX's default platform. Everything that computes calls this first.

    Raises:
      UserError: the platform that the user requested has no device on this machine, or this process
        was forked from one that had used JAX.
    """
    import jax

    check_not_forked()
    try:
        return jax.devices()
    # JAX's own check of platforms that are known but not installed is an assertion.
    except (RuntimeError, AssertionError) as error:
        platforms = jax.config.jax_platforms  # type: ignore[attr-defined]  # made at run time
        raise UserError(explain(str(error), platforms)) from None


def check_not_forked() -> None:
    """Checks that JAX's threads live in this process: without them a computation never ends.

    Raises:
      UserError: this process was forked from one that had used JAX.
    """
    if _forked_after_jax:
        raise UserError(
            "this process was forked from one that had used JAX, whose threads a fork does not "
            "copy, so nothing can be computed here. Start processes with "
            "multiprocessing.get_context('spawn'), or use JAX in the forked processes only."
        )


def explain(text: str, platforms: str | None) -> str:
    """Explains in a sentence why JAX found no device, and what to do.

    Args:
      text: of the error that `jax.devices()` raised; may be empty.
      platforms: value of JAX's setting jax_platforms, if any.
    """
    reason = " ".join(text.split("(set JAX_PLATFORMS")[0].split())[:300].rstrip(". ")
    if not platforms:
        return (
            f"JAX found no device: {reason or 'it does not say why'}. Set JAX_PLATFORMS=cpu to "
            f"compute on the CPU, or see {INSTALLATION}"
        )
    reason = reason or f"this machine, or the installed JAX, has no {platforms}"
    return (
        f"JAX_PLATFORMS={platforms}: JAX found no such device ({reason}). Unset JAX_PLATFORMS for "
        "the best device of this machine, set JAX_PLATFORMS=cpu for the CPU, or install the driver "
        f"and the JAX for this device: {INSTALLATION}"
    )


_LIST_DEVICES = """
import json, jax
try:
    found = jax.devices()
except (RuntimeError, AssertionError) as error:
    print(json.dumps({"error": str(error), "platforms": jax.config.jax_platforms}))
else:
    kinds = sorted({each.device_kind for each in found})
    print(json.dumps({"platform": found[0].platform, "n": len(found), "kinds": kinds}))
"""


def list_in_process(timeout_s: float, out: IO[bytes], err: IO[bytes]) -> bool:
    """Lists JAX's devices in a process of its own, because a broken driver can hang.

    Args:
      timeout_s: how long it may take.
      out: gets a line of JSON: platform, n, kinds; or error (text) and platforms, for `explain`.
      err: gets what JAX logs.

    Returns:
      Whether the process ended in time.
    """
    process = subprocess.Popen(
        [sys.executable, "-c", _LIST_DEVICES], stdin=subprocess.DEVNULL, stdout=out, stderr=err
    )
    deadline = time.monotonic() + timeout_s
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    if process.poll() is None:
        process.kill()  # without a wait, because a process that hangs in a driver cannot be reaped
        return False
    return True


_forked_after_jax = False


def _remember_fork() -> None:
    global _forked_after_jax
    # Private, but JAX has no other way to ask that starts no device and takes no lock.
    if getattr(sys.modules.get("jax._src.xla_bridge"), "_backends", None):
        _forked_after_jax = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_remember_fork)
