"""The pace of a fetch from simulated hosts, against the best possible.

    python benchmarks/fetch_pace.py

Prints a Markdown table. The code is that of `imagefec fetch` (queues, limits, retries) without its
threads and network, on a simulated clock: the hours that it simulates take seconds.
"""

import argparse
import dataclasses
import heapq
import itertools
import math
import random

import urllib3
from simulated_hosts import CASES, OK

from imagefec.data.fetch.config import FetchConfig
from imagefec.data.fetch.download import Attempt
from imagefec.data.fetch.failures import failure_of_status
from imagefec.data.fetch.host_queues import HostQueues, Task
from imagefec.data.fetch.rate_limit import HostLimiter, HostResponse
from imagefec.data.fetch.retries import settle
from imagefec.data.fetch.scheduler import PAGE_SIZE

HOST = "host"


@dataclasses.dataclass
class Fetched:
    """Result of a simulated fetch.

    Attributes:
      seconds: until the last outcome.
      n_ok: photos.
      n_failed: URLs without a photo.
      n_requests: requests sent.
      n_refused: requests that the host did not serve.
      ended_at: seconds of each outcome, in order, and whether it is a photo.
      starts: seconds of each request, in order.
    """

    seconds: float = 0.0
    n_ok: int = 0
    n_failed: int = 0
    n_requests: int = 0
    n_refused: int = 0
    ended_at: list = dataclasses.field(default_factory=list)
    starts: list = dataclasses.field(default_factory=list)
    requests: list = dataclasses.field(default_factory=list)


def fetch(host, n_photos, config=None, seed=0):
    """Fetches photos 0, 1, ... of a simulated host.

    Args:
      host: from `simulated_hosts`.
      n_photos: number of URLs.
      config: of the fetch; None for the defaults.
      seed: of the jitter.
    """
    config, result = config or FetchConfig(), Fetched()
    random.seed(seed)
    now, numbers, urls = 0.0, itertools.count(), iter(range(n_photos))
    queues = HostQueues(
        lambda at: HostLimiter(at, config.workers, config.max_rate_per_host, config.give_up_s),
        config.workers,
        lambda: now,
    )
    queues.open(HOST)
    in_flight = []
    while True:
        if queues.n_new(HOST) <= PAGE_SIZE // 2 and queues.length(HOST) < 3000:
            queues.put(Task(str(n), HOST) for n in itertools.islice(urls, PAGE_SIZE))
        if queues.is_given_up(HOST):
            result.n_failed += len(queues.drain(HOST))
            result.n_failed += sum(1 for _ in urls)
        task, wake_at = queues.take_now()
        if task is not None:
            host.in_flight += 1
            answer = host.answer(now, int(task.url))
            result.n_requests += 1
            result.n_refused += answer.status != OK
            result.starts.append(now)
            result.requests.append((now, int(task.url), answer))
            heapq.heappush(in_flight, (now + answer.seconds, next(numbers), task, answer))
            continue
        if not in_flight and wake_at == math.inf:
            result.limiter = queues.remove(HOST)
            result.seconds = now
            return result
        if in_flight and in_flight[0][0] <= wake_at:
            now, _, task, answer = heapq.heappop(in_flight)
            host.in_flight -= 1
            outcome = settle(task, _attempt(answer), queues, config)
            if outcome is not None:
                result.n_ok += outcome.status == "ok"
                result.n_failed += outcome.status != "ok"
        else:
            now = min(wake_at, now + 1.0)


def _attempt(answer):
    if answer.status == OK:
        return Attempt(HostResponse.SERVED, 1, "0")
    headers = {} if answer.retry_after is None else {"Retry-After": answer.retry_after}
    failed = failure_of_status(urllib3.HTTPResponse(status=answer.status, headers=headers))
    return Attempt(
        failed.response,
        reason=failed.reason,
        gone=failed.gone,
        worth_retrying=failed.worth_retrying,
        retry_after_s=failed.retry_after_s,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="part of a case's name")
    arguments = parser.parse_args()
    print("| host | photos | lost | requests refused | seconds | images/s | best possible | share of it |")
    print("|---|---|---|---|---|---|---|---|")
    for case in CASES:
        if arguments.only not in case.name:
            continue
        host = case.make()
        found = fetch(host, case.n_photos)
        n_best = host.n_best(case.n_photos)
        best = n_best / host.best_s(n_best, FetchConfig().workers)
        pace = found.n_ok / found.seconds
        print(f"| {case.name} | {case.n_photos} | {n_best - found.n_ok} | {found.n_refused} | {found.seconds:.0f} | {pace:.1f} | {best:.1f} | {pace / best:.0%} |", flush=True)


if __name__ == "__main__":
    main()
