"""A limit on how often one client may do something; pure, with a passed clock."""


class TokenBucket:
    """Allows a rate on average, and a burst at once."""

    def __init__(self, rate: float, burst: float) -> None:
        """Makes a full bucket.

        Args:
          rate: tokens per second that it is refilled with.
          burst: tokens that it holds.
        """
        self._rate, self._burst = rate, burst
        self._tokens = burst
        self._last_s: float | None = None

    def take(self, now_s: float) -> bool:
        """Takes a token; False if there is none."""
        if self._last_s is not None:
            self._tokens += max(now_s - self._last_s, 0.0) * self._rate
            self._tokens = min(self._tokens, self._burst)
        self._last_s = now_s
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
