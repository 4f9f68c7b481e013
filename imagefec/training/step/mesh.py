"""All devices of all hosts as one mesh, and how arrays lie on it: weights whole on each device, batches cut along axis 0.

What a training step computes (mesh_trainer.py) and what is in a batch (input.py) is not known here.
"""

from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from imagefec.errors import UserError

AXIS = "batch"


def join_hosts(coordinator: str | None, processes: int | None, process: int | None) -> None:
    """Makes this process one of several that train one model; call it before anything is computed with JAX.

    Args:
      coordinator: "host:port" of process 0, or "auto": JAX asks the cluster (Slurm, Open MPI,
        Kubernetes, Cloud TPU) for all three. None does nothing.
      processes: how many there are.
      process: which of them this is, from 0.

    Raises:
      UserError: the three do not fit together, or the processes do not find each other.
    """
    if coordinator is None:
        return
    asked = (
        {}
        if coordinator == "auto"
        else {"coordinator_address": coordinator, "num_processes": processes, "process_id": process}
    )
    if asked and (processes is None or process is None or not 0 <= process < processes):
        raise UserError(
            f"hosts.coordinator is {coordinator}, hosts.processes {processes} and hosts.process {process}; each "
            "process needs the number of all and its own, from 0. Bind them with --config, or take 'auto'."
        )
    try:
        jax.distributed.initialize(**asked)
    except (RuntimeError, ValueError) as error:
        raise UserError(
            f"hosts.coordinator={coordinator}: the processes do not come together "
            f"({' '.join(str(error).split())[:300]}). Start all of them, each with its own hosts.process, and "
            "let them reach the coordinator's port."
        ) from error


def all_devices() -> Mesh:
    """The mesh of all devices, those of a host side by side, so that each host's share of a batch is one piece."""
    devices = sorted(jax.devices(), key=lambda device: (device.process_index, device.id))
    return Mesh(np.array(devices), (AXIS,), axis_types=(AxisType.Auto,))


def replicated(mesh: Mesh) -> NamedSharding:
    """Every device holds all of the array."""
    return NamedSharding(mesh, PartitionSpec())


def batch_sharded(mesh: Mesh, axis: int = 0) -> NamedSharding:
    """Every device holds its share along an axis."""
    return NamedSharding(mesh, PartitionSpec(*[None] * axis, AXIS))


def replicate(tree: Any, mesh: Mesh) -> Any:
    """Copies every array of a tree to every device; the copies share memory with nothing, so they may be donated."""
    sharding = replicated(mesh)

    def copied(array: Any) -> jax.Array:
        host = np.asarray(array)
        return jax.make_array_from_callback(
            host.shape, sharding, lambda index: np.array(host[index])
        )

    return jax.tree.map(copied, tree)


def local_slice(length: int, mesh: Mesh) -> slice:
    """Which of `length` rows, cut over the mesh, lie on this process's devices.

    Raises:
      ValueError: the devices cannot share them evenly.
    """
    if length % mesh.size:
        raise ValueError(f"{mesh.size} devices cannot share {length} rows evenly")
    pieces = batch_sharded(mesh).addressable_devices_indices_map((length,)).values()
    starts, stops = zip(
        *(
            (piece[0].start or 0, length if piece[0].stop is None else piece[0].stop)
            for piece in pieces
        )
    )
    return slice(min(starts), max(stops))


def global_batch(own_rows: np.ndarray, length: int, mesh: Mesh) -> jax.Array:
    """Sends this process's rows to its devices, as its part of an array [length, ...] over the whole mesh."""
    return jax.make_array_from_process_local_data(
        batch_sharded(mesh), own_rows, (length, *own_rows.shape[1:])
    )


def is_chief() -> bool:
    """Whether this process is the one that writes files and speaks."""
    return jax.process_index() == 0
