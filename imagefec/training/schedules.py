"""Learning-rate schedules: functions of the step."""

import math
from collections.abc import Callable
from typing import Annotated

from imagefec.parameters import Integer, Number, checked


@checked
def warmup_cosine(
    learning_rate: Annotated[float, Number(0, 1000, above=True)] = 1e-3,
    steps: Annotated[int, Integer(1)] = 1000,
    warmup_steps: Annotated[int, Integer(0)] = 50,
    final_fraction: Annotated[float, Number(0, 1)] = 0.02,
) -> Callable[[int], float]:
    """Linear warm-up, then a fall along half a cosine to the last step.

    Args:
      learning_rate: the highest rate.
      steps: length of the run; later steps use the last rate.
      warmup_steps: length of the warm-up, 0 or more.
      final_fraction: the last rate as a fraction of the highest.

    Returns:
      step (from 1) -> learning rate.

    Raises:
      ValueError: an argument has a value that is not allowed.
    """

    def rate(step: int) -> float:
        rise = min(1.0, step / max(1, warmup_steps))
        done = min(1.0, max(0.0, (step - warmup_steps) / max(1, steps - warmup_steps)))
        fall = final_fraction + (1 - final_fraction) * 0.5 * (1 + math.cos(math.pi * done))
        return learning_rate * rise * fall

    return rate
