"""What a command would do, as its --dry_run reports it; how it is found out is in the stages."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a command would do, found out without writing.

    Attributes:
      path: what the command would write.
      lines: what it would do, for people.
      facts: the same for scripts, JSON values.
    """

    path: Path
    lines: Sequence[str]
    facts: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        """The plan as JSON values."""
        return {"dry_run": True, "path": str(self.path), **self.facts}

    def as_text(self) -> str:
        """The plan as lines, the last of which is the path."""
        return "\n".join([*self.lines, "dry run   nothing was written", str(self.path)])


def shown_bytes(n_bytes: float) -> str:
    """A size in words.

    >>> shown_bytes(49_152), shown_bytes(147_456_000), shown_bytes(5.4e9)
    ('49 kB', '147 MB', '5.4 GB')
    """
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if n_bytes >= size:
            value = n_bytes / size
            return f"{value:.1f} {unit}" if value < 10 else f"{value:.0f} {unit}"
    return f"{n_bytes / 1000:.0f} kB"
