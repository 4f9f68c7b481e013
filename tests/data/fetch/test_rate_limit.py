"""The pace of a host, on a clock of the test's own, against a simulated token bucket and hosts that fall silent."""

import heapq
import math

import pytest

from imagefec.data.fetch.rate_limit import FAILURES_TO_OPEN, FIRST_WINDOW, Answer, HostGate


def gate(**settings):
    return HostGate(0.0, **{"most_at_a_time": 16, "jitter": lambda: 1.0} | settings)


def simulate(gate, seconds, limit, capacity, latency_s=0.01, retry_after_s=1.0):
    """Asks a token bucket as fast as the gate lets it; returns (times served, number refused)."""
    now, tokens, filled_at, under_way, served, refused = 0.0, float(capacity), 0.0, [], [], 0
    while now < seconds:
        at = gate.ready_at(now)
        if at <= now:
            gate.start(now)
            tokens, filled_at = min(capacity, tokens + (now - filled_at) * limit), now
            heapq.heappush(under_way, (now + latency_s, tokens >= 1))
            tokens -= tokens >= 1
            continue
        ends = under_way[0][0] if under_way else math.inf
        if ends <= at:
            now, is_served = heapq.heappop(under_way)
            gate.end(
                Answer.SERVED if is_served else Answer.THROTTLED,
                now,
                0 if is_served else retry_after_s,
            )
            served += [now] * is_served
            refused += not is_served
        else:
            now = at
    return served, refused


@pytest.mark.parametrize(("limit", "capacity"), [(100, 100), (100, 10), (20, 20)])
def test_the_rate_settles_close_under_a_token_buckets_limit(limit, capacity):
    served, refused = simulate(gate(), 200, limit, capacity)
    later = [time for time in served if time > 30]
    assert len(later) / 170 > 0.9 * limit
    assert refused < 0.01 * len(served) + 200


def test_a_host_that_refuses_is_left_alone_for_as_long_as_it_says():
    host = gate()
    host.start(0.0)
    host.end(Answer.THROTTLED, 1.0, retry_after_s=30.0)
    assert host.ready_at(1.0) == 31.0
    assert host.waits_until(1.0) == 31.0
    assert host.waits_until(31.5) is None


def test_refusals_of_requests_under_way_count_once():
    host = gate()
    for _ in range(4):
        host.start(0.0)
    for _ in range(3):
        host.end(Answer.SERVED, 1.0)
    for _ in range(2):
        host.start(1.0)
    for _ in range(3):
        host.end(Answer.THROTTLED, 1.5, retry_after_s=1.0)
    assert host.rate(1.5) == pytest.approx(3 / 1.5 / 2)  # halved once
    assert host.n_throttled == 3


def test_requests_at_a_time_grow_with_service_and_halve_with_failures():
    host = gate()

    def at_a_time():
        n = 0
        while host.ready_at(0.0) <= 0.0:
            host.start(0.0)
            n += 1
        for _ in range(n):
            host.end(Answer.SERVED, 0.0)
        return n

    assert [at_a_time() for _ in range(3)] == [FIRST_WINDOW, FIRST_WINDOW, FIRST_WINDOW + 1]
    for _ in range(40):
        most = at_a_time()
    assert most == 16
    host.start(0.0)
    host.end(Answer.BROKEN, 0.0)
    assert at_a_time() == 8


def test_a_silent_host_rests_longer_and_longer_is_tried_by_one_request_and_recovers():
    host, now, rests = gate(), 0.0, []
    for failure in range(FAILURES_TO_OPEN + 3):
        now = max(now, host.ready_at(now))
        host.start(now)
        if failure >= FAILURES_TO_OPEN:
            assert host.ready_at(now) == math.inf  # one at a time
        host.end(Answer.BROKEN, now)
        if failure >= FAILURES_TO_OPEN - 1:
            rests.append(host.ready_at(now) - now)
    assert rests == [5.0, 10.0, 20.0, 40.0]
    now = host.ready_at(now)
    host.start(now)
    host.end(Answer.SERVED, now)
    assert host.ready_at(now) <= now


def test_a_url_that_fails_again_neither_opens_the_breaker_nor_closes_it():
    host = gate()
    for answer in [Answer.FAULTY] * (FAILURES_TO_OPEN - 1) + [Answer.UNCLEAR] * 50:
        host.start(0.0)
        host.end(answer, 0.0)
        assert host.ready_at(0.0) == 0.0
    host.start(0.0)
    host.end(Answer.FAULTY, 0.0)
    assert host.ready_at(0.0) == 5.0


def test_a_host_that_serves_nothing_for_long_is_given_up_and_one_that_serves_is_not():
    host = gate(give_up_s=100.0)
    host.start(0.0)
    host.end(Answer.THROTTLED, 0.0, retry_after_s=60.0)
    assert not host.is_given_up(99.0)
    assert host.is_given_up(100.0)
    host.start(100.0)
    host.end(Answer.SERVED, 100.0)
    assert not host.is_given_up(1000.0)


def test_a_host_that_asks_for_more_patience_than_there_is_is_given_up_at_once():
    host = gate(give_up_s=100.0)
    host.start(0.0)
    host.end(Answer.THROTTLED, 0.0, retry_after_s=86_400.0)
    assert host.is_given_up(0.0)


def test_the_users_ceiling_holds():
    host, now, starts = gate(max_rate=10.0), 0.0, 0
    while now < 10.0:
        host.start(now)
        host.end(Answer.SERVED, now)
        starts += 1
        now = max(now, host.ready_at(now))
    assert starts == pytest.approx(100, abs=2)
