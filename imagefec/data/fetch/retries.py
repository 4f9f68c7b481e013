"""What follows a request: an outcome, or another request for the URL, and when."""

from __future__ import annotations

import random

from imagefec.data.fetch.config import FetchConfig
from imagefec.data.fetch.download import Attempt
from imagefec.data.fetch.pace.host_queues import HostQueues, Task
from imagefec.data.fetch.pace.rate_limit import HostResponse
from imagefec.data.fetch.photo_cache.ledger import Outcome

MAX_BACKOFF_S = 60.0
RATE_LIMITED = "rate limited"


def settle(task: Task, found: Attempt, queues: HostQueues, config: FetchConfig) -> Outcome | None:
    """Ends a request: returns the outcome of its URL, or None if the URL is queued again.

    Args:
      task: taken from `queues`.
      found: result of the request.
      queues: where the task goes for another request.
      config: of the fetch.
    """
    if found.response is HostResponse.THROTTLED:  # not the URL's fault, so it costs no attempt
        if queues.refuse(task, found.retry_after_s):
            return None
        return Outcome(task.url, "failed", RATE_LIMITED, task.attempts)
    response, outcome = found.response, None
    # URLs that always fail come in a row at the end of a fetch and would make the host seem down.
    if response is HostResponse.SERVER_ERROR and task.attempts:
        response = HostResponse.REPEATED_ERROR
    task.attempts += 1
    if found.worth_retrying and task.attempts < config.attempts:
        jitter = random.uniform(0.5, 1.5)
        wait_s = config.backoff_s * 2 ** (task.attempts - 1) * jitter
        queues.put([task], min(wait_s, MAX_BACKOFF_S))
    else:
        outcome = _outcome(task, found)
    queues.finish(task, response)
    return outcome


def _outcome(task: Task, found: Attempt) -> Outcome:
    if found.sha256 is not None:
        return Outcome(
            task.url, "ok", None, task.attempts, found.n_bytes, found.sha256, found.final_url
        )
    return Outcome(task.url, "gone" if found.gone else "failed", found.reason, task.attempts)
