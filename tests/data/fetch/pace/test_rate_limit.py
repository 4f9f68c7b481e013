"""The limits of one host, on a simulated clock, against a token bucket and hosts that fail."""

import heapq
import math

import pytest

from imagefec.data.fetch.pace.rate_limit import (
    FAILURES_TO_OPEN,
    INITIAL_CONCURRENCY,
    HostLimiter,
    HostResponse,
)


def make_limiter(**settings):
    return HostLimiter(0.0, **{"max_concurrency": 16, "jitter": lambda: 1.0} | settings)


def simulate(limiter, seconds, limit, capacity, latency_s=0.01, retry_after_s=1.0):
    """Requests from a token bucket as fast as allowed; returns (times served, number refused)."""
    now, tokens, filled_at, in_flight, served, refused = 0.0, float(capacity), 0.0, [], [], 0
    while now < seconds:
        at = limiter.ready_at()
        if at <= now:
            limiter.start(now)
            tokens, filled_at = min(capacity, tokens + (now - filled_at) * limit), now
            heapq.heappush(in_flight, (now + latency_s, tokens >= 1))
            tokens -= tokens >= 1
            continue
        ends = in_flight[0][0] if in_flight else math.inf
        if ends <= at:
            now, is_served = heapq.heappop(in_flight)
            limiter.finish(
                HostResponse.SERVED if is_served else HostResponse.THROTTLED,
                now,
                0 if is_served else retry_after_s,
            )
            served += [now] * is_served
            refused += not is_served
        else:
            now = at
    return served, refused


@pytest.mark.parametrize(("limit", "capacity"), [(100, 100), (100, 10), (20, 20)])
def test_the_rate_settles_just_below_a_token_buckets_limit(limit, capacity):
    served, refused = simulate(make_limiter(), 200, limit, capacity)
    later = [time for time in served if time > 30]
    assert len(later) / 170 > 0.9 * limit
    assert refused < 0.01 * len(served) + 200


def test_the_back_off_is_as_long_as_the_host_requests():
    host = make_limiter()
    host.start(0.0)
    host.finish(HostResponse.THROTTLED, 1.0, retry_after_s=30.0)
    assert host.ready_at() == 31.0
    assert host.cooldown_until(1.0) == 31.0
    assert host.cooldown_until(31.5) is None


def test_refusals_of_requests_in_flight_count_once():
    host = make_limiter()
    for _ in range(4):
        host.start(0.0)
    for _ in range(3):
        host.finish(HostResponse.SERVED, 1.0)
    for _ in range(2):
        host.start(1.0)
    for _ in range(3):
        host.finish(HostResponse.THROTTLED, 1.5, retry_after_s=1.0)
    assert host.rate(1.5) == pytest.approx(3 / 1.5 / 2)  # halved once
    assert host.n_throttled == 3


def test_concurrency_grows_with_served_requests_and_halves_with_failures():
    host = make_limiter()

    def concurrency():
        n = 0
        while host.ready_at() <= 0.0:
            host.start(0.0)
            n += 1
        for _ in range(n):
            host.finish(HostResponse.SERVED, 0.0)
        return n

    assert [concurrency() for _ in range(3)] == [
        INITIAL_CONCURRENCY,
        INITIAL_CONCURRENCY,
        INITIAL_CONCURRENCY + 1,
    ]
    for _ in range(40):
        most = concurrency()
    assert most == 16
    host.start(0.0)
    host.finish(HostResponse.UNREACHABLE, 0.0)
    assert concurrency() == 8


def test_cool_downs_double_one_request_probes_the_host_and_it_recovers():
    host, now, cooldowns = make_limiter(), 0.0, []
    for failure in range(FAILURES_TO_OPEN + 3):
        now = max(now, host.ready_at())
        host.start(now)
        if failure >= FAILURES_TO_OPEN:
            assert host.ready_at() == math.inf  # one at a time
        host.finish(HostResponse.UNREACHABLE, now)
        if failure >= FAILURES_TO_OPEN - 1:
            cooldowns.append(host.ready_at() - now)
    assert cooldowns == [5.0, 10.0, 20.0, 40.0]
    now = host.ready_at()
    host.start(now)
    host.finish(HostResponse.SERVED, now)
    assert host.ready_at() <= now


def test_a_url_that_fails_again_neither_opens_nor_closes_the_circuit_breaker():
    host = make_limiter()
    for answer in [HostResponse.SERVER_ERROR] * (FAILURES_TO_OPEN - 1) + [
        HostResponse.REPEATED_ERROR
    ] * 50:
        host.start(0.0)
        host.finish(answer, 0.0)
        assert host.ready_at() == 0.0
    host.start(0.0)
    host.finish(HostResponse.SERVER_ERROR, 0.0)
    assert host.ready_at() == 5.0


def test_a_host_that_serves_nothing_for_long_is_given_up_until_it_serves():
    host = make_limiter(give_up_s=100.0)
    host.start(0.0)
    host.finish(HostResponse.THROTTLED, 0.0, retry_after_s=60.0)
    assert not host.is_given_up(99.0)
    assert host.is_given_up(100.0)
    host.start(100.0)
    host.finish(HostResponse.SERVED, 100.0)
    assert not host.is_given_up(1000.0)


def test_a_host_that_requests_a_longer_wait_than_allowed_is_given_up_at_once():
    host = make_limiter(give_up_s=100.0)
    host.start(0.0)
    host.finish(HostResponse.THROTTLED, 0.0, retry_after_s=86_400.0)
    assert host.is_given_up(0.0)


def test_the_users_rate_limit_holds():
    host, now, starts = make_limiter(max_rate=10.0), 0.0, 0
    while now < 10.0:
        host.start(now)
        host.finish(HostResponse.SERVED, now)
        starts += 1
        now = max(now, host.ready_at())
    assert starts == pytest.approx(100, abs=2)
