"""Whether a host's refusals depend on the rate of requests: its limit, or single URLs and requests.

After a refusal a host is left alone, so on average it gets fewer requests per second than between
its refusals. A limit must refuse a larger share of them once the host is not left alone. If it does
not, the rate is not the cause, and the requests for other URLs need not wait.

No network, no threads and no clock.
"""

from __future__ import annotations

import enum
import math

INTERVALS_TO_TEST = 2  # between refusals, in a row, in which the host was left alone for long
INTERVALS_TO_DOUBT = 6  # the same, if a base share is known: it explains too little
MAX_OPEN_SHARE = 0.7  # of an interval: where back-offs cost less, their cause does not matter
MAX_SHARE_TO_TEST = 0.4  # refused: more than that cannot be told from a limit
MAX_SHARE_OF_LIMIT = 0.75  # that the test expects, so that no single request decides
CERTAINTY, MIN_TESTED = math.log(20), 12  # of the test: log likelihood ratio, and requests
MAX_RETRIES_IN_TEST = 20
ALARM = 8.0  # log likelihood ratio for more refusals than the base share
MAX_BASE_SHARE = 0.5  # a host that refuses more has a limit
MIN_BASE_SHARE = 0.002
MEMORY = 500  # requests after which earlier ones count half in the base share
MIN_RETRIES = 20  # of refused URLs


class Cause(enum.Enum):
    """What the refusals of a host are believed to depend on."""

    RATE = "rate"
    TESTED = "tested"  # the host is not left alone after a refusal, to find out
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

    def end_interval(self, n_served: int, open_share: float, was_locked_out: bool) -> bool:
        """Records a refusal that was taken for the limit; returns whether a test begins.

        In the test the host is not left alone. A limit, which has just been reached, would refuse
        the share of the requests for which it has needed the time to recover.

        Args:
          n_served: requests served since the last such refusal.
          open_share: part of the time since then in which the host was not left alone.
          was_locked_out: whether it refused again after the time that it demanded.
        """
        self._score = 0.0
        is_costly = n_served > 0 and open_share < MAX_OPEN_SHARE and not was_locked_out
        self._n_costly = self._n_costly + 1 if is_costly else 0
        self._n_served = n_served if self._n_costly == 1 else self._n_served + n_served
        if self.cause is Cause.OTHER:
            if self._n_costly >= INTERVALS_TO_DOUBT:
                self.cause, self.base_share, self._n_costly = Cause.RATE, 0.0, 0
            return False
        if self._n_costly < self._n_to_test:
            return False
        self._share_before = self._n_costly / (self._n_costly + self._n_served)
        self._share_of_limit = min(
            1 - open_share, max(0.1, 4 * self._share_before), MAX_SHARE_OF_LIMIT
        )
        self._n_costly = 0
        if self._share_before > min(MAX_SHARE_TO_TEST, self._share_of_limit / 1.5):
            return False
        self.cause, self._n, self._n_refused = Cause.TESTED, 0.0, 0.0
        self._n_retries_in_test = 0
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
