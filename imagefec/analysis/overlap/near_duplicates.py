"""Finds faces that are copies of others: recompressed, resized, brighter, shifted, or mirrored.

Perceptual hashes of 256 bits, bit for bit those of ImageHash's `phash(hash_size=16)`, but of many
faces at once. No files.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import cv2
import numpy as np

from imagefec.faces import opencv

HASH_PX = 64  # side of the grey face that is hashed
_BITS_SIDE = 16  # lowest frequencies along each axis
N_BYTES = _BITS_SIDE**2 // 8
MAX_DISTANCE = 24  # bits; docs/looking.md has the measurement
VIEWS = 18  # of each face that is searched for: nine shifts, also mirrored
_MAX_UNSHIFTED = 72  # bits of the unshifted view, above which its shifts are not compared
_SHIFT = 0.75  # of 64 px; a shift by 1 or 2 px of 128 px is 0.25 px from a view
_STEP, _VIEW_STEP = 512, 64  # faces at a time
_CHUNK_FACES, _CHUNK_QUERIES, _CHUNK_PAIRS = 8192, 1024, 2**16


def hash_faces(faces: Sequence[np.ndarray] | np.ndarray, views: bool = False) -> np.ndarray:
    """Hashes faces, a few at a time.

    Args:
      faces: n faces, uint8 [h, w, 3], RGB; read one after the other.
      views: hash each face also shifted by 0.75 of 64 px in eight directions, and all mirrored.

    Returns:
      uint8 [n, 32], 256 bits each; with `views` [n, 18, 32], the face itself first, its mirror
      image in the middle.

    Source: pHash as in https://github.com/JohannesBuchner/imagehash.
    """
    parts = [np.zeros((0, VIEWS, N_BYTES) if views else (0, N_BYTES), np.uint8)]
    step = _VIEW_STEP if views else _STEP
    with opencv.single_thread():
        for start in range(0, len(faces), step):
            some = (faces[row] for row in range(start, min(start + step, len(faces))))
            grey = np.stack([_small_grey(np.asarray(face)) for face in some])
            if views:
                moved = _shifted(grey)
                both = np.concatenate([moved, moved[..., ::-1]], axis=1)
                hashes = hash_grey(both.reshape(-1, HASH_PX, HASH_PX))
                parts.append(hashes.reshape(len(grey), VIEWS, N_BYTES))
            else:
                parts.append(hash_grey(grey))
    return np.concatenate(parts)


def hash_grey(grey: np.ndarray) -> np.ndarray:
    """Hashes grey images of 64 x 64 px.

    Args:
      grey: uint8 or float32 [n, 64, 64].

    Returns:
      uint8 [n, 32].
    """
    # Two large products, because many small ones are slow.
    basis, n = _basis().T, len(grey)
    along_rows = grey.astype(np.float64).reshape(-1, HASH_PX) @ basis
    columns = along_rows.reshape(n, HASH_PX, -1).transpose(0, 2, 1).reshape(-1, HASH_PX)
    low = (columns @ basis).reshape(n, _BITS_SIDE, _BITS_SIDE).transpose(0, 2, 1).reshape(n, -1)
    return np.packbits(low > np.median(low, axis=1, keepdims=True), axis=1)


def nearest_distances(views: np.ndarray, hashes: np.ndarray) -> np.ndarray:
    """The number of bits in which each face differs from the nearest of some hashes.

    Args:
      views: uint8 [q, 18, b], as `hash_faces` returns them.
      hashes: uint8 [n, b].

    Returns:
      int64 [q], the smallest over views and hashes. The shifted views are compared with the hashes
      that differ by 72 bits or less from the unshifted one only; others are no copies.
    """
    n_bits, half = 8 * hashes.shape[1], VIEWS // 2
    nearest = np.full(len(views), n_bits, np.int64)
    for start in range(0, len(hashes), _CHUNK_FACES):
        some = hashes[start : start + _CHUNK_FACES]
        signs = _signs(some).T
        for at in range(0, len(views), _CHUNK_QUERIES):
            for side in (slice(0, half), slice(half, VIEWS)):
                part = views[at : at + _CHUNK_QUERIES, side]
                # The product is exact: sums of a few hundred ones fit in float32.
                equal = _signs(part[:, 0]) @ signs
                pairs = np.argwhere(equal >= n_bits - 2 * _MAX_UNSHIFTED)
                for first in range(0, len(pairs), _CHUNK_PAIRS):
                    query, other = pairs[first : first + _CHUNK_PAIRS].T
                    bits = _N_ONES[part[query] ^ some[other][:, None]].sum(axis=2).min(axis=1)
                    np.minimum.at(nearest, at + query, bits)
                far = (n_bits - equal.max(axis=1, initial=-n_bits).astype(np.int64)) // 2
                ends = slice(at, at + len(part))
                nearest[ends] = np.minimum(nearest[ends], far)
    return nearest


_N_ONES = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(axis=1)


def _signs(hashes: np.ndarray) -> np.ndarray:
    """Bits as -1 and 1, so that a product counts the equal ones minus the different ones."""
    return np.unpackbits(hashes, axis=1).astype(np.float32) * 2 - 1


def _small_grey(face: np.ndarray) -> np.ndarray:
    return opencv.resize(cv2.cvtColor(face, cv2.COLOR_RGB2GRAY), HASH_PX, HASH_PX)


def _shifted(grey: np.ndarray) -> np.ndarray:
    """Grey faces [n, 64, 64] shifted in nine ways, the first not at all: float32 [n, 9, 64, 64]."""
    rows = [_moved(grey.astype(np.float32), 1, by) for by in (0.0, -_SHIFT, _SHIFT)]
    return np.stack([_moved(row, 2, by) for row in rows for by in (0.0, -_SHIFT, _SHIFT)], axis=1)


def _moved(grey: np.ndarray, axis: int, by: float) -> np.ndarray:
    """Shifted along an axis by less than a pixel, interpolated; the border is repeated."""
    if not by:
        return grey
    places = np.clip(np.arange(HASH_PX) + (1 if by > 0 else -1), 0, HASH_PX - 1)
    return (1 - abs(by)) * grey + abs(by) * np.take(grey, places, axis=axis)


@cache
def _basis() -> np.ndarray:
    """The lowest cosines of the DCT-II of 64 values: [16, 64]."""
    from scipy.fft import dct

    return dct(np.eye(HASH_PX), axis=0)[:_BITS_SIDE]
