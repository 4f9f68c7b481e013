"""Embeds the faces of a split and shows how far it is; image files are embedded in embed.py."""

from typing import TYPE_CHECKING, Any

import numpy as np

from imagefec.progress import progress

if TYPE_CHECKING:
    from imagefec.model import Embedder


def embed_faces(embedder: "Embedder", faces: Any, label: str) -> np.ndarray:
    """Embeds faces as `Embedder.embed` does, with progress on stderr.

    Args:
      embedder: of the run.
      faces: uint8 [n, h, w, 3], or anything with a length that gives such faces.
      label: name of the work on stderr.

    Returns:
      float32 [n, d], unit length.
    """
    found = [np.zeros((0, embedder.d_embedding), np.float32)]
    with progress(label, total=len(faces), unit="faces") as bar:
        for vectors in embedder.embed_batches(faces):
            found.append(vectors)
            bar.update(len(vectors))
    return np.concatenate(found)
