"""From the distance between two expressions to a tone; plain numbers, no clock and no sound.

A tone tells how far an expression is from a goal. Its pitch and its gain both fall on the way to
the goal, and it is silent there.

Sources: pitch is the dimension most used to show a quantity in sound (Dubus & Bresin 2013,
10.1371/journal.pone.0082491); for guiding movements, intensity that falls with the error until
silence, redundant with pitch, served best (HFES 2011, 10.1177/1071181311551257).
"""

import math
from dataclasses import dataclass

import numpy as np

LOW_HZ = 220.0
HIGH_HZ = 880.0
MAX_GAIN = 0.2  # of a full-scale sine: clearly audible, comfortable for minutes
DEAD_BAND_PERCENTILE = 90.0
MIN_DEAD_BAND = 0.01  # the camera's noise alone moves an embedding by more


@dataclass(frozen=True)
class Tone:
    """A sine tone.

    Attributes:
      hz: frequency.
      gain: amplitude, a share of full scale, in [0, 1].
    """

    hz: float
    gain: float


@dataclass(frozen=True)
class Goal:
    """An expression to return to.

    Attributes:
      embedding: float32 [d], unit length.
      dead_band: distance within which the expression counts as reached, in [0, 2].
    """

    embedding: np.ndarray
    dead_band: float


def goal_of(embeddings: np.ndarray) -> Goal:
    """Makes a goal of the embeddings of about one second of one expression.

    Args:
      embeddings: float [n, d], unit length along d, n ≥ 1.

    Returns:
      Their mean, renormalised, with the 90th percentile of their distances to it as dead band:
      while the expression stays, nine frames of ten lie inside. It is at least MIN_DEAD_BAND.

    Raises:
      ValueError: embeddings is not [n, d] with n ≥ 1, or the embeddings cancel each other out.
    """
    embeddings = np.asarray(embeddings, np.float64)
    if embeddings.ndim != 2 or 0 in embeddings.shape:
        raise ValueError(f"embeddings must be [n, d] with n >= 1, found {list(embeddings.shape)}")
    mean = embeddings.mean(0)
    length = float(np.linalg.norm(mean))
    if not length > _SHORTEST_MEAN:  # refuses NaN too
        raise ValueError(f"the mean of the embeddings has length {length:.3g}, so no direction")
    mean /= length
    distances = np.linalg.norm(embeddings - mean, axis=1)
    spread = float(np.percentile(distances, DEAD_BAND_PERCENTILE))
    return Goal(mean.astype(np.float32), max(spread, MIN_DEAD_BAND))


_SHORTEST_MEAN = 1e-3


def distance(first: np.ndarray, second: np.ndarray) -> float:
    """The l2 distance of two embeddings, in [0, 2] if both are of unit length."""
    return float(np.linalg.norm(np.asarray(first, np.float64) - np.asarray(second, np.float64)))


def smoothing_weight(step_s: float, time_constant_s: float) -> float:
    """Weight of a new value in an exponential average, whatever the interval between values.

    Args:
      step_s: seconds since the last value; below 0 counts as 0.
      time_constant_s: after it, 63 % of a sudden change has arrived.

    Returns:
      A weight in [0, 1): 1 - exp(-step_s / time_constant_s).

    Raises:
      ValueError: time_constant_s is not positive.
    """
    if not time_constant_s > 0:
        raise ValueError(f"time_constant_s must be positive, found {time_constant_s}")
    return -math.expm1(-max(step_s, 0.0) / time_constant_s)


def relative_error(distance: float, dead_band: float, scale: float) -> float:
    """How far an expression is from the goal, as a share of the way.

    Args:
      distance: to the goal, ≥ 0.
      dead_band: distances up to it count as 0.
      scale: distance that counts as 1, such as that of the neutral face; at least twice the dead
        band is used, so that a small change cannot sound through the complete range.

    Returns:
      A number in [0, 1].

    Raises:
      ValueError: an argument is negative or not finite.
    """
    for name, value in (("distance", distance), ("dead_band", dead_band), ("scale", scale)):
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(f"{name} must be a finite number of 0 or more, found {value}")
    beyond, way = distance - dead_band, max(scale, 2 * dead_band) - dead_band
    if beyond <= 0:
        return 0.0
    return beyond / way if beyond < way else 1.0


def tone_of(
    error: float, low_hz: float = LOW_HZ, high_hz: float = HIGH_HZ, max_gain: float = MAX_GAIN
) -> Tone:
    """The tone of a relative error: silence at 0, the highest and loudest tone at 1.

    Equal steps of error are equal musical intervals. The gain is proportional to the error, so that
    the loudness, about gain ** 0.6 (Stevens 1957), fades evenly and is continuous at the goal.

    Args:
      error: of `relative_error`, in [0, 1].
      low_hz: pitch at error 0.
      high_hz: pitch at error 1.
      max_gain: gain at error 1.

    Raises:
      ValueError: error is outside [0, 1].

    Example:
      >>> tone_of(0), tone_of(0.5), tone_of(1)
      (Tone(hz=220.0, gain=0.0), Tone(hz=440.0, gain=0.1), Tone(hz=880.0, gain=0.2))
    """
    if not 0 <= error <= 1:
        raise ValueError(f"error must be in [0, 1], found {error}")
    return Tone(low_hz * (high_hz / low_hz) ** error, max_gain * error)
