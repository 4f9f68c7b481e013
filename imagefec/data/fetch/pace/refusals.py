"""Whether a host's refusals depend on the rate of requests (its limit), or on other causes.

A limit refuses a larger share of the requests if their rate rises. So the host is asked at twice
the rate at which it has served requests, and is not left alone after a refusal. If it does not
refuse a larger share then, the rate is not the cause, and requests for other URLs need not wait.

No network, no threads and no clock.
"""

from __future__ import annotations

import enum
import math

INTERVALS_TO_TEST = 2  # between refusals of the limit that were short or in which waits took long
INTERVALS_TO_DOUBT = 6  # the same, if a base share is known: it explains too little
MAX_OPEN_SHARE, MAX_SERVED = 0.7, 50  # of such an interval: share of its time, or requests served
MAX_SHARE_TO_TEST = 0.4  # refused: more than that cannot be told from a limit
TEST_RATE = 2.0  # in units of the rate served; a limit then refuses half of the requests or more
MAX_SHARE_OF_LIMIT = 0.75  # that the test expects, so that no single request decides
MAX_INCREASE = 3.0  # of the share refused: a small bucket recovers faster than it seems
CERTAINTY, MIN_TESTED = math.log(20), 12  # of the test: log likelihood ratio, and requests
MAX_RETRIES_IN_TEST = 20
ALARM = 8.0  # log likelihood ratio for more refusals than the base share
MAX_BASE_SHARE = 0.5  # a host that refuses more has a limit
MIN_BASE_SHARE = 0.002
MEMORY = 500  # requests after which earlier ones count half in the base share
MIN_RETRIES, MIN_RETRIES_REFUSED = 20, 8  # of refused URLs


class Cause(enum.Enum):
    """What the refusals of a host are believed to depend on."""

    RATE = "rate"
    TESTED = "tested"  # the host is asked at a higher rate, to find out
    OTHER = "other"  # a share of the requests is refused at any rate


class Refusals:
    """Judges the refusals of one host.

    The test is Wald's sequential probability ratio test of two shares of refused requests: the one
    before, and the one that a limit would have. Later refusals are compared with the base share by
    Page's CUSUM test.

    Attributes:
      cause: of the next refusal, as believed now.
      base_share: share of the requests that the host refuses at any rate; 0 while none is known.
    """

    def __init__(self) -> None:
        self.cause = Cause.RATE
        self.base_share = self._max_base_share = 0.0
        self._n_to_test = INTERVALS_TO_TEST
        self._n_costly = self._n_served = 0  # such intervals, and the requests served in them
        self._share_before = self._share_of_limit = 0.0  # refused: expected by the test
        self._n = self._n_refused = 0.0  # requests: of the test, then of the base share
        self._score = 0.0
        # Requests for URLs that were refused before, since the refusals were first tested.
        self._n_retries = self._n_retries_refused = self._n_retries_in_test = 0

    @property
    def depend_on_url(self) -> bool:
        """Whether URLs that were refused are mostly refused again."""
        return self.cause is Cause.OTHER and self._n_retries_refused + 1 > (self._n_retries + 1) / 2

    @property
    def are_known_to_depend_on_url(self) -> bool:
        """The same, after enough such requests."""
        return self.depend_on_url and self._n_retries_refused >= MIN_RETRIES_REFUSED

    @property
    def depend_on_url_only(self) -> bool:
        """Whether URLs that were refused are refused again with few exceptions."""
        return (
            self.cause is Cause.OTHER
            and self._n_retries >= MIN_RETRIES
            and self._n_retries_refused > 0.9 * self._n_retries
        )

    def served(self, is_retry: bool) -> bool:
        """Records a request that was served.

        Args:
          is_retry: whether the host refused the URL before.

        Returns:
          Whether the rate has just turned out not to be the cause.
        """
        if self.cause is Cause.RATE:
            return False
        was_tested = self.cause is Cause.TESTED
        self._n_retries += is_retry
        if not (is_retry and was_tested):
            self._count(0)
        return was_tested and self.cause is Cause.OTHER

    def refused(self, is_retry: bool) -> bool:
        """Records a refusal; returns whether to take it for the host's limit."""
        if self.cause is Cause.RATE:
            return True
        is_expected = is_retry and self.depend_on_url
        self._n_retries += is_retry
        self._n_retries_refused += is_retry
        if is_retry and self.cause is Cause.TESTED:
            # URLs that are always refused would count many times.
            self._n_retries_in_test += 1
            if self._n_retries_in_test > MAX_RETRIES_IN_TEST:
                self._reject()
                return True
            return False
        return not is_expected and self._count(1)

    def end_interval(
        self, n_served: int, open_share: float, was_locked_out: bool, relative_rate: float
    ) -> bool:
        """Records a refusal that was taken for the limit; returns whether a test begins.

        Args:
          n_served: requests served since the last such refusal.
          open_share: part of the time since then in which the host was not left alone.
          was_locked_out: whether it refused again after the time that it demanded.
          relative_rate: rate at which it will be asked if a test begins, in units of that at which
            it served requests since the last such refusal.
        """
        self._score = 0.0
        if was_locked_out or not n_served:  # this tells nothing
            return False
        if open_share >= MAX_OPEN_SHARE and n_served > MAX_SERVED:
            self._n_costly = self._n_served = 0
            return False
        self._n_costly, self._n_served = self._n_costly + 1, self._n_served + n_served
        if self.cause is Cause.OTHER:
            if self._n_costly >= INTERVALS_TO_DOUBT:
                self.cause, self.base_share = Cause.RATE, 0.0
                self._n_costly = self._n_served = 0
            return False
        self._share_before = self._n_costly / (self._n_costly + self._n_served)
        self._share_of_limit = min(1 - 1 / relative_rate, MAX_SHARE_OF_LIMIT)
        if self._n_costly < self._n_to_test or self._share_before > MAX_SHARE_TO_TEST:
            return False
        self.cause, self._n, self._n_refused = Cause.TESTED, 0.0, 0.0
        self._n_costly = self._n_served = self._n_retries_in_test = 0
        return True

    def _count(self, refused: int) -> bool:
        """Counts a request; returns whether the host refuses because of its limit."""
        self._n += 1
        self._n_refused += refused
        if self.cause is Cause.TESTED:
            return self._count_in_test(refused)
        share = max(self.base_share, MIN_BASE_SHARE)
        gain = _gain(refused, share, min(share + max(0.1, 2 * share), (1 + share) / 2))
        self._score = max(0.0, self._score + gain)
        if self._n > MEMORY:
            self._n, self._n_refused = self._n / 2, self._n_refused / 2
        # Measured at a rate below the limit; if it rises later, the rate is the cause.
        self.base_share = min(self._n_refused / self._n, self._max_base_share)
        if self.base_share < MIN_BASE_SHARE:
            self.cause, self.base_share = Cause.RATE, 0.0
        return self._score > ALARM

    def _count_in_test(self, refused: int) -> bool:
        self._score += _gain(refused, self._share_before, self._share_of_limit)
        if self._score > CERTAINTY:
            self._reject()
            return True
        if not refused and self._score < -CERTAINTY and self._n >= MIN_TESTED:
            if self._n_refused > MAX_INCREASE * self._share_before * self._n + 1:
                self._reject()
                return True
            self._confirm()
        return False

    def _confirm(self) -> None:
        self.cause, self._score = Cause.OTHER, 0.0
        self._n_to_test = INTERVALS_TO_TEST
        self._n, self._n_refused = self._n + 1 / self._share_before, self._n_refused + 1
        self.base_share = min(self._n_refused / self._n, MAX_BASE_SHARE)
        self._max_base_share = min(2 * self.base_share, MAX_BASE_SHARE)

    def _reject(self) -> None:
        self.cause, self._score = Cause.RATE, 0.0
        self._n_to_test = min(2 * self._n_to_test, 96)


def _gain(refused: int, share: float, higher_share: float) -> float:
    """Log likelihood ratio of one request, of the higher share against the other."""
    return math.log(higher_share / share if refused else (1 - higher_share) / (1 - share))
