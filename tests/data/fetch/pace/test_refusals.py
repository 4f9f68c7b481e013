"""Whether refusals depend on the rate: the tests of two shares, on sequences of responses."""

import math
import random

import pytest

from imagefec.data.fetch.pace.refusals import INTERVALS_TO_DOUBT, MEMORY, Cause, Refusals


def in_test(n_served=11, relative_rate=1.5):
    """Refusals whose test begins: two intervals in which the host was left alone for long."""
    refusals = Refusals()
    assert refusals.refused(False)
    assert not refusals.end_interval(n_served, 0.2, False, relative_rate)
    assert refusals.end_interval(n_served, 0.2, False, relative_rate)
    assert refusals.cause is Cause.TESTED
    return refusals


def at_any_rate():
    refusals = in_test()
    for n in range(200):
        refusals.refused(False) if n % 12 == 11 else refusals.served(False)
    assert refusals.cause is Cause.OTHER
    return refusals


def test_each_refusal_counts_as_the_limit_at_first():
    refusals = Refusals()
    for _ in range(5):
        assert refusals.refused(False)
        assert not refusals.served(False)


@pytest.mark.parametrize(
    ("n_served", "open_share", "was_locked_out"),
    [
        (51, 0.8, False),  # few refusals, and the back-offs cost little
        (11, 0.2, True),  # the host refused again after the time that it demanded
        (0, 0.2, False),
        (1, 0.2, False),  # half of the requests: this cannot be told from a limit
    ],
)
def test_no_test_begins_where_it_would_not_help(n_served, open_share, was_locked_out):
    refusals = Refusals()
    for _ in range(10):
        assert not refusals.end_interval(n_served, open_share, was_locked_out, 2.0)


def test_a_share_as_before_ends_the_test_in_favour_of_other_causes():
    # 2 of 24 requests refused before; at 1.5 times its rate a limit refuses a third. Each served
    # request has the ratio (1 - 1/3) / (1 - 1/12) = 8/11, each refused one 4. After a refusal and
    # n served ones: ln 4 - 0.318 n < -ln 20 for n >= 14.
    refusals = in_test()
    assert not refusals.refused(False)
    assert [refusals.served(False) for _ in range(14)] == [False] * 13 + [True]
    assert refusals.cause is Cause.OTHER
    assert refusals.base_share == pytest.approx((1 + 1) / (15 + 12))


def test_a_higher_share_ends_the_test_in_favour_of_the_limit():
    # 4 ** 2 < 20 < 4 ** 3
    refusals = in_test()
    assert [refusals.refused(False) for _ in range(3)] == [False, False, True]
    assert refusals.cause is Cause.RATE
    # The next test begins after twice the number of intervals.
    assert [refusals.end_interval(11, 0.2, False, 2.0) for _ in range(4)] == [False] * 3 + [True]


def test_refusals_at_a_low_rate_are_tested_although_waits_take_little_time():
    refusals = Refusals()
    assert not refusals.end_interval(11, 0.95, False, 2.0)
    assert refusals.end_interval(11, 0.95, False, 2.0)


def test_many_more_refusals_than_before_are_not_confirmed_as_independent_of_the_rate():
    # 1 of 61 before, a limit would refuse 3/4; a small bucket that recovers fast refuses 1 in 6.
    refusals = in_test(n_served=60, relative_rate=4.0)
    for n in range(100):
        refusals.refused(False) if n % 6 == 0 else refusals.served(False)
    assert refusals.cause is Cause.RATE


def test_too_few_requests_do_not_decide_for_other_causes():
    refusals = in_test(n_served=2, relative_rate=4.0)  # a third refused before
    assert not any(refusals.served(False) for _ in range(11))
    assert refusals.served(False)


def test_urls_that_were_refused_before_do_not_decide_the_test():
    refusals = in_test()
    for _ in range(20):
        assert not refusals.refused(True)
        assert not refusals.served(True)
    assert refusals.cause is Cause.TESTED
    assert refusals.refused(True)  # but if nothing else is left, the limit is the safer belief
    assert refusals.cause is Cause.RATE


def test_the_base_share_is_expected_and_more_is_the_limit():
    refusals = at_any_rate()
    assert refusals.base_share == pytest.approx(1 / 12, abs=0.01)
    source = random.Random(1)
    for _ in range(5000):
        assert not (refusals.refused(False) if source.random() < 1 / 12 else refusals.served(False))
    n = next(n for n in range(1, 100) if refusals.refused(False))
    assert 5 <= n <= 10  # a row of them: share 1/12 against 1/4 gives ln 3 for each, 8 in all


def test_a_base_share_that_rises_with_the_rate_is_not_learnt():
    refusals = at_any_rate()
    source = random.Random(1)
    n = 0
    while not (refusals.refused(False) if source.random() < 0.4 else refusals.served(False)):
        n += 1
    assert n < 200
    assert refusals.base_share < 2.5 / 12


def test_a_base_share_that_falls_is_forgotten():
    refusals = at_any_rate()
    for _ in range(10 * MEMORY):
        refusals.served(False)
    assert refusals.cause is Cause.RATE and refusals.base_share == 0
    assert refusals.refused(False)


def test_a_base_share_that_explains_too_little_is_doubted():
    refusals = at_any_rate()
    for n in range(INTERVALS_TO_DOUBT):
        assert refusals.cause is Cause.OTHER, n
        assert not refusals.end_interval(11, 0.2, False, 2.0)
    assert refusals.cause is Cause.RATE


def test_refusals_of_urls_and_of_requests_are_told_apart():
    of_urls, of_requests = at_any_rate(), at_any_rate()
    for _ in range(30):
        assert not of_urls.refused(True)
        of_requests.served(True)
    assert of_urls.depend_on_url and of_urls.depend_on_url_only
    assert not of_requests.depend_on_url and not of_requests.depend_on_url_only
    assert not Refusals().depend_on_url


@pytest.mark.parametrize(("share", "decided"), [(1 / 12, Cause.OTHER), (0.5, Cause.RATE)])
def test_the_test_errs_in_one_of_twenty_cases_or_less(share, decided):
    # Wald: with thresholds ln 20 the probability of an error is below 1/20, here of 400 tests.
    source, n_wrong = random.Random(2), 0
    for _ in range(400):
        refusals = in_test()
        while refusals.cause is Cause.TESTED:
            refusals.refused(False) if source.random() < share else refusals.served(False)
        n_wrong += refusals.cause is not decided
    assert n_wrong <= 400 / 20 + 3 * math.sqrt(400 / 20)
