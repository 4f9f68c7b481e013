"""Compiler options of a training step."""

import functools
import os

import jax
import jax.numpy as jnp

# XLA on CPU delegates parts of a program to the library YNNPACK, by default also convolutions.
# ResNet-50 then trains at 32 images/s; with XLA's own convolutions at 35 (benchmarks/README.md).
_YNNPACK = "xla_cpu_experimental_ynn_fusion_type"
_WITHOUT_CONVOLUTIONS = {_YNNPACK: "LIBRARY_FUSION_TYPE_REDUCE,LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT"}


@functools.cache
def step_options() -> dict[str, str] | None:
    """Options for jax.jit's `compiler_options`: on a CPU, XLA computes convolutions itself.

    Returns:
      The options; None on GPU and TPU, if this jaxlib does not know the option, and if XLA_FLAGS
      sets it.
    """
    if jax.default_backend() != "cpu" or _YNNPACK in os.environ.get("XLA_FLAGS", ""):
        return None
    add_one = jax.jit(lambda x: x + 1, compiler_options=_WITHOUT_CONVOLUTIONS)
    try:
        add_one.lower(jnp.float32(0)).compile()
    except (jax.errors.JaxRuntimeError, ValueError):
        return None
    return _WITHOUT_CONVOLUTIONS
