"""Threads and outcomes of a fetch.

`host_queues` decides which URL comes next, `rate_limit` when its host may get a request, `download`
makes it, `retries` decides what follows.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import queue
import threading
import time
from collections.abc import Callable, Generator, Iterator
from typing import Any

from imagefec.data.fetch.config import FetchConfig
from imagefec.data.fetch.download import Attempt
from imagefec.data.fetch.pace.host_queues import HostQueues, Task
from imagefec.data.fetch.pace.rate_limit import HostLimiter, HostResponse
from imagefec.data.fetch.photo_cache.ledger import Ledger, Outcome
from imagefec.data.fetch.retries import RATE_LIMITED, settle
from imagefec.errors import UserError

MAX_HOSTS = 256  # open at the same time
PAGE_SIZE = 256  # URLs of one host read ahead
MAX_LENGTH = 4096  # URLs of one host in memory, with those that are requested again
GIVEN_UP = {
    HostResponse.THROTTLED: RATE_LIMITED,
    HostResponse.UNREACHABLE: "host does not answer",
    HostResponse.SERVER_ERROR: "host answers with errors",
}


class FetchRun:
    """Requests all pending URLs of a ledger.

    Args:
      ledger: used only in the thread that iterates `outcomes`.
      attempt: requests one URL; called in any thread.
      config: of the fetch.
      stop: called when the fetch ends; ends the requests in flight.

    Attributes:
      throttled: facts about the hosts that refused, by host, for the report; complete after
        `outcomes`.
    """

    def __init__(
        self,
        ledger: Ledger,
        attempt: Callable[[str], Attempt],
        config: FetchConfig,
        stop: Callable[[], None] = lambda: None,
    ) -> None:
        self._ledger, self._attempt, self._config, self._stop = ledger, attempt, config, stop
        self._queues = HostQueues(
            lambda now: HostLimiter(
                now, config.workers, config.max_rate_per_host, config.give_up_s
            ),
            config.workers,
        )
        self._threads: list[threading.Thread] = []
        self._done: queue.SimpleQueue[Outcome | BaseException] = queue.SimpleQueue()
        self._last_trouble: dict[str, HostResponse] = {}  # of the open hosts
        self._cursors: dict[str, int | None] = {}  # last number read of each open host; None at end
        self.throttled: dict[str, dict[str, Any]] = {}

    def outcomes(self) -> Generator[list[Outcome], None, None]:
        """Yields outcomes as they arrive, and empty lists while hosts cool down.

        The first exception of a thread ends the iteration.
        """
        try:
            hosts = self._ledger.pending_hosts()
            while self._feed(hosts):
                self._start_threads()
                yield self._collect()
            # Outcomes that arrived between the last call and the end of the last host.
            while not self._done.empty():
                yield self._collect()
        finally:
            self._queues.close()
            self._stop()
            deadline = time.monotonic() + _GRACE_S
            for thread in self._threads:
                thread.join(timeout=max(0.0, deadline - time.monotonic()))

    def cooldowns(self) -> dict[str, float]:
        """Seconds until the end of the back-offs and cool-downs, by host."""
        return self._queues.cooldowns()

    def _start_threads(self) -> None:
        """Starts as many threads as there are requests that may be in flight."""
        while len(self._threads) < self._queues.n_threads():
            thread = threading.Thread(
                target=self._work, daemon=True, name=f"fetch-{len(self._threads)}"
            )
            try:
                thread.start()
            except RuntimeError as error:  # the system's limit; the fetch goes on with fewer
                if not self._threads:
                    raise UserError(
                        f"no thread can be started ({error}). Raise the limit of processes "
                        "(ulimit -u), or end other programs."
                    ) from None
                break
            self._threads.append(thread)

    def _feed(self, hosts: Iterator[str]) -> bool:
        """Refills the queues of open hosts and opens others; False if nothing is left."""
        for host, cursor in list(self._cursors.items()):
            if self._queues.is_given_up(host):
                self._give_up(host)
            if cursor is not None and self._needs_page(host):
                self._fill(host, cursor)
            if self._cursors[host] is None and not self._queues.length(host):
                self._close(host)
                del self._cursors[host]
        for host in itertools.islice(hosts, MAX_HOSTS - len(self._cursors)):
            self._queues.open(host)
            self._fill(host, 0)
        return bool(self._cursors)

    def _needs_page(self, host: str) -> bool:
        return (
            self._queues.n_new(host) <= PAGE_SIZE // 2
            and self._queues.length(host) <= MAX_LENGTH - PAGE_SIZE
        )

    def _fill(self, host: str, cursor: int) -> None:
        rows = self._ledger.pending_urls(host, cursor, PAGE_SIZE)
        self._cursors[host] = rows[-1][0] if len(rows) == PAGE_SIZE else None
        self._queues.put(Task(url, host) for _, url in rows)

    def _give_up(self, host: str) -> None:
        """Records a host's queued URLs as failed; later calls do so for the next pages."""
        reason = GIVEN_UP[self._last_trouble.get(host, HostResponse.UNREACHABLE)]
        for task in self._queues.drain(host):
            self._done.put(Outcome(task.url, "failed", reason, task.attempts))

    def _close(self, host: str) -> None:
        limiter, now = self._queues.remove(host), time.monotonic()
        self._last_trouble.pop(host, None)
        if limiter.n_throttled or limiter.is_given_up(now):
            rate = limiter.rate(now)
            self.throttled[host] = {
                "n_throttled": limiter.n_throttled,
                "given_up": limiter.is_given_up(now),
                "rate_per_s": round(rate, 2) if rate < math.inf else None,
                "at_any_rate": limiter.refuses_at_any_rate,
            }

    def _work(self) -> None:
        while (task := self._queues.take()) is not None:
            try:
                self._process(task)
            except BaseException as error:
                self._done.put(error)
                self._queues.finish(task, HostResponse.SERVED)

    def _process(self, task: Task) -> None:
        found = self._attempt(task.url)
        if found.response in GIVEN_UP:
            self._last_trouble[task.host] = found.response
        outcome = settle(task, found, self._queues, self._config)
        if outcome is not None:
            self._done.put(outcome)

    def _collect(self) -> list[Outcome]:
        found = []
        with contextlib.suppress(queue.Empty):
            found.append(self._done.get(timeout=_POLL_S))
            while True:
                found.append(self._done.get_nowait())
        outcomes = [item for item in found if isinstance(item, Outcome)]
        errors = [item for item in found if not isinstance(item, Outcome)]
        if errors and not outcomes:
            raise errors[0]
        if errors:
            self._done.put(errors[0])  # raised by the next call, after these outcomes are recorded
        return outcomes


# Longest wait at the end of a fetch for threads that are in a request, or rather in a look-up of a
# name: `stop` ends the requests themselves.
_GRACE_S = 1.0
_POLL_S = 0.2
