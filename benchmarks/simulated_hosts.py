"""Models of hosts that limit, refuse or fail, for `fetch_pace.py`: what each answers, and when."""

import dataclasses
import email.utils
import math
import random
import time
from collections import deque

OK, REFUSED, DOWN = 200, 429, 503


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

    n_lost = 0  # photos that no client can get

    def __init__(self, latency_s=0.1, retry_after=None, refusal=REFUSED):
        self.latency_s, self.retry_after, self.refusal = latency_s, retry_after, refusal
        self.in_flight, self.random = 0, random.Random(0)

    def answer(self, now, number):
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

    def serves(self, now, number):
        return True

    def n_best(self, n_photos):
        """Number of photos that a client can get."""
        return n_photos

    def best_s(self, n_photos, workers):
        """Shortest time for that many photos if the client knew the host."""
        return n_photos * self.latency_s / workers


class TokenBucket(Host):
    """Permits `rate` requests/s on average and `capacity` at once."""

    def __init__(self, rate, capacity, **options):
        super().__init__(**options)
        self.rate, self.capacity = rate, capacity
        self._tokens, self._filled_at = capacity, 0.0

    def serves(self, now, number):
        refilled = self._tokens + (now - self._filled_at) * self.rate_at(now)
        self._tokens, self._filled_at = min(self.capacity, refilled), now
        served = self._tokens >= 1
        self._tokens -= served
        return served

    def rate_at(self, now):
        return self.rate

    def best_s(self, n_photos, workers):
        return max(super().best_s(n_photos, workers), (n_photos - self.capacity) / self.rate)


class ChangingBucket(TokenBucket):
    """A bucket whose rate is a fifth from second 20 to second 60."""

    def rate_at(self, now):
        return self.rate / 5 if 20 <= now < 60 else self.rate

    def best_s(self, n_photos, workers):
        return super().best_s(n_photos + 40 * self.rate * 4 / 5, workers)


class FixedWindow(Host):
    """Permits `limit` requests in each window of `window_s`, counted by the clock."""

    def __init__(self, limit, window_s, **options):
        super().__init__(**options)
        self.limit, self.window_s, self._window, self._n = limit, window_s, -1, 0

    def serves(self, now, number):
        if now // self.window_s != self._window:
            self._window, self._n = now // self.window_s, 0
        self._n += 1
        return self._n <= self.limit

    def best_s(self, n_photos, workers):
        n_windows = math.ceil(n_photos / self.limit) - 1
        rest = super().best_s(n_photos - n_windows * self.limit, workers)
        return n_windows * self.window_s + rest


class SlidingWindow(Host):
    """Permits `limit` requests in any `window_s`; refused ones count if `counts_refusals`."""

    def __init__(self, limit, window_s, counts_refusals=False, **options):
        super().__init__(**options)
        self.limit, self.window_s, self.counts_refusals = limit, window_s, counts_refusals
        self._times = deque()

    def serves(self, now, number):
        while self._times and self._times[0] <= now - self.window_s:
            self._times.popleft()
        served = len(self._times) < self.limit
        if served or self.counts_refusals:
            self._times.append(now)
        return served

    def best_s(self, n_photos, workers):
        n_windows = math.ceil(n_photos / self.limit) - 1
        rest = super().best_s(n_photos - n_windows * self.limit, workers)
        return n_windows * self.window_s + rest


class ConcurrencyLimit(Host):
    """Permits `limit` requests in flight."""

    def __init__(self, limit, **options):
        super().__init__(**options)
        self.limit = limit

    def serves(self, now, number):
        return self.in_flight <= self.limit

    def best_s(self, n_photos, workers):
        return super().best_s(n_photos, min(workers, self.limit))


class Overload(Host):
    """Becomes slower with the requests in flight, and refuses above `limit`."""

    def __init__(self, limit, **options):
        super().__init__(**options)
        self.limit, self._idle_s = limit, self.latency_s

    def serves(self, now, number):
        self.latency_s = self._idle_s * max(1.0, self.in_flight / 4)  # four servers behind it
        return self.in_flight <= self.limit

    def best_s(self, n_photos, workers):
        return n_photos * self._idle_s / min(workers, 4)


class Shedding(Host):
    """Refuses a share of the requests at random, at any rate."""

    def __init__(self, share, **options):
        super().__init__(**options)
        self.share = share

    def serves(self, now, number):
        return self.random.random() >= self.share


class SheddingBucket(TokenBucket):
    """A bucket that also refuses a share of the requests at random."""

    def __init__(self, share, rate, capacity, **options):
        super().__init__(rate, capacity, **options)
        self.share = share

    def serves(self, now, number):
        return super().serves(now, number) and self.random.random() >= self.share

    def best_s(self, n_photos, workers):
        return super().best_s(n_photos / (1 - self.share), workers)


class UrlsRefused(Host):
    """Refuses one URL in `one_in`: the first `times` requests for it."""

    def __init__(self, one_in, times=math.inf, **options):
        super().__init__(**options)
        self.one_in, self.times, self._asked = one_in, times, {}

    def serves(self, now, number):
        if number % self.one_in != self.one_in // 2:
            return True
        self._asked[number] = self._asked.get(number, 0) + 1
        return self._asked[number] > self.times

    def n_best(self, n_photos):
        refused = len(range(self.one_in // 2, n_photos, self.one_in))
        return n_photos - (refused if self.times == math.inf else 0)


class Quota(Host):
    """Serves `limit` requests and no more that day."""

    def __init__(self, limit, **options):
        super().__init__(**options)
        self.limit, self._n = limit, 0

    def serves(self, now, number):
        self._n += 1
        return self._n <= self.limit

    def n_best(self, n_photos):
        return min(n_photos, self.limit)


class Ban(TokenBucket):
    """A bucket that serves nothing for `ban_s` once it is empty.

    Each request during the ban lengthens it by the factor `lengthens`, up to `max_ban_s`. After the
    ban the rate rises from a tenth to the former one in `slow_start_s`.
    """

    def __init__(
        self, rate, capacity, ban_s, lengthens=1.0, max_ban_s=60.0, slow_start_s=0.0, **options
    ):
        super().__init__(rate, capacity, **options)
        self.ban_s, self.lengthens, self.max_ban_s = ban_s, lengthens, max_ban_s
        self.slow_start_s, self._until, self._length = slow_start_s, -math.inf, ban_s
        self._heard_by = 0.0

    def serves(self, now, number):
        if now < self._until:
            if self.lengthens > 1 and now > self._heard_by:  # it has ignored the refusal
                self._length = min(self._length * self.lengthens, self.max_ban_s)
                self._until, self._heard_by = now + self._length, now + 0.5
            return False
        if super().serves(now, number):
            return True
        self._length, self._until, self._heard_by = self.ban_s, now + self.ban_s, now + 0.5
        return False

    def rate_at(self, now):
        age_s = now - self._until
        if self.slow_start_s and 0 <= age_s < self.slow_start_s:
            return self.rate * (0.1 + 0.9 * age_s / self.slow_start_s)
        return self.rate


class Bursts(Host):
    """Serves nothing during the last `down_s` of every `period_s`."""

    def __init__(self, down_s, period_s, **options):
        super().__init__(**options)
        self.down_s, self.period_s = down_s, period_s

    def serves(self, now, number):
        return now % self.period_s < self.period_s - self.down_s

    def best_s(self, n_photos, workers):
        up_s = super().best_s(n_photos, workers)
        return up_s + self.down_s * (up_s // (self.period_s - self.down_s))


def http_date(wait_s):
    """Makes Retry-After dates, of which the client subtracts the date of its own clock."""
    return lambda now: email.utils.formatdate(time.time() + wait_s, usegmt=True)


def until_next(window_s):
    """Makes the seconds to the end of a window, rounded up."""
    return lambda now: str(math.ceil(window_s - now % window_s))


@dataclasses.dataclass
class Case:
    """A host to simulate, and what a fetch from it must reach.

    Attributes:
      name: for the table.
      make: makes the host.
      n_photos: to fetch.
      least_share: of the best possible images/s.
      most_refused: requests refused.
    """

    name: str
    make: object
    n_photos: int
    least_share: float
    most_refused: float


def _case(name, make, least_share=0.0, most_refused=math.inf, n_photos=6000):
    return Case(name, make, n_photos, least_share, most_refused)


CASES = [
    _case("never refuses", Host),
    _case("bucket of 100, 100/s, Retry-After 1", lambda: TokenBucket(100, 100, retry_after="1")),
    _case("bucket of 10, 100/s, no Retry-After", lambda: TokenBucket(100, 10)),
    _case("bucket of 20, 2/s, Retry-After 1", lambda: TokenBucket(2, 20, retry_after="1"), n_photos=600),
    _case("bucket of 100, 100/s, Retry-After a date", lambda: TokenBucket(100, 100, retry_after=http_date(2))),
    _case("bucket of 100, 100/s, Retry-After 0", lambda: TokenBucket(100, 100, retry_after="0")),
    _case("bucket of 100, 100/s, Retry-After 'soon'", lambda: TokenBucket(100, 100, retry_after="soon")),
    _case("bucket of 100, 100/s, Retry-After 60 (too long)", lambda: TokenBucket(100, 100, retry_after="60")),
    _case("bucket of 100, 100/s, a fifth of it for 40 s", lambda: ChangingBucket(100, 100, retry_after="1")),
    _case("bucket of 100, 100/s, and 1 in 50 at random", lambda: SheddingBucket(1 / 50, 100, 100, retry_after="1")),
    _case("600 in a minute by the clock, Retry-After its end", lambda: FixedWindow(600, 60, retry_after=until_next(60)), n_photos=3000),
    _case("500 in 20 s by the clock, Retry-After 1 (too short)", lambda: FixedWindow(500, 20, retry_after="1"), n_photos=3000),
    _case("200 in any 10 s, no Retry-After", lambda: SlidingWindow(200, 10), n_photos=3000),
    _case("200 in any 10 s, refused ones count", lambda: SlidingWindow(200, 10, counts_refusals=True), n_photos=3000),
    _case("4 in flight, no Retry-After", lambda: ConcurrencyLimit(4)),
    _case("8 in flight, 503 and Retry-After 1, slower under load", lambda: Overload(8, refusal=DOWN, retry_after="1")),
    _case("1 request in 12 at random, Retry-After 1", lambda: Shedding(1 / 12, retry_after="1")),
    _case("1 request in 12 at random, no Retry-After", lambda: Shedding(1 / 12)),
    _case("1 request in 3 at random, no Retry-After", lambda: Shedding(1 / 3)),
    _case("1 URL in 12 refused once, Retry-After 1", lambda: UrlsRefused(12, 1, retry_after="1")),
    _case("1 URL in 12 refused three times, Retry-After 5", lambda: UrlsRefused(12, 3, retry_after="5")),
    _case("1 URL in 12 always refused, Retry-After 1", lambda: UrlsRefused(12, retry_after="1")),
    _case("1 URL in 12 always refused, Retry-After 1", lambda: UrlsRefused(12, retry_after="1"), n_photos=468),
    _case("1 URL in 3 always refused, no Retry-After", lambda: UrlsRefused(3)),
    _case("1 URL in 12 always refused, Retry-After a day", lambda: UrlsRefused(12, retry_after="86400")),
    _case("2000 a day, Retry-After a day", lambda: Quota(2000, retry_after="86400")),
    _case("2000 a day, no Retry-After", lambda: Quota(2000)),
    _case("ban of 30 s, then a slow start", lambda: Ban(100, 100, 30, slow_start_s=60)),
    _case("ban of 10 s that doubles if ignored", lambda: Ban(50, 100, 10, lengthens=2)),
    _case("ban of 10 s that doubles, Retry-After 10", lambda: Ban(50, 100, 10, lengthens=2, retry_after="10")),
    _case("503 for 5 s of 20, no Retry-After", lambda: Bursts(5, 20, refusal=DOWN)),
    _case("503 for 5 s of 20, Retry-After 2", lambda: Bursts(5, 20, refusal=DOWN, retry_after="2")),
]
CASES += [_case("zz fast", lambda: UrlsRefused(12, retry_after="1", latency_s=0.003), n_photos=468), _case("yy fast", lambda: TokenBucket(100, 100, retry_after="1", latency_s=0.003))]
