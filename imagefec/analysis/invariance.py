"""How far augmentation moves the embedding of a face, relative to the distance between faces."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from imagefec.model import Embedder

N_FACES = 512  # two views each; the standard error of the ratio is then about 2 %
BATCH_FACES = 64


def augmentation_invariance(
    embedder: "Embedder",
    faces: np.ndarray,
    ranges: dict[str, Any] | None = None,
    n_faces: int = N_FACES,
    seed: int = 0,
) -> dict[str, Any]:
    """Compares the distance between two augmented views of a face with that between two faces.

    Args:
      embedder: embedder of a run.
      faces: uint8 [n >= 2, h, w, 3].
      ranges: keyword arguments of imagefec.maths.augment.augment_faces; None for its defaults.
      n_faces: largest number of faces to sample. The distances of all pairs are in memory: 1 MB
        for 512 faces.
      seed: seed of the sampled faces and of their views; use the same for runs to be compared.

    Returns:
      "view_distance": mean distance between the two views of a face. "face_distance": mean distance
      between two different faces, one view each. "relative_view_distance": their ratio; 0 if
      augmentation changes nothing, 1 if a view of the same face is as far as another face; None if
      all faces have the same embedding or an embedding is not finite. "relative_view_distance_se":
      its standard error over faces. "n_faces".

    Raises:
      ValueError: fewer than 2 faces.
    """
    from scipy.spatial.distance import pdist
    from scipy.stats import sem

    if len(faces) < 2:
        raise ValueError(f"faces must be [n >= 2, h, w, 3], found {len(faces)} faces")
    chosen = np.sort(np.random.default_rng(seed).permutation(len(faces))[:n_faces])
    first, second = (
        embedder.embed(_views(faces[chosen], ranges or {}, seed, view)).astype(np.float64)
        for view in (0, 1)
    )
    between_views = np.linalg.norm(first - second, axis=1)
    view_distance, face_distance = float(between_views.mean()), float(pdist(first).mean())
    defined = math.isfinite(view_distance) and math.isfinite(face_distance) and face_distance > 1e-6
    return {
        "relative_view_distance": view_distance / face_distance if defined else None,
        "relative_view_distance_se": float(sem(between_views) / face_distance) if defined else None,
        "view_distance": view_distance if math.isfinite(view_distance) else None,
        "face_distance": face_distance if math.isfinite(face_distance) else None,
        "n_faces": len(chosen),
    }


def _views(faces: np.ndarray, ranges: dict[str, Any], seed: int, view: int) -> np.ndarray:
    """One augmented view of each face, rounded to uint8 like a decoded photo."""
    import jax

    from imagefec.maths import augment

    key = jax.random.fold_in(jax.random.PRNGKey(seed), view)
    parts = [
        np.asarray(
            augment.augment_faces(
                jax.random.fold_in(key, start),
                jax.numpy.asarray(faces[start : start + BATCH_FACES]),
                **ranges,
            )
        )
        for start in range(0, len(faces), BATCH_FACES)
    ]
    return np.rint(np.concatenate(parts)).astype(np.uint8)
