"""Which url a free thread asks next: one queue a host, each at the pace of its gate, so that no host holds up another."""

from __future__ import annotations

import dataclasses
import heapq
import itertools
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable

from imagefec.data.fetch.rate_limit import Answer, HostGate


@dataclasses.dataclass
class Task:
    """A url to ask, how many attempts it has spent, and how often it was refused by a host that served others in between."""

    url: str
    host: str
    attempts: int = 0
    refusals: int = 0
    n_served_before: int = -1  # by the host when it last refused this url


class HostQueues:
    """Queues of tasks by host for one thread that fills and many that take; all methods may be called from any thread.

    Args:
      make_gate: called with the clock's time when a host is opened.
      clock: monotonic seconds.
    """

    def __init__(
        self, make_gate: Callable[[float], HostGate], clock: Callable[[], float] = time.monotonic
    ):
        self._make_gate, self._clock = make_gate, clock
        self._hosts: OrderedDict[str, _Host] = OrderedDict()
        self._changed = threading.Condition()
        self._closed = False
        self._numbers = itertools.count()

    def open(self, host: str) -> None:
        """Makes a host's queue; opening it twice is no harm."""
        with self._changed:
            self._hosts.setdefault(host, _Host(self._make_gate(self._clock())))

    def put(self, tasks: Iterable[Task], delay_s: float = 0.0) -> None:
        """Adds tasks of open hosts; none is handed out before the delay is over."""
        with self._changed:
            for task in tasks:
                heapq.heappush(
                    self._hosts[task.host].waiting,
                    (self._clock() + delay_s, next(self._numbers), task),
                )
            self._changed.notify_all()

    def take(self) -> Task | None:
        """The next task whose host may be asked, hosts in turn; waits for one. None once the queues are closed."""
        with self._changed:
            while not self._closed:
                now, wake_at = self._clock(), math.inf
                for name, host in self._hosts.items():
                    ready_at = host.ready_at(now)
                    if ready_at <= now:
                        self._hosts.move_to_end(name)  # the others come first next time
                        host.gate.start(now)
                        host.under_way += 1
                        return heapq.heappop(host.waiting)[2]
                    wake_at = min(wake_at, ready_at)
                self._changed.wait(
                    None if wake_at == math.inf else min(wake_at - now, _LONGEST_WAIT_S)
                )
        return None

    def end(self, task: Task, answer: Answer, retry_after_s: float = 0.0) -> None:
        """A task that was taken has been asked; to ask it again, put it once more before this call."""
        with self._changed:
            host = self._hosts[task.host]
            host.under_way -= 1
            host.n_served += answer is Answer.SERVED
            host.gate.end(answer, self._clock(), retry_after_s)
            self._changed.notify()

    def refused(self, task: Task) -> int:
        """Notes that a host told a task that was taken to wait; returns the task's `refusals`."""
        with self._changed:
            n_served = self._hosts[task.host].n_served
            task.refusals += n_served > task.n_served_before
            task.n_served_before = n_served
            return task.refusals

    def length(self, host: str) -> int:
        """Tasks of a host that wait or are under way."""
        with self._changed:
            return len(self._hosts[host].waiting) + self._hosts[host].under_way

    def is_given_up(self, host: str) -> bool:
        """Whether the host has served nothing for too long."""
        with self._changed:
            return self._hosts[host].gate.is_given_up(self._clock())

    def drain(self, host: str) -> list[Task]:
        """Takes back the tasks of a host that wait."""
        with self._changed:
            waiting, self._hosts[host].waiting = self._hosts[host].waiting, []
            return [task for _, _, task in waiting]

    def forget(self, host: str) -> HostGate:
        """Ends a host whose tasks are done; its gate is given back, for what it knows."""
        with self._changed:
            return self._hosts.pop(host).gate

    def waits(self) -> dict[str, float]:
        """Seconds for which hosts are left alone because they refused or did not answer, by host."""
        with self._changed:
            now = self._clock()
            until = {
                name: host.gate.waits_until(now)
                for name, host in self._hosts.items()
                if host.waiting
            }
            return {name: at - now for name, at in until.items() if at is not None}

    def close(self) -> None:
        """Lets the waiting threads go."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


_LONGEST_WAIT_S = 60.0


@dataclasses.dataclass
class _Host:
    gate: HostGate
    waiting: list[tuple[float, int, Task]] = dataclasses.field(default_factory=list)
    under_way: int = 0
    n_served: int = 0

    def ready_at(self, now: float) -> float:
        return max(self.waiting[0][0], self.gate.ready_at(now)) if self.waiting else math.inf
