"""The mesh of all devices of all hosts, and arrays on it: replicated, or sharded by batch."""

from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from imagefec.devices import find_devices
from imagefec.errors import UserError
from imagefec.training.config import HostsConfig

AXIS = "batch"


def join_hosts(hosts: HostsConfig) -> None:
    """Joins processes that train the same model; call it before JAX computes anything.

    Args:
      hosts: which processes; does nothing without a coordinator.

    Raises:
      UserError: the processes do not find each other.
    """
    if hosts.coordinator is None:
        return
    try:
        if hosts.coordinator == "auto":
            jax.distributed.initialize()
        else:
            jax.distributed.initialize(hosts.coordinator, hosts.processes, hosts.process)
    except (RuntimeError, ValueError) as error:
        raise UserError(
            f"hosts.coordinator={hosts.coordinator}: the processes did not connect "
            f"({' '.join(str(error).split())[:300]}). Start all of them, each with its own "
            "hosts.process, and check that they can reach the coordinator's port."
        ) from error


def all_devices() -> Mesh:
    """The mesh of all devices; a host's are adjacent, so that its part of a batch is one slice.

    Raises:
      UserError: there is no device of the platform that the user requested.
    """
    devices = sorted(find_devices(), key=lambda device: (device.process_index, device.id))
    return Mesh(np.array(devices), (AXIS,), axis_types=(AxisType.Auto,))


def replicated(mesh: Mesh) -> NamedSharding:
    """The sharding by which every device holds the complete array."""
    return NamedSharding(mesh, PartitionSpec())


def batch_sharded(mesh: Mesh, axis: int = 0) -> NamedSharding:
    """The sharding by which every device holds its part along an axis."""
    return NamedSharding(mesh, PartitionSpec(*[None] * axis, AXIS))


def replicate(tree: Any, mesh: Mesh) -> Any:
    """Copies every array of a tree to every device; the copies may be donated."""
    sharding = replicated(mesh)

    def copied(array: Any) -> jax.Array:
        host = np.asarray(array)
        # np.array copies: a donated buffer must not share memory with another.
        return jax.make_array_from_callback(
            host.shape, sharding, lambda index: np.array(host[index])
        )

    return jax.tree.map(copied, tree)


def local_slice(length: int, mesh: Mesh) -> slice:
    """The slice of an array, sharded along its first axis, that this process's devices hold.

    Args:
      length: length of the axis.
      mesh: all devices.

    Raises:
      ValueError: the axis cannot be split evenly among the devices.
    """
    if length % mesh.size:
        raise ValueError(f"{length} rows cannot be split evenly among {mesh.size} devices")
    indices = batch_sharded(mesh).addressable_devices_indices_map((length,)).values()
    parts = [index[0] for index in indices if index is not None]
    starts = [part.start or 0 for part in parts]
    stops = [length if part.stop is None else part.stop for part in parts]
    return slice(min(starts), max(stops))


def global_batch(local_rows: np.ndarray, length: int, mesh: Mesh) -> jax.Array:
    """Sends this process's rows to its devices, as its part of an array [length, ...]."""
    return jax.make_array_from_process_local_data(
        batch_sharded(mesh), local_rows, (length, *local_rows.shape[1:])
    )


def is_chief() -> bool:
    """Whether this process is the one that writes files and reports progress."""
    return jax.process_index() == 0
