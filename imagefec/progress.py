"""Progress of a verb on stderr: a bar on a terminal, a plain line every few seconds elsewhere."""

import contextlib
import logging
import sys
import time
from collections.abc import Iterator
from typing import Any

_LINE_EVERY_S = 10.0
_is_quiet = False


def set_quiet(quiet: bool) -> None:
    """Sets whether this process reports no progress; warnings and errors are not affected."""
    global _is_quiet
    _is_quiet = quiet


def is_quiet() -> bool:
    """Whether this process reports no progress."""
    return _is_quiet


def say(label: str, what: str) -> None:
    """Says on stderr, at once, what begins: a verb that loads libraries and files is silent long.

    Args:
      label: name of the work, as for `progress`.
      what: the rest of the line.
    """
    if not _is_quiet:
        with contextlib.suppress(OSError):  # stderr is full or gone; the work is worth more
            if "tqdm" in sys.modules and sys.stderr.isatty():  # there may be a bar
                sys.modules["tqdm"].tqdm.write(f"{label}: {what}", file=sys.stderr)
            else:
                print(f"{label}: {what}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def progress(label: str, total: int | None = None, unit: str = "it") -> Iterator[Any]:
    """Yields an object to report progress to: `update(n)`, `set_postfix(**counts)` and `total`.

    Args:
      label: name of the work.
      total: number of units, if known.
      unit: name of what is counted.
    """
    if _is_quiet:
        yield _Silent(total)
    elif sys.stderr.isatty():
        from tqdm import tqdm

        with tqdm(desc=label, total=total, unit=f" {unit}", dynamic_ncols=True) as bar:
            yield bar
    else:
        lines = _Lines(label, total, unit)
        yield lines
        lines.close()


@contextlib.contextmanager
def shown_log(logger_name: str, label: str) -> Iterator[None]:
    """Shows what a logger says during the block on stderr, above the progress bar.

    Args:
      logger_name: of the logger; messages below INFO are not shown.
      label: stands before each message, as before the lines of `progress`.
    """
    logger, handler = logging.getLogger(logger_name), _AboveBar()
    handler.setFormatter(logging.Formatter(f"{label}: %(message)s"))
    before = logger.level, logger.propagate
    logger.setLevel(logging.WARNING if _is_quiet else logging.INFO)
    logger.propagate = False
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.level, logger.propagate = before


class _AboveBar(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        from tqdm import tqdm

        tqdm.write(self.format(record), file=sys.stderr)


class _Silent:
    """Stands in for a progress bar where none is wanted."""

    def __init__(self, total: int | None) -> None:
        self.total = total

    def update(self, n: int = 1) -> None:
        """Reports nothing."""

    def set_postfix(self, **counts: Any) -> None:
        """Reports nothing."""


class _Lines:
    """Stands in for a progress bar where stderr is not a terminal."""

    def __init__(self, label: str, total: int | None, unit: str) -> None:
        self.total = total
        self._label, self._unit, self._done = label, unit, 0
        self._printed: tuple[int, str] | None = None
        self._counts: dict[str, Any] = {}
        self._start = self._last = time.monotonic()

    def update(self, n: int = 1) -> None:
        """Adds n finished units."""
        self._done += n
        if time.monotonic() - self._last > _LINE_EVERY_S:
            self._print()

    def set_postfix(self, **counts: Any) -> None:
        """Sets the counts shown behind the number of units."""
        self._counts = counts

    def close(self) -> None:
        """Prints the last line, unless `update` has."""
        if self._printed != (self._done, self._shown_counts()):
            self._print()

    def _shown_counts(self) -> str:
        return "".join(f", {name} {value}" for name, value in self._counts.items())

    def _print(self) -> None:
        self._last = time.monotonic()
        of_all = f" of {self.total}" if self.total else ""
        counts = self._shown_counts()
        self._printed = self._done, counts
        seconds = self._last - self._start
        print(
            f"{self._label}: {self._done}{of_all} {self._unit}{counts} in {seconds:.1f} s",
            file=sys.stderr,
            flush=True,
        )
