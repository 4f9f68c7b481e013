"""Reads the network of a run: its arrays, with batch norms folded into convolutions."""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from imagefec.errors import UserError
from imagefec.model.network.architecture import Architecture
from imagefec.model.network.graph import network_of
from imagefec.model.network.operations import BatchNorm, Convolution, Network, Step, Stored
from imagefec.model.run import Run


def load_network(run_dir: str | os.PathLike[str] | Run) -> Network:
    """Loads the network of a run or an archive without Trax, JAX or TensorFlow.

    Args:
      run_dir: run directory, or archive made by `imagefec export`.

    Returns:
      The folded network of the checkpoint that `Embedder.load` takes. A run in half precision
      gives a float32 network, as there.

    Raises:
      UserError: as `Embedder.load`.
    """
    run = run_dir if isinstance(run_dir, Run) else Run.open(run_dir)
    graph = network_of(architecture_of(run), run.image_size)
    arrays, _ = run.load_checkpoint(stored_arrays(graph))
    return folded(with_arrays(graph, arrays))


def architecture_of(run: Run) -> Architecture:
    """All settings of a run's network, defaults included.

    Raises:
      UserError: they fit no network of this version.
    """
    settings = {name: value for name, value in run.model_settings.items() if name != "mode"}
    try:
        return Architecture(**settings)
    except (TypeError, ValueError) as error:
        raise UserError(
            f"{run.info_path}: its model settings fit no model of this version: {error}. Use the "
            "version of Image FEC that made the run."
        ) from None


def stored_arrays(network: Network) -> dict[str, Stored]:
    """Name -> the arrays that a network takes from its checkpoint."""
    return {
        value.name: value
        for step in network.steps
        for value in vars(step.operation).values()
        if isinstance(value, Stored)
    }


def with_arrays(network: Network, arrays: Mapping[str, np.ndarray]) -> Network:
    """A network with the arrays themselves, float32, in the place of their names."""

    def filled(operation: Any) -> Any:
        found = {
            name: arrays[value.name].astype(np.float32, copy=False)
            for name, value in vars(operation).items()
            if isinstance(value, Stored)
        }
        return dataclasses.replace(operation, **found) if found else operation

    steps = (step._replace(operation=filled(step.operation)) for step in network.steps)
    return Network(network.image_size, tuple(steps))


def folded(network: Network) -> Network:
    """Multiplies each batch norm into the convolution before it; the other steps stay.

    Args:
      network: with arrays. Each batch norm takes the result of a convolution that nothing else
        takes.
    """
    steps: list[Step] = []
    at = [0]  # old value -> new value
    for step in network.steps:
        if isinstance(step.operation, BatchNorm):
            (source,) = (at[value] for value in step.inputs)
            before = steps[source - 1]
            steps[source - 1] = before._replace(operation=_fold(before.operation, step.operation))
            at.append(source)
        else:
            steps.append(step._replace(inputs=tuple(at[value] for value in step.inputs)))
            at.append(len(steps))
    return Network(network.image_size, tuple(steps))


def _fold(conv: Any, norm: Any) -> Convolution:
    """Computes in float64, so that the result is rounded once."""
    slope = np.float64(norm.scale) / np.sqrt(np.float64(norm.variance) + norm.epsilon)
    bias = norm.offset - norm.mean * slope
    kernel = conv.kernel * slope
    return dataclasses.replace(conv, kernel=kernel.astype(np.float32), bias=bias.astype(np.float32))
