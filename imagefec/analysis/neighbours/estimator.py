"""The search for neighbours as an estimator of scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from imagefec.analysis.neighbours.search import TREE, Search, make_search


class NearestFaces(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Nearest neighbours by Euclidean distance, with scikit-learn's methods.

    As `sklearn.neighbors.KNeighborsTransformer` with mode "distance"; but neighbours are those of
    float64, and equal distances are in the order of rows, with either algorithm.

    Attributes:
      n_features_in_: width of the fitted vectors.
      n_samples_fit_: their number.
    """

    def __init__(self, n_neighbors: int = 4, algorithm: str = TREE) -> None:
        """Sets parameters; `fit` checks them.

        Args:
          n_neighbors: neighbours per vector.
          algorithm: "tree" or "product", as in `NeighbourIndex`.
        """
        self.n_neighbors = n_neighbors
        self.algorithm = algorithm

    def fit(self, X: Any, y: Any = None) -> NearestFaces:  # noqa: ARG002
        """Makes the search.

        Args:
          X: float [n, d], finite.
          y: ignored.

        Raises:
          ValueError: X is not finite [n, d].
          UserError: there is no such algorithm.
        """
        vectors = validate_data(self, X, dtype=(np.float64, np.float32), order="C")
        self._vectors = np.array(vectors)  # the caller may change X
        self.n_samples_fit_, self._n_features_out = len(vectors), len(vectors)
        self._search: Search = make_search(self.algorithm, self._vectors, np.arange(len(vectors)))
        return self

    def kneighbors(
        self, X: Any = None, n_neighbors: int | None = None, return_distance: bool = True
    ) -> tuple[np.ndarray, np.ndarray] | np.ndarray:
        """Finds the nearest fitted vectors.

        Args:
          X: float [q, d], the queries; None for the fitted vectors, each without itself.
          n_neighbors: per query; None for that of the constructor.
          return_distance: also return the distances.

        Returns:
          (float64 [q, k], int64 [q, k]): distances, smallest first, and rows; or only the rows.

        Raises:
          ValueError: X is not finite [q, d], or n_neighbors is not 1 to the number of vectors.
        """
        check_is_fitted(self)
        k = self.n_neighbors if n_neighbors is None else n_neighbors
        own = X is None
        if own:
            queries = self._vectors
        else:
            queries = validate_data(self, X, dtype=(np.float64, np.float32), order="C", reset=False)
        most = self.n_samples_fit_ - own
        if not isinstance(k, int | np.integer) or isinstance(k, bool) or not 1 <= k <= most:
            raise ValueError(
                f"n_neighbors must be 1 to {most}, the number of vectors to choose from, found "
                f"{k!r}; n_samples_fit = {self.n_samples_fit_}, n_samples = {len(queries)}"
            )
        distances, rows = np.empty((len(queries), k)), np.empty((len(queries), k), np.int64)
        excluded = [np.array([row] if own else [], np.int64) for row in range(len(queries))]
        found = self._search.nearest(queries, int(k), excluded)
        for place, near in enumerate(found):
            distances[place], rows[place] = near
        return (distances, rows) if return_distance else rows

    def transform(self, X: Any) -> sparse.csr_matrix:
        """The graph of the distances from each vector to its neighbours.

        Args:
          X: float [q, d].

        Returns:
          Sparse float64 [q, n_samples_fit_], n_neighbors + 1 entries per row, as those who use such
          a graph do not count a fitted vector as its own neighbour.

        Raises:
          ValueError: as for `kneighbors`.
        """
        check_is_fitted(self)
        distances, rows = self.kneighbors(X, self.n_neighbors + 1)
        starts = np.arange(0, rows.size + 1, rows.shape[1])
        return sparse.csr_matrix(
            (distances.reshape(-1), rows.reshape(-1), starts), (len(rows), self.n_samples_fit_)
        )
