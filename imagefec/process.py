"""This process's streams and signals, as a command-line tool needs them."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

_STOPPING = [
    getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)
]  # besides SIGINT, which Python handles


class Stopped(KeyboardInterrupt):
    """The process got SIGTERM or SIGHUP; handled like ctrl-C, so that work is cleaned up.

    Attributes:
      number: of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


def open_standard_streams() -> None:
    r"""Opens closed standard streams on /dev/null, and lets any text be printed.

    If descriptor 2 is closed, the next file that the process opens gets that number, and warnings
    of C libraries would be written to it. A character that the terminal's encoding lacks is shown
    as an escape sequence such as \\xfc.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDONLY if number == 0 else os.O_WRONLY)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
    for name, number in (("stdout", 1), ("stderr", 2)):
        stream: Any = getattr(sys, name)
        if stream is None:
            # line buffering as usual for a terminal
            opened_stream = open(number, "w", buffering=1, closefd=False)  # noqa: SIM115
            setattr(sys, name, opened_stream)
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def close_stdout() -> None:
    """Stops writing to stdout, whose reader is gone; Python would report it when it ends."""
    with contextlib.suppress(OSError, ValueError):
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, sys.stdout.fileno())
        os.close(devnull)


@contextlib.contextmanager
def stop_signals_as_exceptions() -> Iterator[None]:
    """Raises Stopped on SIGTERM and SIGHUP during the block, unless they are ignored or handled.

    Only the main thread can handle signals; in another thread this does nothing.
    """

    def stop(number: int, frame: object) -> None:
        del frame
        raise Stopped(number)

    previous = {}
    if threading.current_thread() is threading.main_thread():
        for number in _STOPPING:
            if signal.getsignal(number) is signal.SIG_DFL:
                previous[number] = signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def children_ignore_ctrl_c() -> Iterator[None]:
    """Lets processes that start in the block ignore ctrl-C, which a terminal sends to all.

    Their parent gets it too and stops them. A handler that they set themselves would come too late:
    while Python starts, ctrl-C prints a traceback.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
