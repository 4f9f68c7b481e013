"""The pace of a fetch from simulated hosts, against the best possible.

    python benchmarks/fetch_pace.py

Prints a Markdown table. The code is that of `imagefec fetch` (queues, limits, retries) without its
threads and its network, on a simulated clock: hours take seconds.
"""

import argparse
import dataclasses
import heapq
import itertools
import random

import urllib3
from fetch_pace_cases import CASES, Case
from simulated_hosts import OK, Answer, Host

from imagefec.data.fetch.config import FetchConfig
from imagefec.data.fetch.download import Attempt
from imagefec.data.fetch.network.failures import failure_of_status
from imagefec.data.fetch.pace.host_queues import HostQueues, Task
from imagefec.data.fetch.pace.rate_limit import HostLimiter, HostResponse
from imagefec.data.fetch.retries import settle
from imagefec.data.fetch.scheduler import MAX_LENGTH, PAGE_SIZE

HOST = "host"
POLL_S = 1.0  # between looks whether the host is given up


@dataclasses.dataclass
class Request:
    """A request of a simulated fetch, for photo `number`, sent and answered at these seconds."""

    number: int
    sent_at: float
    ended_at: float
    status: int
    retry_after: str | None


class Fetch:
    """A fetch of photos 0, 1, ... from a simulated host.

    Args:
      host: from `simulated_hosts`.
      n_photos: number of URLs.
      config: of the fetch.

    Attributes:
      seconds: until the last outcome.
      n_ok: photos.
      n_failed: URLs without a photo.
      requests: list of Request, in the order in which they were sent.
      limiter: of the host, at the end.
    """

    def __init__(self, host: Host, n_photos: int, config: FetchConfig | None = None) -> None:
        self.seconds, self.n_ok, self.n_failed = 0.0, 0, 0
        self.requests: list[Request] = []
        self._host, self._config = host, config or FetchConfig()
        self._urls = iter(range(n_photos))
        self._in_flight: list[tuple[float, int, Task, Answer]] = []
        self._queues = HostQueues(self._limiter, self._config.workers, lambda: self.seconds)
        self._queues.open(HOST)
        random.seed(0)  # of the jitter
        while self._feed():
            task, wake_at = self._queues.take_now()
            if task is not None:
                self._start(task)
            elif self._in_flight and self._in_flight[0][0] <= wake_at:
                self._finish()
            else:
                self.seconds = min(wake_at, self.seconds + POLL_S)
        self.limiter = self._queues.remove(HOST)

    @property
    def n_refused(self) -> int:
        """Number of requests that the host did not serve."""
        return sum(request.status != OK for request in self.requests)

    def _limiter(self, now: float) -> HostLimiter:
        config = self._config
        return HostLimiter(now, config.workers, config.max_rate_per_host, config.give_up_s)

    def _feed(self) -> bool:
        """As FetchRun does; False if nothing is left."""
        queues = self._queues
        if queues.is_given_up(HOST):
            self.n_failed += len(queues.drain(HOST)) + sum(1 for _ in self._urls)
        elif queues.n_new(HOST) <= PAGE_SIZE // 2 and queues.length(HOST) <= MAX_LENGTH - PAGE_SIZE:
            queues.put(Task(str(n), HOST) for n in itertools.islice(self._urls, PAGE_SIZE))
        return queues.length(HOST) > 0

    def _start(self, task: Task) -> None:
        self._host.in_flight += 1
        number = int(task.url)
        answer = self._host.answer(self.seconds, number)
        ended_at = self.seconds + answer.seconds
        self.requests.append(
            Request(number, self.seconds, ended_at, answer.status, answer.retry_after)
        )
        heapq.heappush(self._in_flight, (ended_at, len(self.requests), task, answer))

    def _finish(self) -> None:
        self.seconds, _, task, answer = heapq.heappop(self._in_flight)
        self._host.in_flight -= 1
        outcome = settle(task, _attempt(answer), self._queues, self._config)
        if outcome is not None:
            self.n_ok += outcome.status == "ok"
            self.n_failed += outcome.status != "ok"


def fetch_case(case: Case) -> tuple[Fetch, int, float]:
    """Fetches the photos of a case; returns the Fetch, photos lost, and best possible images/s."""
    host = case.make()
    n_best = host.n_best(case.n_photos)
    best_rate = n_best / host.best_s(n_best, FetchConfig().workers)
    found = Fetch(host, case.n_photos)
    return found, n_best - found.n_ok, best_rate


def _attempt(answer: Answer) -> Attempt:
    if answer.status == OK:
        return Attempt(HostResponse.SERVED, 1, "0")
    headers = {} if answer.retry_after is None else {"Retry-After": answer.retry_after}
    response = urllib3.HTTPResponse(status=answer.status, headers=headers)
    return Attempt.of_failure(failure_of_status(response))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="part of the names of the cases to run")
    only = parser.parse_args().only
    print("| host | photos | lost | refused | seconds | images/s | best possible | share |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for case in CASES:
        if only in case.name:
            found, n_lost, best_rate = fetch_case(case)
            rate = found.n_ok / found.seconds
            print(
                f"| {case.name} | {case.n_photos} | {n_lost} | {found.n_refused} | "
                f"{found.seconds:.0f} | {rate:.1f} | {best_rate:.1f} | {rate / best_rate:.0%} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
