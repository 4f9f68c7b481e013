"""All that Trax 1.4.1 needs on today's JAX, and nothing else; import this module before `trax`.

Each mend says why it is there and has a test of its own in tests/test_compat.py. Nothing of Trax is copied.
"""

import warnings

from imagefec.quiet import quiet_imports


def silence_known_warnings() -> None:
    """Silences three Python warnings that Trax calls forth by being of 2021; every other one still shows."""
    # Trax's batch norm asks JAX for an int64 counter; int32 is what it gets and all it needs.
    warnings.filterwarnings("ignore", message="Explicitly requested dtype.*int64")
    warnings.filterwarnings("ignore", message="jax.(host_count|process_count) has been renamed")
    # NumPy scalars taken from arrays of one element, in Trax's logging.
    warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"trax\.")


def mend_host_count() -> None:
    """Gives JAX its old name `host_count` back: Trax's Loop calls it, JAX has announced its end."""
    import jax
    jax.host_count = jax.process_count


def mend_local_device_count() -> None:
    """Lets Trax see one device: its many-device path is `pmap`, which today's JAX refuses to feed.

    `jax.device_put_replicated` is gone and `pmap` rejects the arrays that Trax replicates, so on a machine
    with several devices every Trax Loop would fail at its first step.
    """
    import trax.fastmath.jax as trax_jax
    trax_jax.JAX_BACKEND["local_device_count"] = lambda: 1


def mend_on_cpu() -> None:
    """Has Trax keep arrays on this process's own CPU: the first of all CPUs, which it takes, may be another host's."""
    import jax
    from trax import layers
    layers.on_cpu = lambda tree: jax.device_put(tree, jax.local_devices(backend="cpu")[0])


silence_known_warnings()
with quiet_imports():
    mend_host_count()
    import trax  # noqa: F401
    mend_local_device_count()
    mend_on_cpu()
