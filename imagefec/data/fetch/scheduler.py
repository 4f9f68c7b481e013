"""The fetch at work: feeds the hosts' queues from the ledger, lets threads ask, and yields what came of it."""

from __future__ import annotations

import contextlib
import dataclasses
import queue
import random
import threading
import time
from collections.abc import Callable, Iterator

from imagefec.data.fetch.download import Attempt
from imagefec.data.fetch.host_queues import HostQueues, Task
from imagefec.data.fetch.ledger import Ledger, Outcome
from imagefec.data.fetch.rate_limit import Answer, HostGate

MOST_HOSTS = 256  # asked side by side
PAGE = 256  # urls of one host read ahead
MOST_REFUSALS = 10  # of one url by a host that serves others in between
GIVEN_UP = {
    Answer.THROTTLED: "rate limited",
    Answer.BROKEN: "host does not answer",
    Answer.FAULTY: "host answers with errors",
}


@dataclasses.dataclass(frozen=True)
class Pace:
    """How hard to try.

    `workers` threads; `attempts` a url where asking again may help, the wait between them beginning
    with `backoff_s` and doubling; `max_rate_per_host` requests/s at most, None for no ceiling; a
    host that serves nothing for `give_up_s` is asked no more in this run.
    """

    workers: int
    attempts: int
    backoff_s: float
    max_rate_per_host: float | None
    give_up_s: float


class FetchRun:
    """Asks for all that the ledger holds as to be asked.

    Args:
      ledger: read in the thread that iterates `outcomes`.
      attempt: asks for one url, in any thread.
      pace: how hard to try.
    """

    def __init__(self, ledger: Ledger, attempt: Callable[[str], Attempt], pace: Pace):
        self._ledger, self._attempt, self._pace = ledger, attempt, pace
        self._queues = HostQueues(
            lambda now: HostGate(now, pace.workers, pace.max_rate_per_host, pace.give_up_s)
        )
        self._done: queue.SimpleQueue[Outcome | BaseException] = queue.SimpleQueue()
        self._last_trouble: dict[str, Answer] = {}  # of hosts that are being asked
        self.throttled: dict[str, dict] = {}  # what is known of hosts that refused, for the report

    def outcomes(self) -> Iterator[list[Outcome]]:
        """Yields outcomes as they come, all that are there at a time, and [] now and then while hosts are waited for.

        The first exception of a thread ends it.
        """
        threads = [
            threading.Thread(target=self._work, daemon=True, name=f"fetch-{n}")
            for n in range(self._pace.workers)
        ]
        for thread in threads:
            thread.start()
        try:
            hosts, cursors = self._ledger.asked_hosts(), {}
            while self._feed(hosts, cursors):
                yield self._take_all()
            # What the threads noted between the last look and the end of the last host.
            while not self._done.empty():
                yield self._take_all()
        finally:
            self._queues.close()
            deadline = time.monotonic() + _GRACE_S
            for thread in threads:
                thread.join(timeout=max(0.0, deadline - time.monotonic()))

    def waits(self) -> dict[str, float]:
        """Seconds for which hosts are being left alone, by host."""
        return self._queues.waits()

    def _feed(self, hosts: Iterator[str], cursors: dict[str, int | None]) -> bool:
        """Fills the queues of the open hosts and opens others; False once there is nothing left to ask."""
        for host in list(cursors):
            if self._queues.is_given_up(host):
                self._give_up(host)
            if cursors[host] is not None and self._queues.length(host) <= PAGE // 2:
                self._fill(host, cursors)
            if cursors[host] is None and not self._queues.length(host):
                self._close(host)
                del cursors[host]
        while len(cursors) < MOST_HOSTS and (host := next(hosts, None)) is not None:
            self._queues.open(host)
            cursors[host] = 0
            self._fill(host, cursors)
        return bool(cursors)

    def _fill(self, host: str, cursors: dict[str, int | None]) -> None:
        rows = self._ledger.asked_of(host, cursors[host], PAGE)
        cursors[host] = rows[-1][0] if len(rows) == PAGE else None
        self._queues.put(Task(url, host) for _, url in rows)

    def _give_up(self, host: str) -> None:
        """Ends what waits of a host; what is not read yet is read by the next calls, page by page."""
        reason = GIVEN_UP[self._last_trouble.get(host, Answer.BROKEN)]
        for task in self._queues.drain(host):
            self._done.put(Outcome(task.url, "failed", reason, task.attempts))

    def _close(self, host: str) -> None:
        gate, now = self._queues.forget(host), time.monotonic()
        self._last_trouble.pop(host, None)
        if gate.n_throttled or gate.is_given_up(now):
            rate = gate.rate(now)
            self.throttled[host] = {
                "n_throttled": gate.n_throttled,
                "given_up": gate.is_given_up(now),
                "rate_per_s": round(rate, 2) if rate < float("inf") else None,
            }

    def _work(self) -> None:
        while (task := self._queues.take()) is not None:
            try:
                self._ask(task)
            except BaseException as error:
                self._done.put(error)
                self._queues.end(task, Answer.SERVED)

    def _ask(self, task: Task) -> None:
        found = self._attempt(task.url)
        # Urls that are broken for good come back in a row at a run's end, and would make the host
        # seem down.
        answer = Answer.UNCLEAR if found.answer is Answer.FAULTY and task.attempts else found.answer
        if found.answer is not Answer.SERVED:
            self._last_trouble[task.host] = found.answer
        if (
            found.answer is Answer.THROTTLED and self._queues.refused(task) < MOST_REFUSALS
        ):  # no fault of the url's
            self._queues.put([task], min(2.0 ** (task.refusals - 1) - 1, _LONGEST_BACKOFF_S))
        elif found.answer is Answer.THROTTLED:
            self._done.put(Outcome(task.url, "failed", GIVEN_UP[Answer.THROTTLED], task.attempts))
        else:
            task.attempts += 1
            if found.worth_retrying and task.attempts < self._pace.attempts:
                wait_s = self._pace.backoff_s * 2 ** (task.attempts - 1) * random.uniform(0.5, 1.5)
                self._queues.put([task], min(wait_s, _LONGEST_BACKOFF_S))
            else:
                self._done.put(_outcome(task, found))
        self._queues.end(task, answer, found.retry_after_s)

    def _take_all(self) -> list[Outcome]:
        found = []
        with contextlib.suppress(queue.Empty):
            found.append(self._done.get(timeout=_LOOK_EVERY_S))
            while True:
                found.append(self._done.get_nowait())
        outcomes = [item for item in found if isinstance(item, Outcome)]
        errors = [item for item in found if not isinstance(item, Outcome)]
        if errors and not outcomes:
            raise errors[0]
        if errors:
            self._done.put(errors[0])  # for the next call: what came before it is recorded first
        return outcomes


_GRACE_S = (
    1.0  # for threads amid a request; they are daemons, and the next fetch clears their half files
)
_LOOK_EVERY_S = 0.2
_LONGEST_BACKOFF_S = 60.0


def _outcome(task: Task, found: Attempt) -> Outcome:
    if found.sha256 is not None:
        return Outcome(
            task.url, "ok", None, task.attempts, found.n_bytes, found.sha256, found.final_url
        )
    return Outcome(task.url, "gone" if found.gone else "failed", found.reason, task.attempts)
