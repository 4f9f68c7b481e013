"""One thread that reads all pictures, each client in turn."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Busy(Exception):
    """Too many pictures wait already."""


class Worker:
    """Runs calls in one thread, first come, first served.

    A client that has at most one call at a time thus gets its turn after every other client had
    one: nobody is starved, and nobody waits for more than one picture of each.
    """

    def __init__(self, max_waiting: int) -> None:
        """Makes the thread.

        Args:
          max_waiting: calls that may wait or run at the same time.
        """
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="faces")
        self._max_waiting = max_waiting
        self._waiting = 0
        self._lock = threading.Lock()

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs a call in the thread and returns its result.

        Raises:
          Busy: max_waiting calls wait already.
        """
        with self._lock:
            if self._waiting >= self._max_waiting:
                raise Busy
            self._waiting += 1
        future = self._thread.submit(call, *args, **kwargs)
        future.add_done_callback(self._done)
        return await asyncio.wrap_future(future)

    def _done(self, _: object) -> None:
        with self._lock:
            self._waiting -= 1

    def close(self) -> None:
        """Ends the thread; calls that wait are dropped."""
        self._thread.shutdown(wait=False, cancel_futures=True)
