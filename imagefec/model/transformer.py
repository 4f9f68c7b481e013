"""The Embedder as a transformer of scikit-learn."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin

from imagefec.model.embedder import Embedder
from imagefec.model.run import Run


class FaceEmbedding(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Embeds faces with a run, as a step of a scikit-learn pipeline.

    It learns nothing: `fit` only checks the run, and `transform` works without it. A pickle holds
    the run's path and a digest of its weights, as that of an `Embedder`.
    """

    _embedder: Embedder | None = None
    _embedder_of: Any = None  # the parameter run when it was loaded

    def __init__(self, run: str | os.PathLike[str] | Run = "", batch_size: int = 256) -> None:
        """Sets parameters; `fit` checks them.

        Args:
          run: run directory, or archive made by `imagefec export`.
          batch_size: faces per batch.
        """
        self.run = run
        self.batch_size = batch_size

    def fit(self, X: Any = None, y: Any = None) -> FaceEmbedding:  # noqa: ARG002
        """Loads the run.

        Args:
          X: ignored.
          y: likewise.

        Raises:
          UserError: there is no such run, or it is broken.
        """
        self._loaded()
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Embeds faces.

        Args:
          X: faces as for `Embedder.embed`: uint8 [n, h, w, 3] RGB, or n paths or images.

        Returns:
          float32 [n, d], unit length; or a table, after `set_output`.

        Raises:
          ValueError: as for `Embedder.embed`; likewise UserError.
        """
        return self._loaded().embed(X, self.batch_size)

    @property
    def _n_features_out(self) -> int:
        return self._loaded().d_embedding

    def _loaded(self) -> Embedder:
        if self._embedder is None or self._embedder_of != self.run:
            self._embedder, self._embedder_of = Embedder.load(self.run), self.run
        return self._embedder

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.requires_fit, tags.no_validation = False, True
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = False
        return tags
