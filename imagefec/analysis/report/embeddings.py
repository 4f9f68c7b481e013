"""Embeddings and invariance of runs, computed once and cached beside the report; no scores."""

import contextlib
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imagefec.analysis.split import SplitLoader
from imagefec.errors import UserError
from imagefec.model.run import Run

FORMAT = 1  # of the cached files; increase it if their contents are computed differently


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
    run: Run, split: SplitLoader, faces_digest: str, ranges: dict[str, float], cache: Path
) -> Embedded:
    """Embeds a split with a run, or reads the result of an earlier call.

    Args:
      run: the run.
      split: the faces.
      faces_digest: `digest_of` the split's face ids, which identifies the faces in the cache.
      ranges: ranges of the augmentation that invariance is measured with.
      cache: existing folder for cached files; each is named by the digest of its inputs.

    Raises:
      UserError: the run or the split is damaged.
      OSError: the folder cannot be written to.
    """
    from imagefec.analysis.invariance import N_FACES, augmentation_invariance
    from imagefec.model import Embedder, checkpoint

    inputs = {
        "format": FORMAT,
        "checkpoint": _file_digest(run.checkpoint),
        "faces": faces_digest,
        "model": run.model_settings,
        "image_size": run.image_size,
        "ranges": sorted(ranges.items()),
        "n_faces": N_FACES,
    }
    path = cache / f"{hashlib.sha256(json.dumps(inputs).encode()).hexdigest()[:24]}.npz"
    if path.is_file():
        with contextlib.suppress(UserError, KeyError):  # a truncated or foreign file is replaced
            arrays, meta = checkpoint.load(path)
            return Embedded(arrays["vectors"], meta["invariance"], meta["step"])
    embedder = Embedder.load(run)
    faces = split.load(run.image_size).faces
    found = Embedded(
        embedder.embed(faces),
        augmentation_invariance(embedder, faces, ranges),
        embedder.info.get("step"),
    )
    checkpoint.save(
        path, {"vectors": found.vectors}, {"invariance": found.invariance, "step": found.step}
    )
    return found


def digest_of(face_ids: list[str]) -> str:
    """SHA-256 of face ids and their order."""
    return hashlib.sha256("\n".join(face_ids).encode()).hexdigest()


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
