"""bfloat16 arithmetic with float32 weights, and recomputation of activations (remat)."""

from typing import Any

import jax
import jax.numpy as jnp

from imagefec.compat import tl
from imagefec.devices import find_devices
from imagefec.errors import UserError


def in_bfloat16(layer: Any, weights: Any) -> Any:
    """Rounds the weights of convolutions and dense layers to bfloat16, and no others.

    These layers compute in their weights' precision. Norms keep float32 weights and statistics, and
    the unit-length layer and the losses return float32. Gradients pass through the rounding to the
    float32 weights.

    Args:
      layer: Trax layer.
      weights: float32, in the layer's structure.

    Returns:
      The weights in the same structure, float32 or bfloat16.
    """
    if isinstance(layer, (tl.Conv, tl.Dense)):
        return jax.tree.map(lambda weight: weight.astype(jnp.bfloat16), weights)
    if not layer.sublayers:
        return weights
    return tuple(in_bfloat16(sublayer, part) for sublayer, part in zip(layer.sublayers, weights))


def check_precision(precision: str, device: Any = None) -> None:
    """Checks that a device can compute in a precision.

    Args:
      precision: "float32" or "bfloat16".
      device: JAX device; None for this process's first.

    Raises:
      UserError: the device cannot.
    """
    if precision == "float32":
        return
    find_devices()
    device = device or jax.local_devices()[0]
    capability = getattr(device, "compute_capability", None)
    if device.platform == "gpu" and capability and float(capability) < 8:
        raise UserError(
            f"training.precision is 'bfloat16', but {device.device_kind} has no bfloat16 "
            f"arithmetic (compute capability {capability}; 8.0 is required). Use 'float32'."
        )
    try:
        one = jax.device_put(jnp.ones((8, 8), jnp.bfloat16), device)
        jax.block_until_ready(jax.jit(jnp.matmul)(one, one))
    except Exception as error:
        raise UserError(
            f"training.precision is 'bfloat16', but {device.device_kind} cannot multiply in it "
            f"({' '.join(str(error).split())[:200]}). Use 'float32'."
        ) from error


def with_remat(model: tl.Serial) -> tl.Serial:
    """The same network with every Serial in it under jax.checkpoint.

    For ImageFEC these are the stem and the residual blocks. The backward pass then needs memory for
    the activations of one block instead of all, and about a third more computation. Weights, their
    names and the results stay the same.
    """
    layers = (Remat(layer) if isinstance(layer, tl.Serial) else layer for layer in model.sublayers)
    return tl.Serial(*layers, name=model.name)


class Remat(tl.Serial):
    """A Trax Serial under jax.checkpoint: its activations are recomputed in the backward pass."""

    state: Any

    def __init__(self, serial: tl.Serial) -> None:
        super().__init__(*serial.sublayers, name=serial.name)
        self._inside = tl.Serial(*serial.sublayers, name=serial.name)

    def forward(self, xs: Any) -> Any:
        """Computes the layers, as Trax's Serial does."""
        ys, self.state = jax.checkpoint(self._inside.pure_fn)(
            xs, self.weights, self.state, self.rng
        )
        return ys
