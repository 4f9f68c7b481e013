"""Queues of URLs by host, and which of them comes next: a slow host does not delay another.

Requests are counted in two groups. The first has those to hosts that answer, the second those that
keep their thread waiting: requests in flight for over SLOW_S, and all requests to a host that has
such a request or failed to answer the last one. A group has room for as many requests as there are
workers, so hosts that do not answer never take the room of those that do. A host gets one request
at a time until it has answered once.
"""

from __future__ import annotations

import dataclasses
import heapq
import itertools
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable

from imagefec.data.fetch.pace.rate_limit import HostLimiter, HostResponse

SLOW_S = 2.0
# New hosts may be slow: they may not fill all threads with slow requests.
MAX_SLOW_TO_TRY_A_HOST = 6  # per worker
MAX_THREADS, MAX_EXTRA_THREADS = 8, 256  # per worker, and above the number of workers


@dataclasses.dataclass
class Task:
    """A URL to request.

    Attributes:
      url: of the photo.
      host: of the URL.
      attempts: number of requests made.
      refusals: number of times that the host throttled this URL, not counting those after which it
        served no other.
      n_served_before: requests that the host had served when it last throttled this URL.
      slow_at: time from which its request in flight counts as slow.
      is_new: whether it has not been requested.
    """

    url: str
    host: str
    attempts: int = 0
    refusals: int = 0
    n_served_before: int = -1
    slow_at: float = math.inf
    is_new: bool = True


class HostQueues:
    """Queues of tasks by host, filled by one thread and emptied by many; thread-safe.

    Args:
      make_limiter: called with the current time when a host is opened.
      workers: number of requests in flight for which each of the two groups has room.
      clock: monotonic seconds.
    """

    def __init__(
        self,
        make_limiter: Callable[[float], HostLimiter],
        workers: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._make_limiter, self._workers, self._clock = make_limiter, workers, clock
        self._fast: dict[int, Task] = {}  # in flight, by identity, oldest first
        self._n_slow = 0  # in flight
        self._hosts: OrderedDict[str, _Host] = OrderedDict()
        self._changed = threading.Condition()  # its lock is reentrant
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
                self._hosts[task.host].n_new += task.is_new
                entry = (self._clock() + delay_s, next(self._numbers), task)
                heapq.heappush(self._hosts[task.host].waiting, entry)
            self._changed.notify_all()

    def take(self) -> Task | None:
        """Waits for the next task whose host may get a request, in turn; None once closed."""
        with self._changed:
            while not self._closed:
                now = self._clock()
                task, wake_at = self._next(now)
                if task is not None:
                    return task
                self._changed.wait(None if wake_at == math.inf else min(wake_at - now, _MAX_WAIT_S))
        return None

    def take_now(self) -> tuple[Task | None, float]:
        """The next task, without waiting.

        Returns:
          The task and the current time; or None and the time from which there may be one, infinity
          if that depends on a request in flight.
        """
        with self._changed:
            return self._next(self._clock())

    def finish(self, task: Task, response: HostResponse) -> None:
        """Ends a task that was taken; to retry it, `put` it again before this call."""
        with self._changed:
            self._end(task, response)

    def refuse(self, task: Task, retry_after_s: float = 0.0) -> bool:
        """Ends a task that its host refused; returns whether it was queued again."""
        with self._changed:
            host = self._hosts[task.host]
            is_urls = self._end(task, HostResponse.THROTTLED, retry_after_s)
            task.refusals += is_urls or host.n_served > task.n_served_before
            task.n_served_before = host.n_served
            is_last = host.n_new == 0
            wait_s = host.limiter.url_wait_s(task.refusals, retry_after_s, is_last)
            if wait_s is not None:
                self.put([task], wait_s)
            return wait_s is not None

    def n_threads(self) -> int:
        """Number of threads that may be of use now."""
        with self._changed:
            self._count_slow(self._clock())
            n_tasks = sum(len(host.waiting) + host.in_flight for host in self._hosts.values())
            n_slow = min(self._n_slow, (MAX_THREADS - 1) * self._workers, MAX_EXTRA_THREADS)
            return min(self._workers + n_slow, n_tasks)

    def length(self, host: str) -> int:
        """Number of a host's tasks that wait or are in flight."""
        with self._changed:
            return len(self._hosts[host].waiting) + self._hosts[host].in_flight

    def n_new(self, host: str) -> int:
        """Number of a host's tasks that wait and have not been requested."""
        with self._changed:
            return self._hosts[host].n_new

    def is_given_up(self, host: str) -> bool:
        """Whether the host has served nothing for too long."""
        with self._changed:
            return self._hosts[host].limiter.is_given_up(self._clock())

    def drain(self, host: str) -> list[Task]:
        """Removes and returns the tasks of a host that wait."""
        with self._changed:
            waiting, self._hosts[host].waiting = self._hosts[host].waiting, []
            self._hosts[host].n_new = 0
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

    def _next(self, now: float) -> tuple[Task | None, float]:
        wake_at = self._count_slow(now)
        for name, host in self._hosts.items():
            ready_at = host.ready_at()
            if ready_at > now:
                wake_at = min(wake_at, ready_at)
            elif self._has_room_for(host):
                self._hosts.move_to_end(name)  # the other hosts come first next time
                return self._start(host, now), now
        return None, wake_at

    def _count_slow(self, now: float) -> float:
        """Moves requests that became slow to their group; returns when the next one will."""
        for key, task in list(self._fast.items()):
            if task.slow_at > now:
                return task.slow_at
            del self._fast[key]
            self._n_slow += 1
            self._hosts[task.host].n_slow += 1
        return math.inf

    def _end(self, task: Task, response: HostResponse, retry_after_s: float = 0.0) -> bool:
        host = self._hosts[task.host]
        host.in_flight -= 1
        if self._fast.pop(id(task), None) is None:
            self._n_slow -= 1
            host.n_slow -= 1
        was_trusted = host.has_answered and not host.is_slow and not host.limiter.is_probing
        host.is_silent = response is HostResponse.UNREACHABLE
        host.has_answered |= not host.is_silent
        host.n_served += response is HostResponse.SERVED
        is_urls = host.limiter.finish(response, self._clock(), retry_after_s, task.refusals)
        # A host that has just answered may get several requests.
        self._changed.notify(1 if was_trusted else len(self._fast) + self._workers)
        return is_urls

    def _has_room_for(self, host: _Host) -> bool:
        if host.is_slow:
            return self._n_slow < self._workers
        if len(self._fast) >= self._workers:
            return False
        return host.has_answered or self._n_slow < MAX_SLOW_TO_TRY_A_HOST * self._workers

    def _start(self, host: _Host, now: float) -> Task:
        task = heapq.heappop(host.waiting)[2]
        host.n_new -= task.is_new
        task.is_new = False
        task.slow_at = now + SLOW_S
        if host.is_slow:
            host.n_slow += 1
            self._n_slow += 1
        else:
            self._fast[id(task)] = task
        host.limiter.start(now)
        host.in_flight += 1
        return task


_MAX_WAIT_S = 60.0


@dataclasses.dataclass
class _Host:
    limiter: HostLimiter
    waiting: list[tuple[float, int, Task]] = dataclasses.field(default_factory=list)
    n_new: int = 0  # of `waiting`, not yet requested
    in_flight: int = 0
    n_served: int = 0
    n_slow: int = 0
    has_answered: bool = False
    is_silent: bool = False  # did not answer the last request

    @property
    def is_slow(self) -> bool:
        return self.n_slow > 0 or self.is_silent

    def ready_at(self) -> float:
        if not self.waiting or (self.in_flight and not self.has_answered):
            return math.inf
        return max(self.waiting[0][0], self.limiter.ready_at())
