"""Which task comes next, on a simulated clock."""

from imagefec.data.fetch.pace.host_queues import SLOW_S, HostQueues, Task
from imagefec.data.fetch.pace.rate_limit import INITIAL_CONCURRENCY, HostLimiter, HostResponse


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def make_queues(workers, hosts, n_urls=50):
    clock = Clock()
    queues = HostQueues(lambda now: HostLimiter(now, workers), workers, clock)
    for host in hosts:
        queues.open(host)
        queues.put(Task(f"http://{host}/{n}", host) for n in range(n_urls))
    return queues, clock


def take_all(queues):
    """Takes tasks until `take` would wait, which here ends it."""
    taken = []
    wait = queues._changed.wait
    queues._changed.wait = lambda *_: setattr(queues, "_closed", True)
    while (task := queues.take()) is not None:
        taken.append(task)
    queues._changed.wait, queues._closed = wait, False
    return taken


def hosts_of(tasks):
    return sorted(task.host for task in tasks)


def test_a_host_gets_one_request_until_it_has_answered():
    queues, _ = make_queues(16, ["a", "b"])
    first = take_all(queues)
    assert hosts_of(first) == ["a", "b"]
    queues.finish(next(task for task in first if task.host == "a"), HostResponse.SERVED)
    assert hosts_of(take_all(queues)) == ["a"] * INITIAL_CONCURRENCY


def test_a_host_that_refuses_or_has_an_error_has_answered():
    for response in (HostResponse.SERVER_ERROR, HostResponse.SERVED):
        queues, _ = make_queues(16, ["a"])
        queues.finish(*take_all(queues), response)
        assert len(take_all(queues)) > 1
    queues, _ = make_queues(16, ["a"])
    queues.finish(*take_all(queues), HostResponse.UNREACHABLE)
    assert len(take_all(queues)) == 1


def test_requests_that_wait_long_leave_their_room_to_others():
    queues, clock = make_queues(2, ["a", "b", "c", "d"])
    assert hosts_of(take_all(queues)) == ["a", "b"] and queues.n_threads() == 2
    clock.now = SLOW_S
    assert queues.n_threads() == 4
    assert hosts_of(take_all(queues)) == ["c", "d"]


def test_slow_hosts_together_never_hold_more_than_the_workers():
    # Four slow hosts and a healthy one: the failing ones get the second group's two places only.
    queues, clock = make_queues(2, ["a", "b", "c", "d", "ok"])
    taken = []
    for _ in range(3):
        taken += take_all(queues)
        clock.now += SLOW_S
    assert hosts_of(taken) == ["a", "b", "c", "d", "ok"]
    for task in taken:
        is_healthy = task.host == "ok"
        queues.finish(task, HostResponse.SERVED if is_healthy else HostResponse.UNREACHABLE)
    assert hosts_of(take_all(queues)) == ["a", "b", "ok", "ok"]


def test_a_single_host_may_use_all_workers():
    queues, clock = make_queues(8, ["a"], n_urls=200)
    for _ in range(100):
        for task in (taken := take_all(queues)):
            queues.finish(task, HostResponse.SERVED)
        if len(taken) == 8:
            break
    assert len(taken) == 8
    assert len(take_all(queues)) == 8
    clock.now += SLOW_S  # slow requests of a host that is alone: still eight
    assert take_all(queues) == []
