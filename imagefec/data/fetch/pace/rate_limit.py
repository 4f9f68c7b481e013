"""Rate limit, concurrency limit and circuit breaker of one host, adapted to its responses.

No network and no threads: the caller passes in the times, seconds of one monotonic clock.

A host that answers 429 or 503 gets no requests during the back-off that it demands, and then one
at a time until it serves one; then `adaptive_rate` sets the rate. If its refusals turn out not to
depend on the rate (`refusals`), only the URL that was refused waits. If a host does not answer at
all, the circuit breaker opens: the host gets cool-downs that double.
"""

from __future__ import annotations

import enum
import math
import random
from collections.abc import Callable

from imagefec.data.fetch.pace.adaptive_rate import AdaptiveRate
from imagefec.data.fetch.pace.refusals import TEST_RATE, Cause, Refusals

INITIAL_CONCURRENCY = 4  # requests in flight
FAILURES_TO_OPEN = 10  # consecutive failures that open the circuit breaker
FIRST_BACKOFF_S = 1.0  # after a 429 without Retry-After
FIRST_COOLDOWN_S = 5.0  # after FAILURES_TO_OPEN; both double
MAX_COOLDOWN_S = 300.0
MAX_REFUSALS, MIN_REFUSALS = 12, 5  # of a URL; at the end of a fetch, if they depend on the URL
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
        self._give_up_s = give_up_s
        self._jitter = jitter
        self._concurrency = float(min(INITIAL_CONCURRENCY, max_concurrency))
        self._rate = AdaptiveRate(now, max_rate or math.inf)
        self._refusals = Refusals()
        self._in_flight = 0
        self._cooldown_until, self._opened_at = 0.0, now
        self._refused_at = -math.inf  # because of the limit
        self._n_served_since = 0  # since the last refusal
        self._n_cooldowns = self._n_failures = 0  # since a request was last served
        self._in_trouble_since: float | None = None
        self._is_testing = False  # whether the refusals depend on the rate
        self._is_limited = False  # has refused, and not served since
        self._was_locked_out = False  # refused again after the last back-off
        self.n_throttled = 0

    def ready_at(self) -> float:
        """Time from which the next request may start; infinity while too many are in flight."""
        if self._in_flight >= (1 if self.is_probing else int(self._concurrency)):
            return math.inf
        return max(self._rate.next_start, self._cooldown_until)

    @property
    def refuses_at_any_rate(self) -> bool:
        """Whether its refusals have turned out not to depend on the rate."""
        return self._refusals.cause is Cause.OTHER

    @property
    def is_probing(self) -> bool:
        """Whether a single request finds out if the host serves again."""
        return self._n_failures >= FAILURES_TO_OPEN or self._n_cooldowns > 0

    def start(self, now: float) -> None:
        """Records that a request starts."""
        self._in_flight += 1
        self._rate.start(now)

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
        if response is HostResponse.SERVED:
            self._serve(n_refusals > 0, now)
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
                return True
        else:
            self._n_failures += 1
            self._concurrency = max(1.0, self._concurrency / 2)
            if self._n_failures >= FAILURES_TO_OPEN:
                self._cool_down(now, FIRST_COOLDOWN_S)
        return False

    def rate(self, now: float) -> float:
        """Requests/s allowed now; infinity if the host has never refused and has no limit."""
        return self._rate.value(now)

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
        is_hopeless = self._refusals.depend_on_url_only or (
            is_last and self._refusals.are_known_to_depend_on_url
        )
        if n_refusals >= (MIN_REFUSALS if is_hopeless else MAX_REFUSALS):
            return None
        return max(
            retry_after_s, min(FIRST_BACKOFF_S * 1.5 ** max(n_refusals - 1, 0), MAX_URL_WAIT_S)
        )

    def _serve(self, is_retry: bool, now: float) -> None:
        self._n_failures = 0
        self._concurrency = min(self._concurrency + 1.0 / self._concurrency, self._max_concurrency)
        if now < self._cooldown_until:  # was in flight when the host refused
            return
        self._n_served_since += 1
        self._in_trouble_since = None
        if self._n_cooldowns:
            self._was_locked_out, self._n_cooldowns = self._n_cooldowns > 1, 0
            self._opened_at = now
            if self._is_limited:
                self._rate.open(now, now - self._refused_at)
                self._is_limited = False
        if self._refusals.served(is_retry):
            self._is_testing = False
            self._rate.surge(now)

    def _back_off(self, now: float, retry_after_s: float) -> None:
        if self._n_cooldowns == 0:  # else nothing was served since the last back-off
            if self._end_interval(now):
                return
            if retry_after_s > 0:
                self._n_cooldowns += 1
                self._cooldown_until = now + retry_after_s
                return
        # A host that refuses again after the time that it demanded needs more of it.
        self._cool_down(now, FIRST_BACKOFF_S)
        self._cooldown_until = max(self._cooldown_until, now + retry_after_s)

    def _end_interval(self, now: float) -> bool:
        """Learns from the requests served between two refusals; returns whether a test begins."""
        n_served, self._n_served_since = self._n_served_since, 0
        refused_at, self._refused_at = self._refused_at, now
        opened_at, self._opened_at = self._opened_at, now
        self._is_limited = True
        if self._is_testing:  # the test has shown that it is the limit
            self._is_testing = False
            self._rate.end_test(now)
            return False
        if refused_at == -math.inf:
            self._rate.decrease(now, n_served, None, 1.0)
            return False
        interval_s = now - refused_at
        open_share = (now - opened_at) / max(interval_s, 1e-3)
        served_rate = self._rate.served_rate(n_served, interval_s)
        test_rate = max(TEST_RATE * served_rate, self._rate.value(now))
        self._rate.decrease(now, n_served, interval_s, open_share)
        self._is_testing = self._refusals.end_interval(
            n_served, open_share, self._was_locked_out, test_rate / max(served_rate, 1e-9)
        )
        if self._is_testing:
            self._is_limited = False
            self._rate.begin_test(now, test_rate)
        return self._is_testing

    def _cool_down(self, now: float, first_s: float) -> None:
        wait_s = min(first_s * 2**self._n_cooldowns, MAX_COOLDOWN_S) * self._jitter()
        self._n_cooldowns += 1
        self._cooldown_until = max(self._cooldown_until, now + wait_s)
