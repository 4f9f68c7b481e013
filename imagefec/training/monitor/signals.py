"""Ctrl-C and SIGTERM during training: recorded at once, acted on after the current step."""

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator

from imagefec.process import Stopped


class StopRequest:
    """Whether the run was asked to stop.

    Attributes:
      number: of the signal that asked; None for none.
    """

    def __init__(self) -> None:
        self.number: int | None = None


@contextlib.contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Yields a StopRequest that SIGINT or SIGTERM sets; a second signal raises Stopped.

    Only the main thread can handle signals; in another thread the request is never set.
    """
    request = StopRequest()

    def handle(number: int, frame: object) -> None:
        del frame
        if request.number is not None:
            raise Stopped(number)
        request.number = number
        name = "ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        print(
            f"\n{name}: stopping after this step and saving; repeat it to stop at once.",
            file=sys.stderr,
            flush=True,
        )

    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    previous = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
