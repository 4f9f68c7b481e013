"""What XLA is told when it compiles a training step."""

import functools
import os

import jax
import jax.numpy as jnp

# XLA on CPU hands parts of a program to its library YNNPACK: as it comes, convolutions too, with
# which ResNet-50 makes 32 images/s where it makes 35 with XLA's own (benchmarks/README.md).
_YNNPACK = "xla_cpu_experimental_ynn_fusion_type"
_SUMS_AND_PRODUCTS = {_YNNPACK: "LIBRARY_FUSION_TYPE_REDUCE,LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT"}


@functools.cache
def step_options() -> dict[str, str] | None:
    """What jax.jit takes as `compiler_options` for a training step: on a CPU, that convolutions are XLA's own.

    Returns:
      The options; None on GPU and TPU, where this jaxlib does not know them, and where XLA_FLAGS
      has set them.
    """
    if jax.default_backend() != "cpu" or _YNNPACK in os.environ.get("XLA_FLAGS", ""):
        return None
    try:
        jax.jit(lambda x: x + 1, compiler_options=_SUMS_AND_PRODUCTS).lower(
            jnp.float32(0)
        ).compile()
    except (jax.errors.JaxRuntimeError, ValueError):
        return None
    return _SUMS_AND_PRODUCTS
