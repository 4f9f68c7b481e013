"""TensorFlow, where it is needed: to build and first read datasets, and for its own file formats.

A machine may lack it, as Colab's TPU runtime does. Trax is imported without it (`compat/stubs.py`).
"""

import contextlib
import importlib.util
from typing import Any

from imagefec.errors import UserError
from imagefec.quiet import quiet_imports


def has_tensorflow() -> bool:
    """Whether TensorFlow is installed; does not import it."""
    return importlib.util.find_spec("tensorflow") is not None


def import_tensorflow(what: str, instead: str = "") -> Any:
    """Imports TensorFlow and lets it compute on the CPU only.

    On a GPU it would take the memory that JAX requires. Where it uses the GPU already, nothing
    changes: that is the caller's choice.

    Args:
      what: requires it; begins the error text.
      instead: what else the user can do, a complete sentence.

    Raises:
      UserError: it is not installed.
    """
    if not has_tensorflow():
        raise UserError(
            f"{what} requires TensorFlow, which is not installed. Run pip install "
            f"'tensorflow>=2.18'{f'. {instead}' if instead else '.'}"
        )
    with quiet_imports():
        import tensorflow as tf

        with contextlib.suppress(RuntimeError):
            tf.config.set_visible_devices([], "GPU")
    return tf
