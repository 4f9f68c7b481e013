"""The rate of one host, by hand: how it falls and rises."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagefec.data.fetch.pace.adaptive_rate import MIN_RATE, AdaptiveRate


def run(rate, now, n, per_s):
    """Starts n requests at a fixed rate; returns the time after them."""
    for k in range(n):
        rate.start(now + k / per_s)
    return now + n / per_s


def refused_once(per_s=100.0):
    rate = AdaptiveRate(0.0, math.inf)
    now = run(rate, 0.0, 50, per_s)
    rate.decrease(now, 50, None, 1.0)
    rate.open(now + 1, 1.0)
    return rate, now + 1


def test_the_first_refusal_halves_the_rate_of_the_last_requests():
    rate, now = refused_once()
    assert rate.value(now) == pytest.approx(50)


def test_the_rate_returns_to_the_refused_one_within_seconds_and_then_exceeds_it():
    # w (1 + 0.09 t / 8 + (t / 8 - 0.5 ** (1/3)) ** 3), w = 100
    rate, now = refused_once()
    assert rate.value(now + 4) == pytest.approx(100 * (1 + 0.045 + (0.5 - 0.5 ** (1 / 3)) ** 3))
    assert rate.value(now + 7) == pytest.approx(100, rel=0.1)
    assert rate.value(now + 20) > 400


def test_a_refusal_that_costs_little_lowers_the_rate_by_a_tenth_at_most():
    rate, now = refused_once()
    now = run(rate, now, 200, 50.0)
    rate.decrease(now, 200, 100.0, 1.0)  # 2/s served
    assert rate.value(now) == pytest.approx(0.9 * 50)


def test_the_rate_that_was_served_between_two_refusals_is_kept():
    rate, now = refused_once()
    now = run(rate, now, 200, 50.0)
    rate.decrease(now, 196, 4.0, 0.8)  # 49/s served
    assert rate.value(now) == pytest.approx(0.97 * 49)


def test_a_refusal_that_costs_most_of_the_time_lowers_the_rate_more():
    # A quarter of the rate served, 10 % of the time: 50 sqrt(1/4) (0.5 + 0.4 * 0.1)
    rate, now = refused_once()
    now = run(rate, now, 200, 50.0)
    rate.decrease(now, 50, 4.0, 0.1)
    assert rate.value(now) == pytest.approx(25 * 0.54)


def test_the_rate_rises_more_slowly_after_a_long_lockout():
    rates = []
    for lockout_s in (1.0, 60.0):
        rate, now = refused_once()
        now = run(rate, now, 200, 50.0)
        rate.decrease(now, 100, 4.0, 0.5)
        rate.open(now, lockout_s)
        rates.append(rate.value(now + 20))
    assert rates[1] < rates[0]


def test_a_surge_doubles_the_rate_every_twelve_requests_until_it_is_not_limited():
    rate, now = refused_once(per_s=10.0)
    rate.surge(now)
    assert rate.value(now + 100) == pytest.approx(5)  # time alone does not raise it
    run(rate, now, 24, 5.0)
    assert rate.value(now) == pytest.approx(20)
    run(rate, now, 12 * 9, 5.0)
    assert rate.value(now) == math.inf


@given(
    st.lists(
        st.tuples(
            st.floats(1e-4, 100),
            st.integers(0, 300),
            st.floats(1e-3, 1e4),
            st.floats(0, 1),
            st.booleans(),
        ),
        max_size=12,
    ),
    st.sampled_from([math.inf, 10.0, 0.01]),
)
def test_the_rate_stays_within_its_limits(events, max_rate):
    rate, now = AdaptiveRate(0.0, max_rate), 0.0
    for k, (gap_s, n, interval_s, open_share, surges) in enumerate(events):
        now = run(rate, now, n, 1 / gap_s)
        before = rate.value(now)
        rate.decrease(now, n, interval_s if k else None, open_share)
        assert min(MIN_RATE, max_rate) * (1 - 1e-9) <= rate.value(now) <= max_rate
        assert rate.value(now) <= max(before, MIN_RATE) * (1 + 1e-9)
        rate.open(now, gap_s)
        if surges:
            rate.surge(now)
        values = [rate.value(now + second) for second in range(0, 1000, 7)]
        assert values == sorted(values) and values[-1] <= max_rate
