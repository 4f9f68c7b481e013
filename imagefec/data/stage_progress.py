"""What the fetch and crop stages report to a progress bar."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol


class Progress(Protocol):
    """A progress bar, such as tqdm's; an attribute `total` is set if present."""

    def update(self, n: int) -> object:
        """Adds to the number done."""

    def set_postfix(self, **counts: object) -> object:
        """Shows counts beside the bar."""


class StageProgress:
    """Reports to a progress bar how much is done, with counts by kind.

    Args:
      bar: None shows nothing.
      total: how much there is to do.
      kinds: what is counted, in the order shown.
    """

    def __init__(self, bar: Progress | None, total: int, kinds: Iterable[str]) -> None:
        self._bar, self._shown_at = bar, 0.0
        self._counts = dict.fromkeys(kinds, 0)
        if bar is not None and hasattr(bar, "total"):
            bar.total = total

    def add(
        self,
        counts: Mapping[str, int],
        details: Callable[[], Mapping[str, object]] | None = None,
    ) -> None:
        """Adds what was done since the last call.

        Args:
          counts: numbers by kind.
          details: called when the counts are shown; its result is shown with them.
        """
        for kind, n in counts.items():
            self._counts[kind] += n
        if self._bar is None:
            return
        if time.monotonic() - self._shown_at > _SHOW_EVERY_S:
            self.show(**(details() if details else {}))
        self._bar.update(sum(counts.values()))

    def show(self, **details: object) -> None:
        """Shows the counts now; `add` does so from time to time."""
        self._shown_at = time.monotonic()
        if self._bar is not None:
            self._bar.set_postfix(**self._counts, **details)


_SHOW_EVERY_S = 0.5
