"""The settings of a fetch."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from imagefec.faces.photo_files import MAX_BYTES, MAX_PIXELS

MAX_WORKERS = 256
MIN_RATE_PER_HOST = 0.001  # requests/s: one in 17 minutes


@dataclasses.dataclass(frozen=True)
class FetchConfig:
    """Limits, timeouts and retries of `fetch_photos`.

    Attributes:
      workers: number of requests in flight; those to hosts that do not answer within 2 s are
        counted apart (see `host_queues`).
      retry_failed: request photos again that are recorded as gone (HTTP 404, not an image, ...),
        not only those that failed.
      timeout_s: longest silence of a server. All headers of an attempt, those of redirects
        included, must arrive within twice this time, the photo within ten times.
      attempts: largest number of requests per URL in one fetch, if a retry may help.
      backoff_s: wait before the second attempt; it doubles each time, with jitter. HTTP 429 and
        Retry-After do not count as attempts: the fetch waits as long as the host says, then
        continues at a lower rate.
      skip_bad_rows: skip bad rows of the csv files instead of stopping at the first.
      max_bytes: larger photos are refused; crop reads up to MAX_BYTES.
      max_pixels: photos that declare more pixels are refused; crop reads up to MAX_PIXELS.
      max_rate_per_host: upper limit in requests/s; None for what the host allows.
      give_up_s: a host that has served nothing for this time, or requests a longer wait, is given
        up in this fetch. Its photos are recorded as failed and requested by the next fetch.
      ignore_x_robots_tag: take photos whose server says noai or noimageai.
      allow_private_redirects: follow redirects to this machine and to private networks. By default
        a redirect may lead to public addresses and to the hosts that the csv files name.
      placeholder_urls: an image that a host sends for this many URLs is a placeholder, not a
        photo; 0 disables the check.

    Raises:
      ValueError: a number is out of range.
    """

    workers: int = 16
    retry_failed: bool = False
    timeout_s: float = 20.0
    attempts: int = 4
    backoff_s: float = 0.5
    skip_bad_rows: bool = False
    max_bytes: int = 64 * 2**20
    max_pixels: int = MAX_PIXELS
    max_rate_per_host: float | None = None
    give_up_s: float = 600.0
    ignore_x_robots_tag: bool = False
    placeholder_urls: int = 8
    allow_private_redirects: bool = False

    def __post_init__(self) -> None:
        for name in ("workers", "attempts", "max_bytes", "max_pixels"):
            self._check_number(name, int, 1, "an int of 1 or more")
        for name in ("timeout_s", "give_up_s"):
            self._check_number(name, int | float, 1e-3, "at least 0.001")
        for name in ("backoff_s", "placeholder_urls"):
            self._check_number(name, int | float, 0, "at least 0")
        if self.max_rate_per_host is not None:
            allowed = f"None or at least {MIN_RATE_PER_HOST}"
            self._check_number("max_rate_per_host", int | float, MIN_RATE_PER_HOST, allowed)
        self._check("workers", self.workers <= MAX_WORKERS, f"at most {MAX_WORKERS}")
        self._check("max_bytes", self.max_bytes <= MAX_BYTES, f"at most {MAX_BYTES}")
        self._check("max_pixels", self.max_pixels <= MAX_PIXELS, f"at most {MAX_PIXELS}")

    def _check_number(self, name: str, kind: Any, least: float, allowed: str) -> None:
        value = getattr(self, name)
        is_number = isinstance(value, kind) and not isinstance(value, bool)
        self._check(name, is_number and math.isfinite(value) and value >= least, allowed)

    def _check(self, name: str, is_allowed: bool, allowed: str) -> None:
        if not is_allowed:
            raise ValueError(
                f"FetchConfig: {name} is {getattr(self, name)!r}; it must be {allowed}"
            )


DEFAULT_CONFIG = FetchConfig()
