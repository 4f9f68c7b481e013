"""Learning-rate schedules: functions of the step."""

import math
from collections.abc import Callable


def warmup_cosine(
    learning_rate: float = 1e-3,
    steps: int = 1000,
    warmup_steps: int = 50,
    final_fraction: float = 0.02,
) -> Callable[[int], float]:
    """Linear warm-up, then a fall along half a cosine to the last step.

    Args:
      learning_rate: the highest rate.
      steps: length of the run; later steps use the last rate.
      warmup_steps: length of the warm-up, 0 or more.
      final_fraction: the last rate as a fraction of the highest.

    Returns:
      step (from 1) -> learning rate.
    """

    def rate(step: int) -> float:
        rise = min(1.0, step / max(1, warmup_steps))
        done = min(1.0, max(0.0, (step - warmup_steps) / max(1, steps - warmup_steps)))
        fall = final_fraction + (1 - final_fraction) * 0.5 * (1 + math.cos(math.pi * done))
        return learning_rate * rise * fall

    return rate
