"""Rate limit, concurrency limit and circuit breaker of one host, adapted to its responses.

No network and no threads: the caller passes in the times, seconds of one monotonic clock.

A host that answers 429 or 503 gets no requests during the back-off that it demands, and then gets
them at the rate at which it has served requests before. If a host does not answer at all, the
circuit breaker opens: the host gets cool-downs that double.
"""

from __future__ import annotations

import enum
import math
import random
from collections.abc import Callable

from imagefec.data.fetch.refusals import Cause, Refusals

INITIAL_CONCURRENCY = 4  # requests in flight
MIN_RATE = 0.2  # requests/s
DECREASE, MAX_DECREASE = 0.97, 0.9  # factors on the rate that the host served, after a refusal
# t seconds after a refusal the rate has grown by the factor 1 + GROWTH_PER_S t + (t / doubling)**3.
GROWTH_PER_S = 0.003
FIRST_DOUBLING_S = 4.0  # after the first refusal: the rate is still a guess
LATER_DOUBLINGS_S = 30.0  # after later refusals: the rate is measured
REQUESTS_TO_DOUBLE = 24  # if refusals do not depend on the rate
FAILURES_TO_OPEN = 10  # consecutive failures that open the circuit breaker
FIRST_BACKOFF_S = 1.0  # after a 429 without Retry-After
FIRST_COOLDOWN_S = 5.0  # after FAILURES_TO_OPEN; both double
MAX_COOLDOWN_S = 300.0
MAX_REFUSALS, MIN_REFUSALS = 10, 5  # of a URL; at the end of a fetch, if they depend on the URL
MAX_URL_WAIT_S = 60.0


class HostResponse(enum.Enum):
    """What a request says about its host."""

    SERVED = "served"  # includes a 404: the host answers
    THROTTLED = "throttled"  # 429 or 503
    UNREACHABLE = "unreachable"  # no connection, or no answer in time
    SERVER_ERROR = "server error"  # 5xx: the fault of the host or of this URL
    REPEATED_ERROR = "repeated error"  # 5xx for a URL that failed before: says nothing new


class HostLimiter:
    """Decides when the next request to one host may start.

    Args:
      now: current time.
      max_concurrency: upper limit of requests in flight.
      max_rate: upper limit in requests/s; None for no limit.
      give_up_s: the host is given up after this time without a served request.
      jitter: returns random factors around 1 for the waits.
    """

    def __init__(
        self,
        now: float,
        max_concurrency: int,
        max_rate: float | None = None,
        give_up_s: float = 600.0,
        jitter: Callable[[], float] = lambda: random.uniform(0.75, 1.25),
    ) -> None:
        self._max_concurrency = max_concurrency
        self._max_rate = max_rate or math.inf
        self._give_up_s = give_up_s
        self._jitter = jitter
        self._concurrency = float(min(INITIAL_CONCURRENCY, max_concurrency))
        self._rate, self._rate_before_test = self._max_rate, self._max_rate
        self._doubling_s: float | None = FIRST_DOUBLING_S
        self._refusals, self._n_started = Refusals(), 0
        self._in_flight = 0
        self._next_start = self._rate_set_at = now
        self._cooldown_until = 0.0
        self._last_refusal: float | None = None
        self._n_served_since = 0  # since the last refusal
        self._n_cooldowns = self._n_failures = 0  # since a request was last served
        self._in_trouble_since: float | None = None
        self.n_throttled = 0

    def ready_at(self) -> float:
        """Time from which the next request may start; infinity while too many are in flight."""
        if self._in_flight >= (1 if self._is_probing else int(self._concurrency)):
            return math.inf
        return max(self._next_start, self._cooldown_until)

    @property
    def _is_probing(self) -> bool:
        """Whether a single request finds out if the host serves again."""
        return self._n_failures >= FAILURES_TO_OPEN or self._n_cooldowns > 0

    def start(self, now: float) -> None:
        """Records that a request starts."""
        self._in_flight += 1
        self._n_started += 1
        rate = self.rate(now)
        # One late start is made up for, more are not: a thread that wakes up slightly late must not
        # lower the rate.
        if rate < math.inf:
            self._next_start = max(self._next_start, now - 1.0 / rate) + 1.0 / rate

    def finish(
        self,
        response: HostResponse,
        now: float,
        retry_after_s: float = 0.0,
        n_refusals: int = 0,
    ) -> bool:
        """Records that a request ended.

        Args:
          response: what it says about the host.
          now: current time.
          retry_after_s: the host's Retry-After, 0 for none.
          n_refusals: number of earlier refusals of the URL.

        Returns:
          Whether the request was refused for another reason than the host's limit.
        """
        self._in_flight -= 1
        if response is HostResponse.REPEATED_ERROR:
            return False
        cause = self._refusals.cause
        if response is HostResponse.SERVED:
            if now >= self._cooldown_until:  # else it was in flight when the host refused
                self._n_served_since += 1
                self._n_cooldowns = 0
                self._in_trouble_since = None
            self._n_failures = 0
            self._concurrency = min(
                self._concurrency + 1.0 / self._concurrency, self._max_concurrency
            )
            self._refusals.served(n_refusals > 0)
            self._follow(cause, now)
            return False
        if self._in_trouble_since is None:
            self._in_trouble_since = now
        if response is HostResponse.THROTTLED:
            self.n_throttled += 1
            if self._cooldown_until > now:  # was in flight when the host first refused
                self._cooldown_until = max(self._cooldown_until, now + retry_after_s)
            elif self._refusals.refused(n_refusals > 0):
                self._back_off(now, retry_after_s)
            else:
                self._follow(cause, now)
                return True
        else:
            self._n_failures += 1
            self._concurrency = max(1.0, self._concurrency / 2)
            if self._n_failures >= FAILURES_TO_OPEN:
                self._cool_down(now, FIRST_COOLDOWN_S)
        return False

    def rate(self, now: float) -> float:
        """Requests/s allowed now; infinity if the host has never refused and has no limit."""
        open_s = max(0.0, now - max(self._rate_set_at, self._cooldown_until))
        if self._refusals.cause is Cause.TESTED:
            growth = 1.0
        elif self._doubling_s is None:
            growth = 2.0 ** min(self._n_started / REQUESTS_TO_DOUBLE, 99)
        else:
            growth = 1 + GROWTH_PER_S * open_s + (open_s / self._doubling_s) ** 3
        return min(self._max_rate, self._rate * growth)

    def cooldown_until(self, now: float) -> float | None:
        """End of the current back-off or cool-down; None if there is none."""
        return self._cooldown_until if self._cooldown_until > now else None

    def is_given_up(self, now: float) -> bool:
        """Whether the host has served nothing for so long that this fetch should stop asking it."""
        return self._in_trouble_since is not None and (
            now - self._in_trouble_since >= self._give_up_s
            or self._cooldown_until - now > self._give_up_s
        )

    def url_wait_s(self, n_refusals: int, retry_after_s: float, is_last: bool) -> float | None:
        """Time until a URL that was refused may be requested again; None for not in this fetch.

        Args:
          n_refusals: number of refusals of the URL while the host served others.
          retry_after_s: the host's Retry-After, 0 for none.
          is_last: whether only URLs that were refused are left.
        """
        if retry_after_s > self._give_up_s:
            return None
        n_allowed = MAX_REFUSALS
        if is_last and self._refusals.depend_on_url:
            n_allowed = MIN_REFUSALS
        if n_refusals >= n_allowed:
            return None
        return max(retry_after_s, min(FIRST_BACKOFF_S * 1.5 ** (n_refusals - 1), MAX_URL_WAIT_S))

    def _back_off(self, now: float, retry_after_s: float) -> None:
        if self._n_cooldowns == 0:  # else nothing was served since the last back-off
            self._decrease_rate(now)
            if retry_after_s > 0:
                self._n_cooldowns += 1
                self._cooldown_until = now + retry_after_s
                return
        # A host that refuses again after the time that it demanded needs more of it.
        self._cool_down(now, FIRST_BACKOFF_S)
        self._cooldown_until = max(self._cooldown_until, now + retry_after_s)

    def _follow(self, cause: Cause, now: float) -> None:
        """Changes the rate after a test of the refusals' cause has ended."""
        if cause is self._refusals.cause:
            return
        if self._refusals.cause is Cause.OTHER:
            self._set_rate(max(self._rate, self._rate_before_test), None, now)
        elif cause is Cause.TESTED:
            self._set_rate(self._rate, FIRST_DOUBLING_S, now)
        else:
            self._set_rate(self.rate(now), LATER_DOUBLINGS_S, now)

    def _set_rate(self, rate: float, doubling_s: float | None, now: float) -> None:
        self._rate, self._doubling_s = min(max(rate, MIN_RATE), self._max_rate), doubling_s
        self._rate_set_at, self._n_started = now, 0

    def _decrease_rate(self, now: float) -> None:
        # A token bucket is empty when it refuses, so what it served between two refusals is the
        # rate that it allows.
        allowed = self.rate(now)
        if self._last_refusal is None:
            served_rate = max(self._n_served_since, 1) / max(now - self._rate_set_at, 0.1)
            rate = (allowed if allowed < math.inf else served_rate) / 2
            doubling_s = FIRST_DOUBLING_S
            self._refusals.begin_interval(False)
        else:
            served_rate = self._n_served_since / max(now - self._last_refusal, 1e-3)
            doubling_s = LATER_DOUBLINGS_S
            # A small bucket overflows during a back-off, which makes `served_rate` too low.
            rate = self._rate_before_test = max(
                DECREASE * min(served_rate, allowed), MAX_DECREASE * allowed
            )
            self._refusals.begin_interval(served_rate < 0.7 * allowed)
            if self._refusals.cause is Cause.TESTED:
                rate = DECREASE * min(served_rate, allowed)
        self._set_rate(rate, doubling_s, now)
        self._last_refusal, self._n_served_since = now, 0
        self._next_start = now

    def _cool_down(self, now: float, first_s: float) -> None:
        wait_s = min(first_s * 2**self._n_cooldowns, MAX_COOLDOWN_S) * self._jitter()
        self._n_cooldowns += 1
        self._cooldown_until = max(self._cooldown_until, now + wait_s)
