"""The faces of a built dataset's split for a gallery, with the vectors of a run or a file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, cast

import numpy as np

from imagefec.analysis.gallery.faces import GalleryFaces
from imagefec.analysis.gallery.page_data import triplet_column
from imagefec.data.identity.folders import names_of
from imagefec.paths import readable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imagefec.analysis.vectors.sources import FileSource, RunSource
    from imagefec.data.store.datasets import Triplets


def faces_of_split(
    source: RunSource | FileSource, data_dir: str | os.PathLike[str], dataset: str, split: str
) -> GalleryFaces:
    """The faces of a split.

    Args:
      source: of the vectors; a run embeds the faces when `embed` is called.
      data_dir: see `imagefec.data.store.datasets.load_triplets`.
      dataset: likewise.
      split: likewise.

    Raises:
      UserError: there is no such dataset or split, or the file has none of its faces.
    """
    from imagefec.analysis.split import SplitLoader
    from imagefec.analysis.vectors.sources import RunSource
    from imagefec.faces.crop import FACE_PX

    loader = SplitLoader(data_dir, dataset, split)
    # Faces are shown at FACE_PX or more. The embedder shrinks them exactly as loading would; if the
    # model sees larger ones, loading enlarges them.
    data = loader.load(max(FACE_PX, source.image_size or 0))
    if isinstance(source, RunSource):
        embedder, step = source.embedder, source.embedder.info.get("step")
        known, embed = np.ones(len(data.face_ids), bool), lambda: embedder.embed(data.faces)
    else:
        found, step = source.vectors_on(loader), None
        known, embed = found.known, lambda: found.vectors
    return GalleryFaces(
        faces=cast("Sequence[np.ndarray]", data.faces),
        face_ids=data.face_ids,
        urls=data.urls,
        names=[(face_id, *names_of(url)) for face_id, url in zip(data.face_ids, data.urls)],
        known=known,
        embed=embed,
        source=source.path,
        describe=lambda vectors: (
            f"{readable(dataset)}, {readable(split)} · {_tpa_text(vectors, known, data, step)}"
        ),
        advice="Exclude fewer faces or use a larger part of the dataset.",
        columns=(triplet_column(data),),
    )


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
