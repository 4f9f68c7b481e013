"""What a gallery shows: the choices of its user, not yet checked."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from imagefec.analysis.gallery.page_data import MAX_FACES
from imagefec.analysis.gallery.selection import Queries

AUTO = "auto"
AnyPath = str | os.PathLike[str]


@dataclass(frozen=True)
class GalleryOptions:
    """Which faces a gallery shows.

    Attributes:
      queries: how many to sample (all faces, if there are fewer); or which ones: face ids, rows of
        the faces, or names of photos (URL, path, file name; all their faces), as a sequence or as
        comma-separated text.
      k: neighbours per query.
      max_distance: neighbours farther away are not shown, so a query may have none; None for no
        limit; "auto" for 1.77 if all vectors have unit length, else no limit.
      exclude: file of face ids, photo URLs, paths, file names and identities, one per line, that
        are shown neither as query nor as neighbour; blank lines and lines that start with # are
        ignored.
      seed: seed of the sampled queries and faces.
      annotations: files of the faces' persons and labels, as for `annotations.read_annotations`.
      disjoint_from: splits of the dataset, by commas: faces that are also in one of them (by the
        URL of the photo, or nearly the same picture) are not sampled as queries. "none", or "auto":
        "train" if there is such a split and the gallery's is no part of it.
      space: splits, by commas, among whose faces neighbours are searched; "" for the gallery's own.
        Faces of the gallery's own split are always among them.
      faces: largest number of faces that the HTML page contains, to walk through; those of the
        queries and their neighbours always are. With 0 it has the queries and no script.
    """

    queries: Queries = 12
    k: int = 4
    max_distance: float | str | None = AUTO
    exclude: AnyPath | None = None
    seed: int = 0
    annotations: Sequence[AnyPath] = ()
    disjoint_from: str = AUTO
    space: str = ""
    faces: int = MAX_FACES


DEFAULTS = GalleryOptions()
