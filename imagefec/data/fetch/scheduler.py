"""Order and threads of a fetch: one queue per host, so that a slow host does not delay another.

`rate_limit` decides when a host may get a request, `download` makes it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import heapq
import itertools
import math
import queue
import random
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from imagefec.data.fetch.config import FetchConfig
from imagefec.data.fetch.download import Attempt
from imagefec.data.fetch.ledger import Ledger, Outcome
from imagefec.data.fetch.rate_limit import HostLimiter, HostResponse

MAX_HOSTS = 256  # open at the same time
PAGE_SIZE = 256  # URLs of one host read ahead
MAX_REFUSALS = 10  # of one URL by a host that serves others in between
GIVEN_UP = {
    HostResponse.THROTTLED: "rate limited",
    HostResponse.UNREACHABLE: "host does not answer",
    HostResponse.SERVER_ERROR: "host answers with errors",
}


class FetchRun:
    """Requests all pending URLs of a ledger.

    Args:
      ledger: used only in the thread that iterates `outcomes`.
      attempt: requests one URL; called in any thread.
      config: of the fetch.

    Attributes:
      throttled: facts about the hosts that refused, by host, for the report; complete after
        `outcomes`.
    """

    def __init__(
        self, ledger: Ledger, attempt: Callable[[str], Attempt], config: FetchConfig
    ) -> None:
        self._ledger, self._attempt, self._config = ledger, attempt, config
        self._queues = HostQueues(
            lambda now: HostLimiter(now, config.workers, config.max_rate_per_host, config.give_up_s)
        )
        self._done: queue.SimpleQueue[Outcome | BaseException] = queue.SimpleQueue()
        self._last_trouble: dict[str, HostResponse] = {}  # of the open hosts
        self._cursors: dict[str, int | None] = {}  # last number read of each open host; None at end
        self.throttled: dict[str, dict[str, Any]] = {}

    def outcomes(self) -> Iterator[list[Outcome]]:
        """Yields outcomes as they arrive, and empty lists while hosts cool down.

        The first exception of a thread ends the iteration.
        """
        threads = [
            threading.Thread(target=self._work, daemon=True, name=f"fetch-{n}")
            for n in range(self._config.workers)
        ]
        for thread in threads:
            thread.start()
        try:
            hosts = self._ledger.pending_hosts()
            while self._feed(hosts):
                yield self._collect()
            # Outcomes that arrived between the last call and the end of the last host.
            while not self._done.empty():
                yield self._collect()
        finally:
            self._queues.close()
            deadline = time.monotonic() + _GRACE_S
            for thread in threads:
                thread.join(timeout=max(0.0, deadline - time.monotonic()))

    def cooldowns(self) -> dict[str, float]:
        """Seconds until the end of the back-offs and cool-downs, by host."""
        return self._queues.cooldowns()

    def _feed(self, hosts: Iterator[str]) -> bool:
        """Refills the queues of open hosts and opens others; False if nothing is left."""
        for host, cursor in list(self._cursors.items()):
            if self._queues.is_given_up(host):
                self._give_up(host)
            if cursor is not None and self._queues.length(host) <= PAGE_SIZE // 2:
                self._fill(host, cursor)
            if self._cursors[host] is None and not self._queues.length(host):
                self._close(host)
                del self._cursors[host]
        for host in itertools.islice(hosts, MAX_HOSTS - len(self._cursors)):
            self._queues.open(host)
            self._fill(host, 0)
        return bool(self._cursors)

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
        response = found.response
        if response in GIVEN_UP:
            self._last_trouble[task.host] = response
        # URLs that always fail come in a row at the end of a fetch and would make the host seem
        # down.
        if response is HostResponse.SERVER_ERROR and task.attempts:
            response = HostResponse.REPEATED_ERROR
        if response is HostResponse.THROTTLED:  # not the URL's fault, so it costs no attempt
            if self._queues.count_refusal(task) < MAX_REFUSALS:
                wait_s = 2.0 ** (task.refusals - 1) - 1
                self._queues.put([task], min(wait_s, _MAX_BACKOFF_S))
            else:
                reason = GIVEN_UP[HostResponse.THROTTLED]
                self._done.put(Outcome(task.url, "failed", reason, task.attempts))
        else:
            task.attempts += 1
            if found.worth_retrying and task.attempts < self._config.attempts:
                jitter = random.uniform(0.5, 1.5)
                wait_s = self._config.backoff_s * 2 ** (task.attempts - 1) * jitter
                self._queues.put([task], min(wait_s, _MAX_BACKOFF_S))
            else:
                self._done.put(_outcome(task, found))
        self._queues.finish(task, response, found.retry_after_s)

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


@dataclasses.dataclass
class Task:
    """A URL to request.

    Attributes:
      url: of the photo.
      host: of the URL.
      attempts: number of requests made.
      refusals: number of times that a host which served others in between throttled this URL.
      n_served_before: requests that the host had served when it last throttled this URL.
    """

    url: str
    host: str
    attempts: int = 0
    refusals: int = 0
    n_served_before: int = -1


class HostQueues:
    """Queues of tasks by host, filled by one thread and emptied by many; thread-safe.

    Args:
      make_limiter: called with the current time when a host is opened.
      clock: monotonic seconds.
    """

    def __init__(
        self,
        make_limiter: Callable[[float], HostLimiter],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._make_limiter, self._clock = make_limiter, clock
        self._hosts: OrderedDict[str, _Host] = OrderedDict()
        self._changed = threading.Condition()
        self._closed = False
        self._numbers = itertools.count()

    def open(self, host: str) -> None:
        """Makes the queue of a host, if it has none."""
        with self._changed:
            self._hosts.setdefault(host, _Host(self._make_limiter(self._clock())))

    def put(self, tasks: Iterable[Task], delay_s: float = 0.0) -> None:
        """Adds tasks of open hosts; `take` returns none of them before the delay has passed."""
        with self._changed:
            for task in tasks:
                entry = (self._clock() + delay_s, next(self._numbers), task)
                heapq.heappush(self._hosts[task.host].waiting, entry)
            self._changed.notify_all()

    def take(self) -> Task | None:
        """Waits for the next task whose host may get a request, in turn; None once closed."""
        with self._changed:
            while not self._closed:
                now, wake_at = self._clock(), math.inf
                for name, host in self._hosts.items():
                    ready_at = host.ready_at()
                    if ready_at <= now:
                        self._hosts.move_to_end(name)  # the other hosts come first next time
                        host.limiter.start(now)
                        host.in_flight += 1
                        return heapq.heappop(host.waiting)[2]
                    wake_at = min(wake_at, ready_at)
                self._changed.wait(None if wake_at == math.inf else min(wake_at - now, _MAX_WAIT_S))
        return None

    def finish(self, task: Task, response: HostResponse, retry_after_s: float = 0.0) -> None:
        """Ends a task that was taken; to retry it, `put` it again before this call."""
        with self._changed:
            host = self._hosts[task.host]
            host.in_flight -= 1
            host.n_served += response is HostResponse.SERVED
            host.limiter.finish(response, self._clock(), retry_after_s)
            self._changed.notify()

    def count_refusal(self, task: Task) -> int:
        """Records that a host throttled a task that was taken; returns the task's `refusals`."""
        with self._changed:
            n_served = self._hosts[task.host].n_served
            task.refusals += n_served > task.n_served_before
            task.n_served_before = n_served
            return task.refusals

    def length(self, host: str) -> int:
        """Number of a host's tasks that wait or are in flight."""
        with self._changed:
            return len(self._hosts[host].waiting) + self._hosts[host].in_flight

    def is_given_up(self, host: str) -> bool:
        """Whether the host has served nothing for too long."""
        with self._changed:
            return self._hosts[host].limiter.is_given_up(self._clock())

    def drain(self, host: str) -> list[Task]:
        """Removes and returns the tasks of a host that wait."""
        with self._changed:
            waiting, self._hosts[host].waiting = self._hosts[host].waiting, []
            return [task for _, _, task in waiting]

    def remove(self, host: str) -> HostLimiter:
        """Removes a host whose tasks have ended; returns its limiter, for the report."""
        with self._changed:
            return self._hosts.pop(host).limiter

    def cooldowns(self) -> dict[str, float]:
        """Seconds until the end of the back-offs and cool-downs, by host with waiting tasks."""
        with self._changed:
            now = self._clock()
            until = {
                name: host.limiter.cooldown_until(now)
                for name, host in self._hosts.items()
                if host.waiting
            }
            return {name: at - now for name, at in until.items() if at is not None}

    def close(self) -> None:
        """Lets `take` return None in every thread."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


# Longest wait at the end of a fetch for threads that are in a request. They are daemons, and the
# next fetch deletes their unfinished files.
_GRACE_S = 1.0
_POLL_S = 0.2
_MAX_BACKOFF_S = 60.0
_MAX_WAIT_S = 60.0


@dataclasses.dataclass
class _Host:
    limiter: HostLimiter
    waiting: list[tuple[float, int, Task]] = dataclasses.field(default_factory=list)
    in_flight: int = 0
    n_served: int = 0

    def ready_at(self) -> float:
        return max(self.waiting[0][0], self.limiter.ready_at()) if self.waiting else math.inf


def _outcome(task: Task, found: Attempt) -> Outcome:
    if found.sha256 is not None:
        return Outcome(
            task.url, "ok", None, task.attempts, found.n_bytes, found.sha256, found.final_url
        )
    return Outcome(task.url, "gone" if found.gone else "failed", found.reason, task.attempts)
