"""Instances of an object that only one thread at a time may use."""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")


class Instances(Generic[T]):
    """Lends one instance to each caller and makes another if all are lent.

    OpenCV's cascades and networks keep the photo at hand in themselves, so two threads in one of
    them get wrong faces. A thread that waits for no other one is as fast as alone, and there are
    never more instances than threads that were in it at the same time.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        """Makes the first instance, so that what is wrong with it is raised here.

        Args:
          make: makes an instance; all must give the same results.
        """
        self._make = make
        self._free = deque([make()])  # its pop and append are atomic

    @contextmanager
    def lent(self) -> Iterator[T]:
        """Yields an instance that no other thread has during the block."""
        try:
            instance = self._free.pop()
        except IndexError:
            instance = self._make()
        try:
            yield instance
        finally:
            self._free.append(instance)
