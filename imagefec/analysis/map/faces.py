"""The faces of a map before they are placed, wherever they come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from imagefec.analysis.gallery.faces import GalleryFaces
    from imagefec.analysis.map.table import Boxes


@dataclass(frozen=True)
class MapFaces:
    """The faces of a map before they are placed.

    Attributes:
      data: faces, names and vectors.
      boxes: returns where they are in their photos; None if that is not known. Called only if the
        table is written.
      known: what else is known: name of the column -> a text for each face of `data`, "" where it
        is not known.
    """

    data: GalleryFaces
    boxes: Callable[[], Boxes | None]
    known: Mapping[str, Sequence[str]] = field(default_factory=dict)
