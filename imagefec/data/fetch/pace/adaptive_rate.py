"""Requests per second to one host: how the rate falls after a refusal, and rises again.

No network and no threads: the caller passes in the times, seconds of one monotonic clock.
"""

from __future__ import annotations

import math
from collections import deque

MIN_RATE, NO_LIMIT = 0.2, 10_000.0  # requests/s; above that the rate is not limited
FIRST_DECREASE = 0.5  # factor on the refused rate, after the first refusal
DECREASE = 0.97  # factor on the rate that was served between two refusals
# Least factors on the refused rate: if the host was open all the time between them, and if hardly.
CHEAP_DECREASE, COSTLY_DECREASE = 0.9, 0.5
MIN_OPEN_SHARE, EXTRA_DECREASE = 0.2, 0.5  # below that share of the time, another factor
GROWTH = 0.09  # of the refused rate in a time scale
FIRST_SCALE_S, LATER_SCALE_S = 8.0, 30.0  # the first refused rate is a guess
SLOWDOWN, MAX_SLOWDOWN = 1.25, 2.0  # of the time scale, each time that the refused rate is the same
SAME_RATE = 0.1  # relative difference
SCALE_PER_LOCKOUT = 4.0  # the least time scale, in units of the time that the last refusal cost
REQUESTS_TO_DOUBLE = 12  # in a surge
N_RECENT, MIN_RECENT = 32, 8  # starts from which the actual rate is measured
MIN_MEASURED_S, GUESSED_RATE = 0.5, 20.0  # if a host refuses before: requests/s at least


class AdaptiveRate:
    """The rate of one host.

    It falls to r after a refusal at the rate w. Then it rises steeply to w, stays near it, and
    rises beyond it, as CUBIC does (RFC 9438): w (1 + GROWTH t / s + ((t - k) / s)**3) after t
    seconds, where s is the time scale and k is such that it begins at r. A surge doubles it every
    REQUESTS_TO_DOUBLE.

    Args:
      now: current time.
      max_rate: upper limit in requests/s; infinity for none.

    Attributes:
      next_start: time from which the rate permits the next request.
    """

    def __init__(self, now: float, max_rate: float) -> None:
        self._max_rate = max_rate
        self._start = self._refused_rate = max_rate
        self._scale_s = FIRST_SCALE_S
        self._since, self._first_rate = now, 0.0
        self._slowdown = 1.0
        self._before_test = self._start, self._refused_rate, self._scale_s
        self._n_surge: int | None = None  # requests since the surge began
        self._starts: deque[float] = deque(maxlen=N_RECENT)  # since the last refusal
        self.next_start = now

    def value(self, now: float) -> float:
        """Requests/s permitted now."""
        if self._start == math.inf:
            return math.inf
        if self._n_surge is not None:
            rate = self._start * 2.0 ** min(self._n_surge / REQUESTS_TO_DOUBLE, 64.0)
            return min(rate if rate < NO_LIMIT else math.inf, self._max_rate)
        seconds = max(0.0, now - self._since)
        steps = seconds / self._scale_s - (1 - self._start / self._refused_rate) ** (1 / 3)
        rate = self._refused_rate * (1 + GROWTH * seconds / self._scale_s + steps**3)
        return min(rate, self._max_rate)

    def start(self, now: float) -> None:
        """Records that a request starts."""
        self._starts.append(now)
        if self._n_surge is not None:
            self._n_surge += 1
        rate = self.value(now)
        # One late start is made up for, more are not: a thread that wakes up slightly late must not
        # lower the rate.
        if rate < math.inf:
            self.next_start = max(self.next_start, now - 1.0 / rate) + 1.0 / rate

    def decrease(
        self, now: float, n_served: int, interval_s: float | None, open_share: float
    ) -> None:
        """Lowers the rate after a refusal.

        Args:
          now: current time.
          n_served: requests served since the previous refusal.
          interval_s: time since then; None for the first refusal.
          open_share: part of that time in which the host was not left alone.
        """
        refused_rate = self._actual_rate(now, n_served)
        if interval_s is None:
            rate, scale_s = FIRST_DECREASE * refused_rate, FIRST_SCALE_S
            self._first_rate = rate
        else:
            # A token bucket is empty when it refuses, so what it served between two refusals is
            # the rate that it permits. A small bucket overflows while the host is left alone,
            # which makes that rate too low.
            served_rate = min(self.served_rate(n_served, interval_s), refused_rate)
            if open_share < MIN_OPEN_SHARE:
                refused_rate *= max((served_rate / refused_rate) ** 0.5, EXTRA_DECREASE)
            least = COSTLY_DECREASE + (CHEAP_DECREASE - COSTLY_DECREASE) * open_share
            rate = max(DECREASE * served_rate, least * refused_rate)
            is_same = abs(refused_rate - self._refused_rate) < SAME_RATE * self._refused_rate
            self._slowdown = min(SLOWDOWN * self._slowdown, MAX_SLOWDOWN) if is_same else 1.0
            scale_s = LATER_SCALE_S * self._slowdown
        self._refused_rate = min(max(refused_rate, MIN_RATE), self._max_rate)
        self._start = min(max(rate, MIN_RATE), self._refused_rate)
        self._scale_s, self._since, self._n_surge = scale_s, now, None
        self._starts.clear()
        self.next_start = now

    def served_rate(self, n_served: int, interval_s: float) -> float:
        """Requests/s that the host served in an interval between two refusals."""
        return n_served / max(interval_s, 1e-3)

    def begin_test(self, now: float, rate: float) -> None:
        """Sets the rate until `end_test` or `surge`."""
        self._before_test = self._start, self._refused_rate, self._scale_s
        self._start = self._refused_rate = min(rate, self._max_rate)
        self._since = now

    def end_test(self, now: float) -> None:
        """Returns to the rate before the test."""
        self._start, self._refused_rate, self._scale_s = self._before_test
        self._since = self.next_start = now
        self._starts.clear()

    def open(self, now: float, lockout_s: float) -> None:
        """Records that the host serves again, `lockout_s` after the refusal: the rate may rise."""
        self._since = now
        self._scale_s = max(self._scale_s, SCALE_PER_LOCKOUT * lockout_s)

    def surge(self, now: float) -> None:
        """Lets the rate rise fast: the refusals did not depend on it."""
        self._start, self._since, self._n_surge = max(self.value(now), self._first_rate), now, 0

    def _actual_rate(self, now: float, n_served: int) -> float:
        """The rate of the last requests, which other limits than this one may have kept lower."""
        rate = self.value(now)
        if len(self._starts) >= MIN_RECENT and self._starts[-1] > self._starts[0]:
            return min(rate, (len(self._starts) - 1) / (self._starts[-1] - self._starts[0]))
        if rate < math.inf:
            return rate
        # The first request was alone.
        seconds = now - self._starts[min(1, len(self._starts) - 1)] if self._starts else 0.0
        if seconds < MIN_MEASURED_S:
            return max(n_served / max(seconds, 0.05), GUESSED_RATE)
        return max(n_served, 1) / seconds
