"""Prepares a batch while the device computes the one before."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Batch = TypeVar("Batch")
Started = TypeVar("Started")
Result = TypeVar("Result")


def double_buffered(
    batches: Iterable[Batch],
    start: Callable[[Batch], Started],
    finish: Callable[[Started], Result],
) -> Iterator[Result]:
    """Yields finish(start(batch)) of each batch, in order; two are in memory at a time.

    Args:
      batches: prepared when asked for.
      start: starts to compute and returns at once.
      finish: waits for the result.

    Raises:
      Exception: of `batches`, after the results of all batches before it.
    """
    iterator, started = iter(batches), list[Started]()
    while True:
        try:
            batch = next(iterator)
        except BaseException as error:
            yield from map(finish, started)
            if isinstance(error, StopIteration):
                return
            raise
        started.append(start(batch))
        if len(started) == 2:
            yield finish(started.pop(0))
