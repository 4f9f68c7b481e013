"""Embeddings and invariance of runs, computed once and cached beside the report; no scores."""

import contextlib
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imagefec.analysis import output
from imagefec.analysis.split import SplitLoader
from imagefec.errors import UserError
from imagefec.model.run import Run

FORMAT = 1  # of the cached files; increase it if their contents are computed differently


_MEASURES = (
    "relative_view_distance",
    "relative_view_distance_se",
    "view_distance",
    "face_distance",
    "n_faces",
)


@dataclass(frozen=True)
class Embedded:
    """A run's embeddings of a split's faces.

    Attributes:
      vectors: float32 [n, d], one per face of the split.
      invariance: as in imagefec.analysis.invariance.
      step: training step of the checkpoint; None if unknown.
    """

    vectors: np.ndarray
    invariance: dict[str, Any]
    step: int | None


def embed_split(
    run: Run,
    split: SplitLoader,
    face_ids: list[str],
    ranges: dict[str, float],
    cache: Path,
) -> Embedded:
    """Embeds a split with a run, or reads the result of an earlier call.

    Args:
      run: the run.
      split: the faces.
      face_ids: of the split's faces, whose digest identifies the faces in the cache.
      ranges: ranges of the augmentation that invariance is measured with.
      cache: existing folder for cached files; each is named by the digest of its inputs.

    Raises:
      UserError: the run or the split is damaged, or the folder cannot be written to.
    """
    from imagefec.analysis.invariance import N_FACES, augmentation_invariance
    from imagefec.model import Embedder, checkpoint

    inputs = {
        "format": FORMAT,
        "checkpoint": run.checkpoint_digest,
        "faces": hashlib.sha256("\n".join(face_ids).encode()).hexdigest(),
        "model": run.model_settings,
        "image_size": run.image_size,
        "ranges": sorted(ranges.items()),
        "n_faces": N_FACES,
    }
    path = cache / f"{hashlib.sha256(json.dumps(inputs).encode()).hexdigest()[:24]}.npz"
    if path.is_file():
        with contextlib.suppress(UserError):  # a truncated or foreign file is replaced
            return _read_cached(path, len(face_ids))
    embedder = Embedder.load(run)
    faces = split.load(run.image_size).faces
    found = Embedded(
        embedder.embed(faces),
        augmentation_invariance(embedder, faces, ranges),
        embedder.info.get("step"),
    )
    meta = {"invariance": found.invariance, "step": found.step}
    try:
        checkpoint.save(path, {"vectors": found.vectors}, meta)
    except OSError as error:
        raise output.unwritable(cache, error) from None
    return found


def _read_cached(path: Path, n_faces: int) -> Embedded:
    """Reads what `embed_split` saved.

    Raises:
      UserError: the file is broken, or of another form.
    """
    from imagefec.model import checkpoint, run_schema

    # The embeddings of a run that has diverged may be infinite.
    arrays, meta = checkpoint.load(path, finite=False)
    vectors, invariance = arrays.get("vectors"), meta.get("invariance")
    measure = run_schema.optional(run_schema.number(0, 1e30))
    if (
        not isinstance(invariance, dict)
        or not all(name in invariance and measure.fits(invariance[name]) for name in _MEASURES)
        or vectors is None
        or vectors.dtype != np.float32
        or vectors.ndim != 2
        or len(vectors) != n_faces
    ):
        raise UserError(f"{path}: not the embeddings of {n_faces} faces. Delete the file.")
    return Embedded(vectors, invariance, run_schema.check_step(path, meta))
