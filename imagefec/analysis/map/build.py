"""Makes a map: checks, chooses the faces and places them; write.py has the files."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from imagefec import files
from imagefec.analysis import output
from imagefec.analysis.gallery.selection import check_seed, rows_not_excluded
from imagefec.data.exclusion import Exclusion
from imagefec.errors import UserError
from imagefec.paths import user_path
from imagefec.progress import say

if TYPE_CHECKING:
    from imagefec.analysis.gallery.faces import GalleryFaces
    from imagefec.analysis.map.faces import MapFaces

METHOD, MAX_SHOWN = "tsne", 2000
SLOW_FROM = 10_000  # faces; t-SNE takes a minute or more
LOCK = ".map.lock"
AnyPath = str | os.PathLike[str]


@dataclass(frozen=True)
class MapOptions:
    """How a map is made.

    Attributes:
      method: "tsne", "umap" or "pca".
      shown: largest number of faces on the page, sampled if there are more; the other files have
        all.
      exclude: file of face ids, photo URLs, paths, file names and identities, one per line, that
        are left out; blank lines and lines that start with # are ignored.
      seed: of the sample, t-SNE and UMAP.
    """

    method: str = METHOD
    shown: int = MAX_SHOWN
    exclude: AnyPath | None = None
    seed: int = 0


def make_map(
    load: Callable[[], MapFaces], out: AnyPath, options: MapOptions = MapOptions()
) -> dict[str, Any]:
    """Places faces in a plane and writes the page, the projector's folder and the table.

    Args:
      load: returns the faces; see `sources`.
      out: folder; made if missing. Files of an earlier map in it are replaced.
      options: how the map is made.

    Returns:
      JSON values: path (of the page), projector, table (None without pyarrow), n_faces, n_shown,
      method, trustworthiness, explained_variance (None if it does not apply) and unreadable: reason
      -> {"count", "first" (names)}.

    Raises:
      UserError: no face remains, the vectors of a run are not finite, the method is unknown or not
        installed, an argument is out of range, or `out` cannot be written.
    """
    from imagefec.analysis.map.projection import check_method, project
    from imagefec.analysis.map.write import PAGE, PROJECTOR, TABLE, PlacedFaces, write_map

    out = user_path(out, "--out")
    check_method(options.method)
    if options.shown < 1:
        raise UserError(f"faces = {options.shown}: it must be 1 or more.")
    check_seed(options.seed)
    exclusion = Exclusion.load(options.exclude)
    output.make_folder(out)
    for name in (PAGE, TABLE):
        if (out / name).is_dir():
            raise UserError(f"{out / name}: is a folder, but a file must be written. Remove it.")
    output.make_folder(out / PROJECTOR)
    loaded = load()
    with files.folder_lock(out, "map", "--out", LOCK, PROJECTOR):
        data = loaded.data
        rows = _rows(data, exclusion, options.exclude)
        every = _finite(data)
        vectors = every[rows]
        slow = len(rows) >= SLOW_FROM and options.method == "tsne"
        after = ", which takes a minute or more" if slow else ""
        say("map", f"placing {len(rows)} faces by {options.method}{after}")
        placed = PlacedFaces(
            loaded,
            rows,
            vectors,
            project(vectors, options.method, options.seed),
            data.describe(every),
            _sampled(len(rows), options),
        )
        try:
            return write_map(out, placed)
        except OSError as error:
            raise output.unwritable(out, error) from None


def _rows(data: GalleryFaces, exclusion: Exclusion, path: AnyPath | None) -> list[int]:
    """The faces that have a vector and are not excluded."""
    rows = rows_not_excluded(data, exclusion, path)
    if not rows:
        after = f" after the exclusions of {path}" if exclusion else ""
        raise UserError(f"no face remains{after}, so there is nothing to show. {data.advice}")
    return rows


def _finite(data: GalleryFaces) -> np.ndarray:
    vectors = data.embed()
    if not np.isfinite(vectors[data.known]).all():
        raise UserError(
            f"{data.source}: its embeddings are not finite, so the training diverged. Give another "
            "run, or train again with a lower learning rate."
        )
    return vectors


def _sampled(n: int, options: MapOptions) -> list[int]:
    """Which of n faces the page shows."""
    if n <= options.shown:
        return list(range(n))
    chosen = np.random.default_rng(options.seed).choice(n, options.shown, replace=False)
    return np.sort(chosen).tolist()
