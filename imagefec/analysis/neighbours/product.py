"""The search with products of matrices in float32, made exact in float64.

|v - q|^2 = |v|^2 - 2 v.q + |q|^2, and the last term is the same for all v. One product per query
and vector gives scores whose rounding error has a bound. The vectors are in blocks of 64 rows; the
k-th smallest of the blocks' least scores is at least the k-th smallest score. Only blocks whose
least score is below it, within twice the bound, can hold a neighbour: usually k of them. Their
distances are computed as those of every search.
"""

from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from imagefec.analysis.neighbours.exact import exact_distances, first_k, without
from imagefec.devices import check_not_forked, find_devices

BLOCK = 64  # rows per block
_CHUNK = 1024  # rows per product: with 256 queries its scores fit in a core's cache
_QUERIES = 256  # at a time
_SMALL = 4096  # up to so many vectors all distances are computed in float64
_LEAST_EXPONENT = -400  # squares of smaller numbers are not normal ones in float64


class ProductSearch:
    """Finds neighbours with products of matrices on JAX's default device; see `Search`.

    Memory: the vectors once more in float32 on the device, and some MB.
    """

    def __init__(self, vectors: np.ndarray, places: np.ndarray) -> None:
        """As `make_search`."""
        self._vectors, self._places = vectors, places
        self._in_blocks = len(vectors) > _SMALL
        if self._in_blocks:
            find_devices()
            self._centre = vectors.mean(axis=0, dtype=np.float64)
            self._blocks, self._exponent, self._length = _prepared(vectors, self._centre)
            self._in_blocks = self._exponent >= _LEAST_EXPONENT

    def nearest(
        self, queries: np.ndarray, k: int, excluded: Sequence[np.ndarray]
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """See `Search`."""
        for start in range(0, len(queries), _QUERIES):
            chunk = slice(start, start + _QUERIES)
            ranks = np.array([k + len(out) for out in excluded[chunk]])
            points = queries[chunk].astype(np.float64)
            candidates = self._candidates(points, ranks)
            for query, rows, out in zip(points, candidates, excluded[chunk]):
                rows = rows[without(rows, out)]
                yield first_k(exact_distances(self._vectors, rows, query), rows, self._places, k)

    def _candidates(self, queries: np.ndarray, ranks: np.ndarray) -> Iterator[np.ndarray]:
        """For each query rows among which the nearest `ranks` vectors are."""
        n = len(self._vectors)
        n_blocks = -(-n // BLOCK)
        if not self._in_blocks or ranks.min() > n_blocks:
            for _ in ranks:
                yield np.arange(n)
            return
        minima, errors = self._block_minima(queries)
        minima = np.ascontiguousarray(minima[:n_blocks].T)
        in_block = np.arange(BLOCK)
        for least, error, rank in zip(minima, errors, ranks):
            if rank > n_blocks or not np.isfinite(error):
                yield np.arange(n)
                continue
            bound = np.float64(np.partition(least, rank - 1)[rank - 1]) + 2 * error
            rows = (np.flatnonzero(least <= bound)[:, None] * BLOCK + in_block).reshape(-1)
            yield rows if rows[-1] < n else rows[rows < n]

    def _block_minima(self, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The least score of each block, and a bound of the scores' errors.

        Returns:
          (float32 [blocks, q], float64 [q]).
        """
        check_not_forked()
        queries = queries - self._centre
        # Everything is scaled by powers of two, so that nothing overflows in float32.
        exponents = np.maximum(_exponents(np.abs(queries).max(axis=1)), self._exponent)
        scaled = np.ldexp(queries, -exponents[:, None])
        weights = np.ldexp(1.0, self._exponent - exponents)
        lengths = np.linalg.norm(scaled, axis=1)
        padded = np.zeros((1 << (len(queries) - 1).bit_length(), queries.shape[1] + 1), np.float32)
        padded[: len(queries), :-1], padded[: len(queries), -1] = -2 * scaled, weights
        minima = np.asarray(_minima(self._blocks, padded))
        errors = _error_bound(queries.shape[1], lengths, weights, self._length)
        return minima.reshape(-1, len(padded))[:, : len(queries)], errors


def _prepared(vectors: np.ndarray, centre: np.ndarray) -> tuple[jax.Array, int, float]:
    """The vectors on the device, their exponent, and the largest length of a scaled one.

    Centring them makes products, and so errors, smaller. The last column is |v|^2.

    Returns:
      (float32 [chunks, _CHUNK, d + 1], exponent, length).
    """
    n, dim = vectors.shape
    chunks = [slice(start, start + _CHUNK) for start in range(0, n, _CHUNK)]
    largest = max(np.abs(vectors[chunk] - centre).max() for chunk in chunks)
    exponent = int(_exponents(largest))
    table = np.empty((len(chunks) * _CHUNK, dim + 1), np.float32)
    length = 0.0
    for chunk in chunks:
        scaled = np.ldexp(vectors[chunk] - centre, -exponent)
        squares = (scaled * scaled).sum(axis=1)
        length = max(length, float(np.sqrt(squares.max())))
        table[chunk][: len(scaled), :-1], table[chunk][: len(scaled), -1] = scaled, squares
    # The last block repeats the last vector: this changes no block's least score.
    table[n:] = table[n - 1]
    return jax.device_put(table.reshape(len(chunks), _CHUNK, dim + 1)), exponent, length


@jax.jit
def _minima(blocks: jax.Array, queries: jax.Array) -> jax.Array:
    """The least score of each block for each query: float32 [chunks, blocks, q]."""

    def of_chunk(chunk: jax.Array) -> jax.Array:
        # The default precision of an accelerator would be lower than float32's.
        scores = jnp.dot(chunk, queries.T, precision=jax.lax.Precision.HIGHEST)
        return scores.reshape(-1, BLOCK, len(queries)).min(axis=1)

    return jax.lax.map(of_chunk, blocks)


def _error_bound(dim: int, lengths: np.ndarray, weights: np.ndarray, largest: float) -> np.ndarray:
    """How far a score can be from the score of the distance that is returned: float64 [q].

    The scores are sums of dim + 1 products. Each rounding to float32 is an error of at most 2^-24
    of the terms' sizes (or 2^-126, below normal numbers); the bound allows four times as much. The
    last term is the rounding of the distances in float64.

    Args:
      dim: of the vectors.
      lengths: float64 [q], of the scaled queries.
      weights: float64 [q], of |v|^2 in the score.
      largest: length of the longest scaled vector.
    """
    sizes = 2 * lengths * largest + weights * largest**2
    with np.errstate(divide="ignore", over="ignore"):
        distances = (lengths + weights * largest) ** 2 / weights
    return (dim + 8) * (2.0**-22 * sizes + 2.0**-120 + 2.0**-50 * distances)


def _exponents(sizes: np.ndarray) -> np.ndarray:
    """The least e with size <= 2^e; 0 for 0."""
    return np.frexp(sizes)[1]
