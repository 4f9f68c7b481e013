"""How little an embedding changes when its face is cropped, mirrored and relit; nothing is trained or drawn here."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from imagefec.model import Embedder

N_FACES = 512  # two views each; the ratio is then sure to about 2 %
BATCH_FACES = 64


def augmentation_invariance(
    embedder: "Embedder",
    faces: np.ndarray,
    ranges: dict[str, float] | None = None,
    n_faces: int = N_FACES,
    seed: int = 0,
) -> dict[str, Any]:
    """Sets the distance between two augmented views of a face against the distance between different faces.

    Args:
      embedder: a run.
      faces: uint8 [n >= 2, h, w, 3].
      ranges: keyword arguments of imagefec.maths.augment.augment_faces; None for its defaults.
      n_faces: how many faces, drawn at random, at most.
      seed: of the faces and of their views: the same for runs to compare.

    Returns:
      {"relative_view_distance", "relative_view_distance_se", "view_distance", "face_distance",
      "n_faces"}: the mean distance of a face's two views; that of two different faces, one view
      each; and their ratio, 0 where augmentation changes nothing, 1 where a face's view tells no
      more than any other face, with its standard error over faces. The ratio is None where all
      faces embed alike, or an embedding is not finite.

    Raises:
      ValueError: fewer than 2 faces.
    """
    if len(faces) < 2:
        raise ValueError(f"two faces or more are needed, found {len(faces)}")
    chosen = np.sort(np.random.default_rng(seed).permutation(len(faces))[:n_faces])
    first, second = (
        embedder.embed(_views(faces[chosen], ranges or {}, seed, view)) for view in (0, 1)
    )
    between_views = np.linalg.norm(first.astype(np.float64) - second, axis=1)
    n = len(chosen)
    view_distance = float(between_views.mean())
    face_distance = _mean_distance(first.astype(np.float64))
    defined = math.isfinite(view_distance) and math.isfinite(face_distance) and face_distance > 1e-6
    return {
        "relative_view_distance": view_distance / face_distance if defined else None,
        "relative_view_distance_se": float(between_views.std(ddof=1) / n**0.5 / face_distance)
        if defined
        else None,
        "view_distance": view_distance if math.isfinite(view_distance) else None,
        "face_distance": face_distance if math.isfinite(face_distance) else None,
        "n_faces": n,
    }


def _views(faces: np.ndarray, ranges: dict[str, float], seed: int, view: int) -> np.ndarray:
    """One augmented view of each face, rounded to uint8 as a picture is."""
    import jax

    from imagefec.maths import augment

    key = jax.random.fold_in(jax.random.PRNGKey(seed), view)
    parts = [
        np.asarray(
            augment.augment_faces(
                jax.random.fold_in(key, start), faces[start : start + BATCH_FACES], **ranges
            )
        )
        for start in range(0, len(faces), BATCH_FACES)
    ]
    return np.rint(np.concatenate(parts)).astype(np.uint8)


def _mean_distance(vectors: np.ndarray) -> float:
    """Mean distance of all pairs of different rows."""
    n, total = len(vectors), 0.0
    for row in range(n - 1):
        total += np.linalg.norm(vectors[row + 1 :] - vectors[row], axis=1).sum()
    return float(total / (n * (n - 1) / 2))
