"""Models of hosts that limit, refuse or fail, for `fetch_pace.py`: what each answers, and when."""

# ruff: noqa: ARG002, ARG005, D102 - a model need not use every argument; `Host` has the docstrings.

import dataclasses
import email.utils
import math
import random
import time
from collections import deque
from collections.abc import Callable
from typing import Any

OK, REFUSED, DOWN = 200, 429, 503
RetryAfter = str | Callable[[float], str] | None


@dataclasses.dataclass
class Answer:
    """An HTTP answer: its status, Retry-After as sent, and the seconds that it takes."""

    status: int
    retry_after: str | None = None
    seconds: float = 0.1


class Host:
    """Serves every request. The other hosts change `status` and `best_s`.

    Attributes:
      latency_s: mean time of an answer; it varies by half. A refusal takes a fifth.
      retry_after: of a refusal; None for no such header.
      in_flight: number of requests, counted by the simulation.
    """

    def __init__(
        self, latency_s: float = 0.1, retry_after: RetryAfter = None, refusal: int = REFUSED
    ) -> None:
        self.latency_s, self.retry_after, self.refusal = latency_s, retry_after, refusal
        self.in_flight, self.random = 0, random.Random(0)

    def answer(self, now: float, number: int) -> Answer:
        """The answer to a request for photo `number`; a model sees its requests in order."""
        status = OK if self.serves(now, number) else self.refusal
        if status == OK:
            return Answer(status, None, self.latency_s * self.random.uniform(0.5, 1.5))
        retry_after = self.retry_after
        return Answer(
            status,
            retry_after(now) if callable(retry_after) else retry_after,
            self.latency_s / 5 * self.random.uniform(0.5, 1.5),
        )

    def serves(self, now: float, number: int) -> bool:
        """Whether it serves a request at this time for this photo."""
        return True

    def n_best(self, n_photos: int) -> int:
        """Number of photos that a client can get."""
        return n_photos

    def best_s(self, n_photos: int, workers: int) -> float:
        """Shortest time for that many photos if the client knew the host."""
        return n_photos * self.latency_s / workers


class TokenBucket(Host):
    """Permits `rate` requests/s on average and `capacity` at once."""

    def __init__(self, rate: float, capacity: float, **options: Any) -> None:
        super().__init__(**options)
        self.rate, self.capacity = rate, capacity
        self._tokens, self._filled_at = capacity, 0.0

    def serves(self, now: float, number: int) -> bool:
        refilled = self._tokens + (now - self._filled_at) * self.rate_at(now)
        self._tokens, self._filled_at = min(self.capacity, refilled), now
        served = self._tokens >= 1
        self._tokens -= served
        return served

    def rate_at(self, now: float) -> float:
        return self.rate

    def best_s(self, n_photos: int, workers: int) -> float:
        return max(super().best_s(n_photos, workers), (n_photos - self.capacity) / self.rate)


class ChangingBucket(TokenBucket):
    """A bucket whose rate is a fifth from second 20 to second 60."""

    def rate_at(self, now: float) -> float:
        return self.rate / 5 if 20 <= now < 60 else self.rate

    def best_s(self, n_photos: int, workers: int) -> float:
        return super().best_s(n_photos + 40 * self.rate * 4 / 5, workers)


class FixedWindow(Host):
    """Permits `limit` requests in each window of `window_s`, counted by the clock."""

    def __init__(self, limit: int, window_s: float, **options: Any) -> None:
        super().__init__(**options)
        self.limit, self.window_s, self._window, self._n = limit, window_s, -1, 0

    def serves(self, now: float, number: int) -> bool:
        if now // self.window_s != self._window:
            self._window, self._n = now // self.window_s, 0
        self._n += 1
        return self._n <= self.limit

    def best_s(self, n_photos: int, workers: int) -> float:
        n_windows = math.ceil(n_photos / self.limit) - 1
        rest = super().best_s(n_photos - n_windows * self.limit, workers)
        return n_windows * self.window_s + rest


class SlidingWindow(Host):
    """Permits `limit` requests in any `window_s`; refused ones count if `counts_refusals`."""

    def __init__(
        self, limit: int, window_s: float, counts_refusals: bool = False, **options: Any
    ) -> None:
        super().__init__(**options)
        self.limit, self.window_s, self.counts_refusals = limit, window_s, counts_refusals
        self._times: deque[float] = deque()

    def serves(self, now: float, number: int) -> bool:
        while self._times and self._times[0] <= now - self.window_s:
            self._times.popleft()
        served = len(self._times) < self.limit
        if served or self.counts_refusals:
            self._times.append(now)
        return served

    def best_s(self, n_photos: int, workers: int) -> float:
        n_windows = math.ceil(n_photos / self.limit) - 1
        rest = super().best_s(n_photos - n_windows * self.limit, workers)
        return n_windows * self.window_s + rest


class ConcurrencyLimit(Host):
    """Permits `limit` requests in flight."""

    def __init__(self, limit: int, **options: Any) -> None:
        super().__init__(**options)
        self.limit = limit

    def serves(self, now: float, number: int) -> bool:
        return self.in_flight <= self.limit

    def best_s(self, n_photos: int, workers: int) -> float:
        return super().best_s(n_photos, min(workers, self.limit))


class Overload(Host):
    """Becomes slower with the requests in flight, and refuses above `limit`."""

    def __init__(self, limit: int, **options: Any) -> None:
        super().__init__(**options)
        self.limit, self._idle_s = limit, self.latency_s

    def serves(self, now: float, number: int) -> bool:
        self.latency_s = self._idle_s * max(1.0, self.in_flight / 4)  # four servers behind it
        return self.in_flight <= self.limit

    def best_s(self, n_photos: int, workers: int) -> float:
        return n_photos * self._idle_s / min(workers, 4)


class Shedding(Host):
    """Refuses a share of the requests at random, at any rate."""

    def __init__(self, share: float, **options: Any) -> None:
        super().__init__(**options)
        self.share = share

    def serves(self, now: float, number: int) -> bool:
        return self.random.random() >= self.share


class SheddingBucket(TokenBucket):
    """A bucket that also refuses a share of the requests at random."""

    def __init__(self, share: float, rate: float, capacity: float, **options: Any) -> None:
        super().__init__(rate, capacity, **options)
        self.share = share

    def serves(self, now: float, number: int) -> bool:
        return super().serves(now, number) and self.random.random() >= self.share

    def best_s(self, n_photos: int, workers: int) -> float:
        return super().best_s(n_photos / (1 - self.share), workers)


class UrlsRefused(Host):
    """Refuses one URL in `one_in`: the first `times` requests for it."""

    def __init__(self, one_in: int, times: float = math.inf, **options: Any) -> None:
        super().__init__(**options)
        self.one_in, self.times, self._asked = one_in, times, dict[int, int]()

    def serves(self, now: float, number: int) -> bool:
        if number % self.one_in != self.one_in // 2:
            return True
        self._asked[number] = self._asked.get(number, 0) + 1
        return self._asked[number] > self.times

    def n_best(self, n_photos: int) -> int:
        refused = len(range(self.one_in // 2, n_photos, self.one_in))
        return n_photos - (refused if self.times == math.inf else 0)


class Quota(Host):
    """Serves `limit` requests and no more that day."""

    def __init__(self, limit: int, **options: Any) -> None:
        super().__init__(**options)
        self.limit, self._n = limit, 0

    def serves(self, now: float, number: int) -> bool:
        self._n += 1
        return self._n <= self.limit

    def n_best(self, n_photos: int) -> int:
        return min(n_photos, self.limit)


class Ban(TokenBucket):
    """A bucket that serves nothing for `ban_s` once it is empty.

    Each request during the ban lengthens it by the factor `lengthens`, up to `max_ban_s`. After the
    ban the rate rises from a tenth to the former one in `slow_start_s`.
    """

    def __init__(
        self,
        rate: float,
        capacity: float,
        ban_s: float,
        lengthens: float = 1.0,
        max_ban_s: float = 60.0,
        slow_start_s: float = 0.0,
        **options: Any,
    ) -> None:
        super().__init__(rate, capacity, **options)
        self.ban_s, self.lengthens, self.max_ban_s = ban_s, lengthens, max_ban_s
        self.slow_start_s, self._until, self._length = slow_start_s, -math.inf, ban_s
        self._heard_by = 0.0

    def serves(self, now: float, number: int) -> bool:
        if now < self._until:
            if self.lengthens > 1 and now > self._heard_by:  # it has ignored the refusal
                self._length = min(self._length * self.lengthens, self.max_ban_s)
                self._until, self._heard_by = now + self._length, now + 0.5
            return False
        if super().serves(now, number):
            return True
        self._length, self._until, self._heard_by = self.ban_s, now + self.ban_s, now + 0.5
        return False

    def rate_at(self, now: float) -> float:
        age_s = now - self._until
        if self.slow_start_s and 0 <= age_s < self.slow_start_s:
            return self.rate * (0.1 + 0.9 * age_s / self.slow_start_s)
        return self.rate


class Bursts(Host):
    """Serves nothing during the last `down_s` of every `period_s`."""

    def __init__(self, down_s: float, period_s: float, **options: Any) -> None:
        super().__init__(**options)
        self.down_s, self.period_s = down_s, period_s

    def serves(self, now: float, number: int) -> bool:
        return now % self.period_s < self.period_s - self.down_s

    def best_s(self, n_photos: int, workers: int) -> float:
        up_s = super().best_s(n_photos, workers)
        return up_s + self.down_s * (up_s // (self.period_s - self.down_s))


def http_date(wait_s: float) -> Callable[[float], str]:
    """Makes Retry-After dates, of which the client subtracts the date of its own clock."""
    return lambda now: email.utils.formatdate(time.time() + wait_s, usegmt=True)


def until_next(window_s: float) -> Callable[[float], str]:
    """Makes the seconds to the end of a window, rounded up."""
    return lambda now: str(math.ceil(window_s - now % window_s))
