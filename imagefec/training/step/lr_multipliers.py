"""Learning-rate multipliers by name of the weight: a slower body, a frozen stem."""

import re
from collections.abc import Mapping
from typing import Any

from imagefec.errors import UserError
from imagefec.model import checkpoint
from imagefec.parameters import Number

_SETTING = "training.layer_rates"


def lr_multipliers(network: Any, factors: Mapping[str, float]) -> Any:
    """One factor per weight.

    Args:
      network: initialised ImageFEC.
      factors: regular expression -> factor, 0 or more. The first pattern found in a weight's name
        in checkpoints, such as "weights/1.Stem/0.Conv", counts; without one the factor is 1. 0
        freezes a weight; running statistics are still updated.

    Returns:
      Floats in the structure of network.weights.

    Raises:
      UserError: a factor is not a number of 0 or more, or a pattern is not a regular expression or
        sets the factor of no weight.
    """
    names = [name for name in checkpoint.named_weights(network) if name.startswith("weights/")]
    for pattern, factor in factors.items():
        _check(pattern, factor)
    used = set()

    def factor_of(name: str) -> float:
        for pattern, factor in factors.items():
            if re.search(pattern, name):
                used.add(pattern)
                return float(factor)
        return 1.0

    by_name = {name: factor_of(name) for name in names}
    for pattern in factors:
        if pattern not in used:
            raise UserError(
                f"{_SETTING}: {pattern!r} sets the factor of no weight: it matches none, or "
                "earlier patterns match the same ones. Change it, or move it before the others. "
                f"Weights are named {names[0]} … {names[-1]}."
            )
    return checkpoint.filled_weights(network, by_name)


def _check(pattern: str, factor: Any) -> None:
    try:
        re.compile(pattern)
    except re.error as error:
        raise UserError(
            f"{_SETTING}: {pattern!r} is not a regular expression ({error}). Correct it."
        ) from None
    if not Number(0).accepts(factor):
        raise UserError(
            f"{_SETTING}: {pattern!r} has the factor {factor!r}; it must be a number, 0 or more."
        )
