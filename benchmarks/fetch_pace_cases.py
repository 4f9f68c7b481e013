"""Hosts of `fetch_pace.py`, and what a fetch from each must reach."""

import dataclasses
from collections.abc import Callable
from typing import Any

from simulated_hosts import (
    DOWN,
    Ban,
    Bursts,
    ChangingBucket,
    ConcurrencyLimit,
    FixedWindow,
    Host,
    Overload,
    Quota,
    Shedding,
    SheddingBucket,
    SlidingWindow,
    TokenBucket,
    UrlsRefused,
    http_date,
    until_next,
)


@dataclasses.dataclass
class Case:
    """A host to simulate, and what a fetch from it must reach.

    Attributes:
      name: for the table; RA is Retry-After.
      make: makes the host.
      least_share: of the best possible images/s.
      most_refused: requests refused.
      n_photos: to fetch.
    """

    name: str
    make: Callable[[], Host]
    least_share: float
    most_refused: int
    n_photos: int = 3000


def bucket(capacity: float = 100, **options: Any) -> Callable[[], Host]:
    """Makes a bucket of 100 requests/s."""
    return lambda: TokenBucket(100, capacity, **options)


CASES = [
    Case("never refuses", Host, 0.95, 0),
    Case("never refuses, 3 ms", lambda: Host(latency_s=0.003), 0.9, 0),
    Case("100/s, bucket of 100, RA 1", bucket(retry_after="1"), 0.9, 20),
    Case("the same, 3 ms", bucket(retry_after="1", latency_s=0.003), 0.9, 25),
    Case("the same, RA a date", bucket(retry_after=http_date(2)), 0.8, 20),
    Case("the same, RA 0", bucket(retry_after="0"), 0.9, 20),
    Case("the same, RA 'soon'", bucket(retry_after="soon"), 0.9, 20),
    Case("the same, RA 60, too long", bucket(retry_after="60"), 0.1, 10),
    Case("100/s, bucket of 10, no RA", bucket(10), 0.7, 20),
    Case("2/s, bucket of 20, RA 1", lambda: TokenBucket(2, 20, retry_after="1"), 0.9, 60, 600),
    Case(
        "100/s, a fifth from 20 s to 60 s, RA 1",
        lambda: ChangingBucket(100, 100, retry_after="1"),
        0.5,
        40,
        6000,
    ),
    Case(
        "100/s, and 1 request in 50 at random, RA 1",
        lambda: SheddingBucket(1 / 50, 100, 100, retry_after="1"),
        0.7,
        240,
    ),
    Case(
        "600 a minute by the clock, RA its end",
        lambda: FixedWindow(600, 60, retry_after=until_next(60)),
        0.85,
        20,
    ),
    Case(
        "500 in 20 s by the clock, RA 1, too short",
        lambda: FixedWindow(500, 20, retry_after="1"),
        0.85,
        40,
    ),
    Case("200 in any 10 s, no RA", lambda: SlidingWindow(200, 10), 0.7, 60),
    Case(
        "the same, refused requests count",
        lambda: SlidingWindow(200, 10, counts_refusals=True),
        0.7,
        60,
    ),
    Case("4 requests in flight, no RA", lambda: ConcurrencyLimit(4), 0.4, 40),
    Case(
        "8 in flight, slower under load, 503 and RA 1",
        lambda: Overload(8, refusal=DOWN, retry_after="1"),
        0.65,
        50,
    ),
    Case("1 request in 12 at random, RA 1", lambda: Shedding(1 / 12, retry_after="1"), 0.5, 320),
    Case("1 request in 12 at random, no RA", lambda: Shedding(1 / 12), 0.5, 320),
    Case("1 request in 3 at random, no RA", lambda: Shedding(1 / 3), 0.15, 1650),
    Case(
        "1 URL in 12 refused once, RA 1",
        lambda: UrlsRefused(12, 1, retry_after="1"),
        0.65,
        250,
    ),
    Case(
        "1 URL in 12 refused 3 times, RA 5",
        lambda: UrlsRefused(12, 3, retry_after="5"),
        0.3,
        750,
    ),
    Case("1 URL in 12 always refused, RA 1", lambda: UrlsRefused(12, retry_after="1"), 0.45, 1250),
    Case(
        "the same, 468 URLs, 3 ms",
        lambda: UrlsRefused(12, retry_after="1", latency_s=0.003),
        0.003,
        200,
        468,
    ),
    Case("1 URL in 3 always refused, no RA", lambda: UrlsRefused(3), 0.2, 5000),
    Case("2000 a day, RA a day", lambda: Quota(2000, retry_after="86400"), 0.9, 20),
    Case("2000 a day, no RA", lambda: Quota(2000), 0.01, 20),
    Case(
        "100/s, else a ban of 30 s, then a slow start, no RA",
        lambda: Ban(100, 100, 30, slow_start_s=60),
        0.15,
        30,
    ),
    Case(
        "50/s, else a ban of 10 s that doubles if ignored, no RA",
        lambda: Ban(50, 100, 10, lengthens=2),
        0.1,
        30,
    ),
    Case("the same, RA 10", lambda: Ban(50, 100, 10, lengthens=2, retry_after="10"), 0.3, 30),
    Case("503 for 5 s of 20, no RA", lambda: Bursts(5, 20, refusal=DOWN), 0.6, 60),
    Case("503 for 5 s of 20, RA 2", lambda: Bursts(5, 20, refusal=DOWN, retry_after="2"), 0.55, 40),
]
