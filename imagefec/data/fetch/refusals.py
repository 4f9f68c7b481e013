"""Whether a host's refusals depend on the rate of requests: its limit, or single URLs and requests.

A limit refuses nothing below a certain rate. So if requests are refused as often at a rate that the
host has just served, the rate is not the cause, and the other requests need not wait.

No network, no threads and no clock.
"""

from __future__ import annotations

import enum
import math

INTERVALS_TO_SUSPECT = 3  # between refusals, in which the host served no more than before
REFUSALS_TO_CONFIRM = 2  # at a rate that was served
PATIENCE = 4.0  # the test ends after this multiple of the requests served between two refusals
# Sums of log likelihood ratios at which refusals are too many for the base share: certain, unsure.
ALARM, EARLY_ALARM = 8.0, 4.0
MAX_BASE_SHARE = 0.5  # a host that refuses more has a limit
MIN_BASE_SHARE = 0.002
MEMORY = 500  # requests after which earlier ones count half in the base share


class Cause(enum.Enum):
    """What the refusals of a host are believed to depend on."""

    RATE = "rate"
    TESTED = "tested"  # the rate is kept at one that the host has served, to find out
    OTHER = "other"  # a share of the requests is refused at any rate


class Refusals:
    """Judges the refusals of one host.

    Attributes:
      cause: of the next refusal, as believed now.
      base_share: share of the requests that the host refuses at any rate; 0 while none is known.
    """

    def __init__(self) -> None:
        self.cause = Cause.RATE
        self.base_share = 0.0
        self._intervals: list[int] = []  # requests served between refusals of the limit
        self._n_to_suspect = INTERVALS_TO_SUSPECT
        self._n_served = 0  # in the current interval
        self._per_interval = 0.0  # requests, for the test
        self._n = self._n_refused = 0.0  # requests: of the test, then of the base share
        self._max_share = self._score = 0.0
        self._n_retries = self._n_retries_refused = 0

    @property
    def depend_on_url(self) -> bool:
        """Whether URLs that were refused are mostly refused again."""
        if self.cause is Cause.RATE:
            return False
        return self._n_retries_refused + 1 > self._n_retries / 2

    def served(self, is_retry: bool) -> None:
        """Records a request that was served; `is_retry`: its URL was refused before."""
        self._n_served += 1
        if self.cause is not Cause.RATE:
            self._n_retries += is_retry
            self._count(0)

    def refused(self, is_retry: bool) -> bool:
        """Records a refusal; returns whether to take it for the host's limit."""
        if self.cause is Cause.RATE:
            return True
        was_expected = is_retry and self.depend_on_url
        self._n_retries += is_retry
        self._n_retries_refused += is_retry
        if was_expected:
            return False
        self._count(1)
        if self.cause is Cause.TESTED and self._n_refused >= REFUSALS_TO_CONFIRM:
            if self._score <= EARLY_ALARM:
                self._confirm()
        return self._score > (EARLY_ALARM if self.cause is Cause.TESTED else ALARM)

    def begin_interval(self, is_costly: bool) -> None:
        """Records that the host refused because of its limit; may start a test of that belief.

        Args:
          is_costly: whether the host served much less than the rate, because of the back-offs.
        """
        if self.cause is Cause.TESTED:
            self._reject()
        self._intervals = [*self._intervals, self._n_served][-100:]
        self._n_served, self._score = 0, 0.0
        # The first interval began with an unknown number of requests that the host permits at once.
        recent = self._intervals[-self._n_to_suspect :]
        if is_costly and len(recent) == self._n_to_suspect and 0 < recent[-1] <= 2 * min(recent[1:]):
            self.cause, self._n, self._n_refused = Cause.TESTED, 0.0, 0.0
            self._per_interval = 1 + sum(recent[1:]) / len(recent[1:])

    def _count(self, refused: int) -> None:
        is_test = self.cause is Cause.TESTED
        self._n += 1
        self._n_refused += refused
        share = 1 / self._per_interval if is_test else self.base_share
        share = min(max(share, MIN_BASE_SHARE), MAX_BASE_SHARE)
        higher = min(share + max(0.1, 2 * share), (1 + share) / 2)
        gain = math.log(higher / share if refused else (1 - higher) / (1 - share))
        self._score = max(0.0, self._score + gain)
        if is_test:
            if self._n >= PATIENCE * self._per_interval:
                self._reject()
            return
        if self._n > MEMORY:
            self._n, self._n_refused = self._n / 2, self._n_refused / 2
        self.base_share = min(self._n_refused / self._n, self._max_share)
        if self.base_share < MIN_BASE_SHARE:
            self._reject()

    def _confirm(self) -> None:
        self.cause, self._score = Cause.OTHER, 0.0
        n_before = self._n_to_suspect - 1  # intervals, each with a refusal
        self._n += n_before * self._per_interval
        self._n_refused += n_before
        self.base_share = min(self._n_refused / self._n, MAX_BASE_SHARE)
        self._max_share = min(2 * self.base_share, MAX_BASE_SHARE)
        self._intervals.clear()
        self._n_to_suspect = INTERVALS_TO_SUSPECT

    def _reject(self) -> None:
        self.cause, self.base_share = Cause.RATE, 0.0
        self._intervals.clear()
        self._n_to_suspect = min(2 * self._n_to_suspect, 96)
