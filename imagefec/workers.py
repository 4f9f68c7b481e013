"""Pools of worker processes that leave ctrl-C to their parent and end when it ends."""

import contextlib
import multiprocessing
import multiprocessing.connection
import multiprocessing.context
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from imagefec.cpu import cpu_count
from imagefec.errors import UserError
from imagefec.process import children_ignore_ctrl_c

MOST_WORKERS = 1024  # more would exhaust processes and memory of any machine
_END_S = 10  # at most for a pool's thread, once its processes are gone


def checked_workers(workers: int | None) -> int | None:
    """Returns a requested number of worker processes, None for no request.

    Raises:
      UserError: more than MOST_WORKERS are requested.
      ValueError: it is not an integer of 1 or more.
    """
    if workers is None:
        return None
    if not isinstance(workers, int) or isinstance(workers, bool) or workers < 1:
        raise ValueError(f"workers must be None or an integer of 1 or more, found {workers!r}")
    if workers > MOST_WORKERS:
        raise UserError(
            f"--workers is {workers}; allowed are 1 to {MOST_WORKERS} processes. This process may "
            f"use {cpu_count()} cores, and more workers than cores are no faster."
        )
    return workers


@contextlib.contextmanager
def worker_pool(
    n_workers: int,
    work: str,
    prepare: Callable[..., None] | None = None,
    arguments: tuple[Any, ...] = (),
) -> Iterator[ProcessPoolExecutor]:
    """Yields a pool of processes; if the block ends with an error, they are killed at once.

    They are spawned, never forked: the caller may run threads of TensorFlow or JAX, which do not
    survive a fork. What they write must be complete or absent after a kill.

    Args:
      n_workers: number of processes, started when they are first needed.
      work: what the workers do, for the message: "crop".
      prepare: called in each process before its first task.
      arguments: of `prepare`.

    Raises:
      UserError: a process died, killed for lack of memory for example.
    """
    context = _Context()
    pool = ProcessPoolExecutor(n_workers, context, _start, (prepare, arguments))
    try:
        yield pool
    except BrokenProcessPool:
        raise UserError(
            f"a worker process of {work} ended early: it was killed, for lack of memory perhaps, "
            f'or the script that called {work} lacks the `if __name__ == "__main__":` guard. Run '
            "again with fewer --workers (1 starts no other process). Finished work is not lost."
        ) from None
    except BaseException:
        # Tasks are cancelled before the workers die: until Python 3.12 the pool's thread prints a
        # traceback when a worker dies and the caller's `map` has cancelled a task by itself.
        manager = getattr(pool, "_executor_manager_thread", None)
        pool.shutdown(wait=False, cancel_futures=True)
        context.kill()
        # A later shutdown does not wait for this thread either, and multiprocessing warns of a
        # semaphore that it is giving back while the process ends.
        if manager is not None:
            manager.join(_END_S)
        raise
    finally:
        pool.shutdown(cancel_futures=True)


class _Process(multiprocessing.context.SpawnProcess):
    """A process that starts with ctrl-C ignored: it prints no traceback while Python starts."""

    def start(self) -> None:
        with children_ignore_ctrl_c():
            super().start()


class _Context(multiprocessing.context.SpawnContext):
    """Starts the pool's processes and knows them, so that they can be killed."""

    def __init__(self) -> None:
        self._started: list[_Process] = []

    def Process(self, *args: Any, **options: Any) -> _Process:  # type: ignore[override]  # called by ProcessPoolExecutor
        process = _Process(*args, **options)
        self._started.append(process)
        return process

    def kill(self) -> None:
        """Kills the processes and returns when they are gone."""
        for process in self._started:
            with contextlib.suppress(ValueError, AttributeError):  # not started, or closed
                process.kill()
                multiprocessing.connection.wait([process.sentinel])


def _start(prepare: Callable[..., None] | None, arguments: tuple[Any, ...]) -> None:
    # The parent also receives ctrl-C and stops its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A killed parent cannot stop its workers, which would wait for work indefinitely.
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    if prepare is not None:
        prepare(*arguments)


def _exit_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
