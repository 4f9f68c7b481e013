"""ctrl-C and SIGTERM during training: noted at once, acted upon where a step ends, so that nothing is lost."""

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator


class StopRequest:
    """Whether someone asked the run to stop."""

    def __init__(self) -> None:
        self.asked = False


@contextlib.contextmanager
def heed_signals() -> Iterator[StopRequest]:
    """Yields what tells whether SIGINT or SIGTERM came meanwhile; a second signal ends the run at once.

    Outside of the main thread, which alone may handle signals, nothing is changed and nothing told.
    """
    request = StopRequest()

    def note(number: int, frame: object) -> None:
        del frame
        if request.asked:
            raise KeyboardInterrupt
        request.asked = True
        name = "ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        print(
            f"\n{name}: stopping after this step and saving; once more stops at once.",
            file=sys.stderr,
            flush=True,
        )

    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    kept = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
