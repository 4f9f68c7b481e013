"""How fast one host may be asked: its rate and number of requests at a time, learnt from its answers; no network, no threads.

A host that answers 429 or 503 is left alone for as long as it says, and then asked at the rate at
which it has let requests through; a host that does not answer at all is left alone for longer and
longer. Times are seconds of one monotonic clock, which the caller passes in.
"""

from __future__ import annotations

import enum
import math
import random
from collections.abc import Callable

FIRST_WINDOW = 4  # requests at a time at the start
LEAST_RATE = 0.2  # requests/s
CUT, DEEPEST_CUT = 0.97, 0.9  # of the rate that the host has let through, after it refused
RISE_A_SECOND = 0.003  # of the rate after the last refusal: slowly near it, faster later
FIRST_DOUBLING_S, LATER_DOUBLINGS_S = (
    10.0,
    60.0,
)  # the first rate is a guess, the later ones are measured
FAILURES_TO_OPEN = 10  # one after the other, then the host is left alone
FIRST_REST_S, FIRST_PAUSE_S, LONGEST_REST_S = (
    5.0,
    1.0,
    300.0,
)  # a rest after silence, a pause after a bare 429; they double


class Answer(enum.Enum):
    """What a request ended in, as far as the host's pace is concerned."""

    SERVED = "served"  # also a 404: the host answers
    THROTTLED = "throttled"  # 429 or 503
    BROKEN = "broken"  # no connection, no answer in time
    FAULTY = "faulty"  # 5xx: the host's fault, or that of this one url
    UNCLEAR = "unclear"  # 5xx for a url that failed before: it tells nothing new of the host


class HostGate:
    """The pace of one host.

    Args:
      now: the clock's time.
      most_at_a_time: requests at a time that are never exceeded.
      max_rate: requests/s that are never exceeded; None for no ceiling.
      give_up_s: after so long without one answer that served, the host is given up.
      jitter: gives factors about 1 for the waits.
    """

    def __init__(
        self,
        now: float,
        most_at_a_time: int,
        max_rate: float | None = None,
        give_up_s: float = 600.0,
        jitter: Callable[[], float] = lambda: random.uniform(0.75, 1.25),
    ):
        self._most, self._ceiling, self._give_up_s, self._jitter = (
            most_at_a_time,
            max_rate or math.inf,
            give_up_s,
            jitter,
        )
        self._window = float(min(FIRST_WINDOW, most_at_a_time))
        self._rate, self._doubling_s = self._ceiling, FIRST_DOUBLING_S
        self._in_flight = 0
        self._next_start = self._rate_set_at = now
        self._closed_until = 0.0
        self._last_refusal: float | None = None
        self._served_since = 0
        self._rests = self._failures = 0
        self._in_trouble_since: float | None = None
        self.n_throttled = 0

    def ready_at(self, now: float) -> float:
        """When the next request may start: `now` or earlier for at once, infinity while too many are under way."""
        window = (
            1 if self._failures >= FAILURES_TO_OPEN else self._window
        )  # after a rest, one request tries it out
        if self._in_flight >= int(window):
            return math.inf
        return max(self._next_start, self._closed_until)

    def start(self, now: float) -> None:
        """A request starts."""
        self._in_flight += 1
        rate = self.rate(now)
        # Late starts are not made up for, but for one: a thread that woke a little late must not
        # lower the rate.
        if rate < math.inf:
            self._next_start = max(self._next_start, now - 1.0 / rate) + 1.0 / rate

    def end(self, answer: Answer, now: float, retry_after_s: float = 0.0) -> None:
        """A request ended; `retry_after_s` is what the host asked for, 0 if nothing."""
        self._in_flight -= 1
        if answer is Answer.UNCLEAR:
            return
        if answer is Answer.SERVED:
            self._served_since += 1
            self._failures = self._rests = 0
            self._in_trouble_since = None
            self._window = min(self._window + 1.0 / self._window, self._most)
            return
        if self._in_trouble_since is None:
            self._in_trouble_since = now
        if answer is Answer.THROTTLED:
            self._throttled(now, retry_after_s)
        else:
            self._failures += 1
            self._window = max(1.0, self._window / 2)
            if self._failures >= FAILURES_TO_OPEN:
                self._rest(now, FIRST_REST_S)

    def rate(self, now: float) -> float:
        """Requests/s allowed now; infinity where the host has never refused and there is no ceiling."""
        open_s = max(0.0, now - max(self._rate_set_at, self._closed_until))
        return min(
            self._ceiling,
            self._rate * (1 + RISE_A_SECOND * open_s + (open_s / self._doubling_s) ** 2),
        )

    def waits_until(self, now: float) -> float | None:
        """Until when the host is left alone because it refused or did not answer; None if it is not."""
        return self._closed_until if self._closed_until > now else None

    def is_given_up(self, now: float) -> bool:
        """Whether the host has served nothing for so long that this run should ask it no more."""
        return self._in_trouble_since is not None and (
            now - self._in_trouble_since >= self._give_up_s
            or self._closed_until - now > self._give_up_s
        )

    def _throttled(self, now: float, retry_after_s: float) -> None:
        self.n_throttled += 1
        if self._closed_until > now:  # others that were under way when the host first refused
            self._closed_until = max(self._closed_until, now + retry_after_s)
            return
        self._cut_rate(now)
        if retry_after_s > 0:
            self._closed_until = now + retry_after_s
        else:
            self._rest(now, FIRST_PAUSE_S)

    def _cut_rate(self, now: float) -> None:
        # A token bucket is empty whenever it refuses: what it served between two refusals is what
        # it lets through.
        if self._last_refusal is None:
            known = (
                self._rate
                if self._rate < math.inf
                else max(self._served_since, 1) / max(now - self._rate_set_at, 0.1)
            )
            rate = known / 2
        else:
            through, asked = (
                self._served_since / max(now - self._last_refusal, 1e-3),
                self.rate(now),
            )
            self._doubling_s = LATER_DOUBLINGS_S
            # A small bucket overflows while the host is left alone, which makes `through` too low.
            rate = (
                max(CUT * min(through, asked), DEEPEST_CUT * asked)
                if self._served_since
                else asked / 2
            )
        self._rate = min(max(rate, LEAST_RATE), self._ceiling)
        self._rate_set_at, self._last_refusal, self._served_since = now, now, 0
        self._next_start = now

    def _rest(self, now: float, first_s: float) -> None:
        rest_s = min(first_s * 2**self._rests, LONGEST_REST_S) * self._jitter()
        self._rests += 1
        self._closed_until = max(self._closed_until, now + rest_s)
