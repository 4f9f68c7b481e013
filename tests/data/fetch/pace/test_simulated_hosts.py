"""Fetches from hosts of many kinds, with a simulated clock: benchmarks/fetch_pace.py."""

import itertools
import math
import sys
from collections import defaultdict
from pathlib import Path

import pytest
import urllib3

import imagefec

BENCHMARKS = Path(imagefec.__file__).parents[1] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))  # as Python does for a script
try:
    import fetch_pace
    import simulated_hosts as hosts
finally:
    sys.path.remove(str(BENCHMARKS))

FETCHED = {}  # by case, for all tests


def fetched(case):
    if case.name not in FETCHED:
        FETCHED[case.name] = fetch_pace.fetch_case(case)
    return FETCHED[case.name]


def case_named(name):
    (case,) = (case for case in fetch_pace.CASES if case.name == name)
    return case


every_case = pytest.mark.parametrize("case", fetch_pace.CASES, ids=lambda case: case.name)


@every_case
def test_no_photo_is_lost_that_the_host_serves(case):
    found, n_lost, _ = fetched(case)
    assert n_lost == 0
    assert found.n_ok + found.n_failed == case.n_photos


@every_case
def test_the_pace_is_near_the_best_possible(case):
    found, _, best_rate = fetched(case)
    assert found.n_ok / found.seconds >= case.least_share * best_rate


@every_case
def test_few_requests_are_refused(case):
    assert fetched(case)[0].n_refused <= case.most_refused


@every_case
def test_retry_after_is_obeyed_for_the_url(case):
    by_url = defaultdict(list)
    for request in fetched(case)[0].requests:
        by_url[request.number].append(request)
    for requests in by_url.values():
        for earlier, later in itertools.pairwise(requests):
            if earlier.status == hosts.REFUSED and str(earlier.retry_after).isdigit():
                assert later.sent_at >= earlier.ended_at + int(earlier.retry_after) - 1e-6


@pytest.mark.parametrize("name", ["2000 a day, no RA", "the same, RA 10"])
def test_a_host_that_goes_on_refusing_is_asked_by_one_request_at_a_time_and_rarely(name):
    requests = fetched(case_named(name))[0].requests
    heard_at, n_probes = math.inf, 0
    for request in requests:
        if request.sent_at > heard_at:  # the first after the host's refusal was known
            n_probes += request.status != hosts.OK
        if request.status == hosts.OK:
            heard_at = math.inf
        elif heard_at == math.inf:
            heard_at = request.ended_at
    # Waits double from 1 s (times jitter of 0.75 at least) to 300 s, until 600 s have passed.
    assert n_probes <= 12


def test_requests_continue_while_a_refused_url_waits():
    found, _, _ = fetched(case_named("1 URL in 12 refused once, RA 1"))
    assert found.limiter.refuses_at_any_rate
    starts = [request.sent_at for request in found.requests]
    pauses = [later - earlier for earlier, later in itertools.pairwise(starts)]
    # Two back-offs; then the host is never left alone while it has URLs that were not requested.
    assert sum(pause > 0.9 for pause in pauses[:2900]) == 2


@pytest.mark.parametrize(
    "name", ["100/s, bucket of 100, RA 1", "the same, 3 ms", "200 in any 10 s, no RA"]
)
def test_a_limit_is_never_taken_for_refusals_at_any_rate(name):
    assert not fetched(case_named(name))[0].limiter.refuses_at_any_rate


@pytest.mark.parametrize("seed", range(1, 6))
def test_refusals_at_random_are_recognised_whatever_their_order(seed):
    host = case_named("1 request in 12 at random, RA 1").make()
    host.random.seed(seed)
    found = fetch_pace.Fetch(host, 3000)
    assert found.n_ok == 3000 and found.limiter.refuses_at_any_rate
    assert found.seconds < 120  # simulated; taken for a limit they cost over an hour


def test_the_rate_recovers_within_seconds_when_refusals_turn_out_not_to_depend_on_it():
    found, _, _ = fetched(case_named("1 URL in 12 always refused, RA 1"))
    starts = [request.sent_at for request in found.requests]

    def rate_at(second):
        return sum(second <= start < second + 1 for start in starts)

    slowest = min(range(1, 12), key=rate_at)
    assert rate_at(slowest) <= 12
    assert any(rate_at(second) > 100 for second in range(slowest, slowest + 8))


# The models, by hand.


def answers(host, times, number=0):
    host.in_flight = 1
    return [host.answer(time, number).status == hosts.OK for time in times]


def test_the_models_refuse_as_their_names_say():
    assert answers(hosts.TokenBucket(2, 3), [0, 0, 0, 0, 0.5, 0.5]) == [1, 1, 1, 0, 1, 0]
    assert answers(hosts.FixedWindow(2, 10), [8, 9, 9, 10, 11, 12]) == [1, 1, 0, 1, 1, 0]
    assert answers(hosts.SlidingWindow(2, 10), [8, 9, 10, 18, 18.5, 19]) == [1, 1, 0, 1, 0, 1]
    assert answers(hosts.UrlsRefused(12, 2), [0, 1, 2], number=6) == [0, 0, 1]
    assert answers(hosts.UrlsRefused(12), [0, 1, 2], number=7) == [1, 1, 1]
    assert answers(hosts.Quota(2), [0, 1, 2, 9e4]) == [1, 1, 0, 0]
    assert answers(hosts.Bursts(5, 20), [14.9, 15, 19.9, 20]) == [1, 0, 0, 1]
    ban = hosts.Ban(1, 1, 10, lengthens=2)  # the request at second 5 makes it 20 s from there
    assert answers(ban, [0, 0.1, 0.2, 5, 24, 40, 60]) == [1, 0, 0, 0, 0, 0, 0]
    limit = hosts.ConcurrencyLimit(4)
    limit.in_flight = 4
    assert limit.serves(0, 0)
    limit.in_flight = 5
    assert not limit.serves(0, 0)


def test_retry_after_dates_are_those_of_http():
    value = hosts.http_date(30)(0.0)
    assert urllib3.Retry().parse_retry_after(value) == pytest.approx(30, abs=1.5)
    assert hosts.until_next(60)(59.5) == "1"
