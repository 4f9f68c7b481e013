"""Embeddings and augmentation measures of runs, computed once and kept beside the report; no scores."""

import contextlib
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imagefec.data.store import datasets
from imagefec.errors import UserError
from imagefec.model.run import Run

FORMAT = 1  # of the kept files; raise it where what they hold is computed otherwise


@dataclass(frozen=True)
class Embedded:
    """What a run makes of a split's faces.

    Attributes:
      vectors: float32 [n, d], one a face of the split.
      invariance: of imagefec.analysis.invariance.
      step: at which the checkpoint was written; None where it does not say.
    """

    vectors: np.ndarray
    invariance: dict[str, Any]
    step: int | None


class Split:
    """A split of a built dataset, loaded at the sizes asked for, the last one kept."""

    def __init__(self, data_dir: str | os.PathLike, dataset: str, name: str):
        self.data_dir, self.dataset, self.name = data_dir, dataset, name
        self._held: tuple[int, datasets.Triplets] | None = None

    def at(self, image_size: int) -> datasets.Triplets:
        if self._held is None or self._held[0] != image_size:
            self._held = None
            self._held = (
                image_size,
                datasets.load_triplets(self.data_dir, self.dataset, self.name, image_size),
            )
        return self._held[1]


def embed_split(
    run: Run, split: Split, faces_digest: str, ranges: dict[str, float], cache: Path
) -> Embedded:
    """Embeds a split with a run, or reads what an earlier call kept.

    Args:
      run: its files.
      split: the faces.
      faces_digest: `digest_of` the split, so that another set of faces is not taken for it.
      ranges: of the augmentation to measure invariance against.
      cache: folder for kept files, there already; each is named by what it was computed from.

    Raises:
      UserError: the run or the split is damaged.
      OSError: the folder cannot be written.
    """
    from imagefec.analysis.invariance import N_FACES, augmentation_invariance
    from imagefec.model import Embedder, checkpoint

    asked = {
        "format": FORMAT,
        "checkpoint": digest_of_checkpoint(run),
        "faces": faces_digest,
        "model": run.info["model"],
        "image_size": run.info["image_size"],
        "ranges": sorted(ranges.items()),
        "n_faces": N_FACES,
    }
    path = cache / f"{hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:24]}.npz"
    if path.is_file():
        with contextlib.suppress(UserError, KeyError):  # torn, or no such file: computed anew
            arrays, meta = checkpoint.load(path)
            return Embedded(arrays["vectors"], meta["invariance"], meta["step"])
    embedder = Embedder.load(run.path)
    faces = split.at(embedder.image_size).faces
    found = Embedded(
        embedder.embed(faces),
        augmentation_invariance(embedder, faces, ranges),
        embedder.info.get("step"),
    )
    checkpoint.save(
        path, {"vectors": found.vectors}, {"invariance": found.invariance, "step": found.step}
    )
    return found


def digest_of(data: datasets.Triplets) -> str:
    """Of a split's faces and their order."""
    return hashlib.sha256("\n".join(data.face_ids).encode()).hexdigest()


def digest_of_checkpoint(run: Run) -> str:
    """SHA-256 of the checkpoint file that the embedder takes."""
    digest = hashlib.sha256()
    with open(run.checkpoint, "rb") as file:
        while part := file.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()
