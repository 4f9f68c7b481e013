"""bfloat16 compute over float32 weights, and memory against time: blocks whose inside is computed twice."""

from typing import Any

import jax
import jax.numpy as jnp

from imagefec.compat import tl
from imagefec.errors import UserError

PRECISIONS = ("float32", "bfloat16")


def in_bfloat16(layer: Any, weights: Any) -> Any:
    """The weights with those of convolutions and dense layers, and no others, rounded to bfloat16.

    These layers compute in their weights' precision; norms keep float32 weights and statistics, and
    the unit-length layer and the losses give float32. Gradients flow through the rounding back to
    the float32 weights.

    Args:
      layer: Trax layer.
      weights: float32, of the layer's structure.
    """
    if isinstance(layer, (tl.Conv, tl.Dense)):
        return jax.tree.map(lambda weight: weight.astype(jnp.bfloat16), weights)
    if not layer.sublayers:
        return weights
    return tuple(in_bfloat16(sublayer, part) for sublayer, part in zip(layer.sublayers, weights))


def check_precision(precision: str, device: Any = None) -> None:
    """Refuses a precision that is unknown, or that the devices have no arithmetic for.

    Args:
      precision: one of PRECISIONS.
      device: JAX device; None for this process's first.

    Raises:
      UserError: it is.
    """
    if precision not in PRECISIONS:
        raise UserError(
            f"training.precision is {precision!r}; it must be one of {', '.join(PRECISIONS)}."
        )
    if precision == "float32":
        return
    device = device or jax.local_devices()[0]
    capability = getattr(device, "compute_capability", None)
    if device.platform == "gpu" and capability and float(capability) < 8:
        raise UserError(
            f"training.precision is 'bfloat16', and {device.device_kind} has no bfloat16 arithmetic (compute "
            f"capability {capability}; 8.0 has it). Take 'float32'."
        )
    try:
        one = jax.device_put(jnp.ones((8, 8), jnp.bfloat16), device)
        jax.block_until_ready(jax.jit(jnp.matmul)(one, one))
    except Exception as error:
        raise UserError(
            f"training.precision is 'bfloat16', and {device.device_kind} cannot multiply in it "
            f"({' '.join(str(error).split())[:200]}). Take 'float32'."
        ) from error


def rematerialised(model: tl.Serial) -> tl.Serial:
    """The same network, each Serial in it keeping its inputs alone for the backward pass, computing the rest again there.

    For ImageFEC these are the stem and the residual blocks: memory for one block's inside instead
      of all, for about a
    third more computing. Weights, their names and the results stay the same.
    """
    return tl.Serial(
        *(
            Rematerialised(layer) if isinstance(layer, tl.Serial) else layer
            for layer in model.sublayers
        ),
        name=model.name,
    )


class Rematerialised(tl.Serial):
    """A Trax Serial under jax.checkpoint: what it computes inside is not kept for the backward pass."""

    def __init__(self, serial: tl.Serial):
        super().__init__(*serial.sublayers, name=serial.name)
        self._inside = tl.Serial(*serial.sublayers, name=serial.name)

    def forward(self, xs: Any) -> Any:
        ys, self.state = jax.checkpoint(self._inside.pure_fn)(
            xs, self.weights, self.state, self.rng
        )
        return ys
