"""Learning rates of parts of the network, relative to the run's: slow bodies under quick heads, frozen stems."""

import re
from collections.abc import Mapping
from typing import Any

from imagefec.errors import UserError
from imagefec.model import checkpoint


def lr_multipliers(network: Any, rates: Mapping[str, float]) -> Any:
    """One factor a weight.

    Args:
      network: initialised ImageFEC.
      rates: regular expression -> factor, 0 or more; the first that is found in a weight's name, as
        checkpoints have it ("weights/1.Stem/0.Conv"), counts, and 1 where none is. 0 freezes;
        running statistics still move.

    Returns:
      Floats of the structure of network.weights.

    Raises:
      UserError: a factor is negative, or a pattern is no regular expression or is found in no name.
    """
    names = [name for name in checkpoint.named_weights(network) if name.startswith("weights/")]
    used = set()
    for pattern, factor in rates.items():
        try:
            re.compile(pattern)
        except re.error as error:
            raise UserError(
                f"training.layer_rates: {pattern!r} is no regular expression ({error})."
            ) from None
        if not isinstance(factor, int | float) or not 0 <= factor < float("inf"):
            raise UserError(
                f"training.layer_rates: {pattern!r} has the factor {factor!r}; it must be a number, 0 or more."
            )

    def factor_of(name: str) -> float:
        for pattern, factor in rates.items():
            if re.search(pattern, name):
                used.add(pattern)
                return float(factor)
        return 1.0

    factors = {name: factor_of(name) for name in names}
    for pattern in rates:
        if pattern not in used:
            raise UserError(
                f"training.layer_rates: {pattern!r} is found first in no name of a weight; they are {names[0]} … "
                f"{names[-1]}."
            )
    return checkpoint.filled_weights(network, factors)
