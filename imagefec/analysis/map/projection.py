"""Embeddings to points of a plane, by PCA, t-SNE or UMAP; no faces, no files."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from imagefec.analysis.map.quality import N_NEIGHBOURS, trustworthiness
from imagefec.errors import UserError

METHODS = ("tsne", "umap", "pca")
PERPLEXITY = 30.0  # scikit-learn's default: about as many neighbours count
N_NEIGHBOURS_UMAP = 15  # umap-learn's default
_LEAST = 4  # faces; fewer have no neighbourhoods, so PCA places them


@dataclass(frozen=True)
class Projection:
    """Places of faces in a map.

    Attributes:
      points: float32 [n, 2], centred; the larger side of the map is 2 long.
      method: "tsne", "umap" or "pca": the one that was used.
      trustworthiness: see `quality.trustworthiness`; None for fewer than 4 faces or one place.
      n_neighbours: of the trustworthiness.
      explained: share of the variance that lies in the plane, for pca; else None.
      all_equal: whether there is only one vector, so that all faces have one place.
    """

    points: np.ndarray
    method: str
    trustworthiness: float | None
    n_neighbours: int
    explained: float | None
    all_equal: bool


def check_method(method: str) -> None:
    """Checks before any work that a method is known and installed.

    Raises:
      UserError: it is not.
    """
    if method not in METHODS:
        raise UserError(f"method = {method!r}: allowed are {', '.join(METHODS)}.")
    if method == "umap":
        _import_umap()


def project(vectors: np.ndarray, method: str, seed: int = 0) -> Projection:
    """Places vectors in a plane; the same for the same input, seed and versions of the libraries.

    Args:
      vectors: float [n, d], n >= 1, finite.
      method: one of METHODS. Fewer than 4 faces, and vectors that are all equal, are placed by pca.
      seed: of t-SNE and UMAP.

    Raises:
      UserError: UMAP is not installed.
      ValueError: vectors are not finite [n, d], or the method is unknown.
    """
    scaled = _scaled(vectors)
    all_equal = bool((scaled == scaled[0]).all())
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}")
    plane, explained = (np.zeros((len(scaled), 2)), 0.0) if all_equal else _pca(scaled)
    if all_equal or len(scaled) < _LEAST:
        method = "pca"
    if method == "tsne":
        plane = _tsne(scaled, plane, seed)
    elif method == "umap":
        plane = _umap(scaled, plane, seed)
    points = _fitted(plane)
    return Projection(
        points,
        method,
        None if all_equal else trustworthiness(scaled, points, seed=seed),
        min(N_NEIGHBOURS, (len(scaled) - 1) // 2),
        explained if method == "pca" and not all_equal else None,
        all_equal,
    )


def _scaled(vectors: np.ndarray) -> np.ndarray:
    """The vectors by their largest value, so that squares neither overflow nor become 0."""
    vectors = np.asarray(vectors, np.float64)
    if vectors.ndim != 2 or 0 in vectors.shape or not np.isfinite(vectors).all():
        raise ValueError(f"vectors must be finite [n >= 1, d >= 1], found {vectors.shape}")
    return vectors / (np.abs(vectors).max() or 1.0)


def _pca(vectors: np.ndarray) -> tuple[np.ndarray, float]:
    """The plane of the largest variance, float64 [n, 2], and its share of all variance."""
    from sklearn.decomposition import PCA

    n_axes = min(2, *vectors.shape)
    pca = PCA(n_axes, svd_solver="full")
    plane = np.zeros((len(vectors), 2))
    plane[:, :n_axes] = pca.fit_transform(vectors)
    return plane, float(np.sum(pca.explained_variance_ratio_))


def _tsne(vectors: np.ndarray, plane: np.ndarray, seed: int) -> np.ndarray:
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    tsne = TSNE(
        perplexity=min(PERPLEXITY, (len(vectors) - 1) / 3),
        init=_start(plane, seed, 1e-4),
        random_state=seed,
    )
    # Threads add numbers in any order, which would change the map from run to run; on a machine
    # with other work they are slower as well.
    with threadpool_limits(1):
        return tsne.fit_transform(vectors)


def _umap(vectors: np.ndarray, plane: np.ndarray, seed: int) -> np.ndarray:
    umap = _import_umap()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns that a seed means one thread
        return umap.UMAP(
            n_neighbors=min(N_NEIGHBOURS_UMAP, len(vectors) - 1),
            init=_start(plane, seed, 5.0).astype(np.float32),
            random_state=seed,
        ).fit_transform(vectors.astype(np.float32))


def _start(plane: np.ndarray, seed: int, spread: float) -> np.ndarray:
    """Where the faces are before they are moved: PCA's plane, whose first axis has this spread."""
    start = plane / (plane[:, 0].std() or 1.0) * spread
    # Faces in one place or on one line would never leave it.
    noise = np.random.default_rng(seed).normal(scale=1e-3 * spread, size=start.shape)
    return (start + noise).astype(np.float32)


def _fitted(plane: np.ndarray) -> np.ndarray:
    least, most = plane.min(axis=0), plane.max(axis=0)
    side = float((most - least).max())
    return ((plane - (least + most) / 2) / (side / 2 or 1.0)).astype(np.float32)


def _import_umap() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import umap
    except ImportError as error:
        found = "is not installed" if error.name == "umap" else f"cannot be imported ({error})"
        raise UserError(
            f"--method=umap requires umap-learn, which {found}: pip install 'imagefec[umap]'. Or "
            "give --method=tsne, which requires nothing else."
        ) from None
    return umap
