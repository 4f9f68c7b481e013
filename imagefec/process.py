"""This process's streams and signals, as a command-line tool needs them."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

STOPPING = [  # the signals that stop a command
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]


class Stopped(KeyboardInterrupt):
    """The process got ctrl-C, SIGTERM or SIGHUP; raised so that work is cleaned up.

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


class StopSignals:
    """Raises Stopped on ctrl-C, SIGTERM and SIGHUP inside a with block, unless they are ignored.

    While modules are imported, Stopped waits until they are: a C++ extension would abort the
    process. A second signal in that time ends the process at once. Stopped also waits while child
    processes start, which would lack what their parent sends them. Where Python ignores exceptions
    (in finalizers and callbacks of the garbage collector), Stopped is raised again afterwards.

    Only the main thread can handle signals; in another thread this does nothing.

    Attributes:
      received: the number of the last signal; None for none. A library may turn Stopped into an
        error of another type.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._previous: dict[int, Any] = {}
        self._previous_hook = sys.unraisablehook
        self._again: threading.Timer | None = None
        self._is_again = False

    def __enter__(self) -> "StopSignals":
        if threading.current_thread() is threading.main_thread():
            for number in STOPPING:
                if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
                    self._previous[number] = signal.signal(number, self._stop)
            sys.unraisablehook = self._ignored
        return self

    def __exit__(self, *_: object) -> None:
        if self._again is not None:
            self._again.cancel()
        if self._previous:
            sys.unraisablehook = self._previous_hook
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        is_second = self.received is not None and not self._is_again
        self.received, self._is_again = number, False
        if not (_n_starting or _is_importing(frame)):
            raise Stopped(number)
        if is_second and not _n_starting:
            os._exit(128 + number)
        self._send_again(number)

    def _ignored(self, ignored: Any) -> None:
        if isinstance(ignored.exc_value, Stopped):
            self._send_again(ignored.exc_value.number)
        else:
            self._previous_hook(ignored)

    def _send_again(self, number: int) -> None:
        def send() -> None:
            self._is_again = True
            signal.pthread_kill(threading.main_thread().ident or 0, number)

        self._again = threading.Timer(_AGAIN_S, send)
        self._again.daemon = True
        self._again.start()


_AGAIN_S = 0.05
_n_starting = 0  # blocks of `children_ignore_ctrl_c` that the main thread is in


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def end_now(code: int) -> None:
    """Ends the process with an exit code, without what Python and libraries do as it exits.

    After a stop, threads of JAX and OpenCV may still compute; they crash when Python takes down
    what they use. After work that is done, the end of TensorFlow and JAX takes up to a second, in
    which ctrl-C would turn success into a failure. Only multiprocessing's own end is done, which
    gives back its semaphores.
    """
    if (multiprocessing := sys.modules.get("multiprocessing.util")) is not None:
        multiprocessing._exit_function()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def end_at_once_on_signals() -> None:
    """Lets ctrl-C and the other signals end the process without a traceback, while it exits."""
    for number in STOPPING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


@contextlib.contextmanager
def children_ignore_ctrl_c() -> Iterator[None]:
    """Lets processes that start in the block never see ctrl-C, which a terminal sends to all.

    Their parent gets it too and stops them. A handler that they set themselves would come too late:
    while Python starts, ctrl-C prints a traceback. The signal is blocked, which children inherit:
    one that comes in the block reaches the parent at its end. A library's thread may get it all the
    same, and then Python calls the handler here; `StopSignals` waits for the end of the block.
    """
    global _n_starting
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    is_main = threading.current_thread() is threading.main_thread()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        _n_starting += is_main
        yield
    finally:
        _n_starting -= is_main
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
