"""A photo that is judged, as it was found in a folder or a table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from imagefec.maths.geometry import Box

SAME_CONTENT = "same content as an earlier one"
UNREADABLE = "unreadable"


@dataclass(frozen=True)
class PhotoFile:
    """A photo of the folder or the table.

    Attributes:
      path: of the file.
      digest: SHA-256 of its content, hexadecimal.
      label: name of its class, "" for none.
      person: who is shown, "" if not known.
      split: that a table gives, "" for none.
      box: that a table gives, in fractions of the upright photo; None for none.
    """

    path: Path
    digest: str
    label: str
    person: str = ""
    split: str = ""
    box: Box | None = None

    @property
    def id(self) -> str:
        """Names its face; says nothing about what it shows or where it lies."""
        return self.digest[:16]
