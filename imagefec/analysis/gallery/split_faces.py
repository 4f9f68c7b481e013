"""The faces of a built dataset's split for a gallery, with the vectors of a run or a file."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from absl import logging

from imagefec.analysis.embed_faces import embed_faces
from imagefec.analysis.gallery.faces import GalleryFaces, left_out_text
from imagefec.analysis.gallery.page_data import triplet_column
from imagefec.analysis.split import SplitLoader
from imagefec.data.identity.folders import names_of
from imagefec.data.store.face_store import IndexedFaces
from imagefec.paths import readable

if TYPE_CHECKING:
    from imagefec.analysis.vectors.sources import FileSource, RunSource
    from imagefec.data.store.datasets import Triplets


def faces_of_split(
    source: RunSource | FileSource,
    data_dir: str | os.PathLike[str],
    dataset: str,
    split: str,
    disjoint_from: str = "none",
    space: str = "",
) -> GalleryFaces:
    """The faces of a split, and of others that are searched for neighbours.

    Logs why the vectors may mean little, and which faces have none.

    Args:
      source: of the vectors; a run embeds the faces when `embed` is called.
      data_dir: see `imagefec.data.store.datasets.load_triplets`.
      dataset: likewise.
      split: likewise.
      disjoint_from: as in `GalleryOptions`.
      space: likewise.

    Raises:
      UserError: there is no such dataset or split, or the file has none of its faces.
    """
    from imagefec.analysis.overlap.shared_faces import find_overlap, splits_of
    from imagefec.analysis.vectors.sources import RunSource
    from imagefec.faces.crop import FACE_PX

    loader = SplitLoader(data_dir, dataset, split)
    # Faces are shown at FACE_PX or more. The embedder shrinks them exactly as loading would; if the
    # model sees larger ones, loading enlarges them.
    data = loader.load(max(FACE_PX, source.image_size or 0))
    overlap = find_overlap(loader, data, splits_of(disjoint_from, loader), source.image_size)
    parts = [_Part(source, loader, data)]
    seen = set(data.face_ids)
    for name in dict.fromkeys(part.strip() for part in space.split(",")):
        if name not in ("", split):
            other = SplitLoader(data_dir, dataset, name)
            parts.append(_Part(source, other, other.load(data.faces.shape[1]), seen))
            seen.update(parts[-1].face_ids)
    for warning in source.warnings(loader):
        logging.warning("%s", warning)
    left_out: Counter[str] = sum((part.missing for part in parts), Counter())
    face_ids = [face_id for part in parts for face_id in part.face_ids]
    urls = [url for part in parts for url in part.urls]
    n_own, step = len(data.face_ids), None
    if isinstance(source, RunSource):
        step = source.embedder.info.get("step")
    also = "".join(f" and {readable(part.name)}" for part in parts[1:])
    return GalleryFaces(
        faces=_Joined([part.faces for part in parts]),
        face_ids=face_ids,
        urls=urls,
        names=[(face_id, *names_of(url)) for face_id, url in zip(face_ids, urls)],
        known=np.concatenate([part.known for part in parts]),
        embed=lambda: np.concatenate([part.embed() for part in parts]),
        source=source.path,
        describe=lambda vectors: (
            f"{readable(dataset)}, {readable(split)} · "
            f"{_tpa_text(vectors[:n_own], parts[0].known, data, step)}"
            f"{also and f' · neighbours from {readable(split)}{also}'}{left_out_text(left_out)}"
        ),
        advice="Exclude fewer faces or use a larger part of the dataset.",
        columns=(triplet_column(data, len(face_ids)),),
        may_query=np.concatenate(
            [~overlap.shared, *(np.zeros(len(part.face_ids), bool) for part in parts[1:])]
        ),
        overlap=overlap,
        left_out=left_out,
    )


class _Part:
    """The faces of one split, without those that are in `seen`, with their vectors."""

    def __init__(
        self,
        source: RunSource | FileSource,
        loader: SplitLoader,
        data: Triplets,
        seen: Collection[str] = (),
    ) -> None:
        from imagefec.analysis.vectors.coverage import vector_warnings
        from imagefec.analysis.vectors.sources import RunSource

        self.name = loader.name
        rows = np.array([row for row, name in enumerate(data.face_ids) if name not in seen], int)
        self._rows = rows
        self.faces = (
            IndexedFaces(data.faces, rows) if len(rows) < len(data.face_ids) else data.faces
        )
        self.face_ids = [data.face_ids[row] for row in rows]
        self.urls = [data.urls[row] for row in rows]
        self.known = np.ones(len(rows), bool)
        self.missing = Counter[str]()  # reason -> faces without a vector
        self._embedder = source.embedder if isinstance(source, RunSource) else None
        if not isinstance(source, RunSource):
            found = source.vectors_on(loader)
            self.known, self._vectors = found.known[rows], found.vectors[rows]
            if found.matched is not None:
                self.missing.update(found.matched.reasons[rows][~self.known].tolist())
                cost = f"; they are not shown (split {readable(loader.name)})."
                for warning in vector_warnings(source, found.matched, cost):
                    logging.warning("%s", warning)

    def embed(self) -> np.ndarray:
        """The vectors, float [n, d]."""
        if self._embedder is None:
            return self._vectors
        return embed_faces(self._embedder, self.faces, "embed")


class _Joined(Sequence[np.ndarray]):
    """Faces of several arrays, one after the other; read on access."""

    def __init__(self, parts: Sequence[Any]) -> None:
        self._parts = parts
        self._starts = np.cumsum([0, *map(len, parts)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, row: int) -> np.ndarray:  # type: ignore[override] # no slices
        part = int(np.searchsorted(self._starts, row, side="right")) - 1
        return np.asarray(self._parts[part][row - self._starts[part]])


def _tpa_text(vectors: np.ndarray, known: np.ndarray, data: Triplets, step: int | None) -> str:
    from imagefec.analysis import accuracy, evaluate

    kept = known[data.triplets].all(axis=1)
    if not kept.any():
        return "TPA unknown, as no triplet has three vectors"
    part, photos = accuracy.triplets_with(data, kept), accuracy.triplet_photos(data)[kept]
    correct = accuracy.correct_predictions(vectors, part)
    scores = evaluate.score_triplets(vectors[known], correct, part, photos)
    tpa = f"TPA {100 * scores['tpa']:.1f} ± {100 * accuracy.shown_error(scores):.1f} %"
    at_step = f" (step {step:,})" if isinstance(step, int) else ""
    return f"{tpa} on {scores['n_triplets']:,} triplets{at_step}"
