"""Measures of a model in training over a whole split: every face embedded once, in eval mode."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from imagefec.data.store.datasets import Triplets
from imagefec.maths import metrics
from imagefec.training.step.mesh import global_batch, local_slice, replicated


class SplitEvaluation:
    """TPA overall and by type, loss and embedding spread of one split.

    Args:
      data: the split.
      loss: a function of (embeddings float32 [3 * b, dim], types int8 [b], votes int32 [b, 3]) ->
        scalar, the training loss; None where that is no loss of triplets.
      mesh: of all devices; each embeds its share of a batch.
      batch_faces: faces embedded at a time; the next multiple of the number of devices is taken.
    """

    def __init__(
        self,
        data: Triplets,
        loss: Callable[[Any, Any, Any], Any] | None,
        mesh: Mesh,
        batch_faces: int = 256,
    ):
        self.data, self._loss, self._mesh = data, loss, mesh
        self._batch = -(-min(batch_faces, len(data.faces)) // mesh.size) * mesh.size
        self._forward = None

    def __call__(self, model: Any) -> dict[str, float]:
        """Embeds the split with a Trax model in eval mode, its weights on every device; returns name -> measure."""
        if self._forward is None:
            key = np.asarray(
                jax.random.PRNGKey(0)
            )  # Trax asks for one; in eval mode nothing draws from it
            self._forward = jax.jit(
                lambda weights, state, faces: model.pure_fn(faces, weights, state, key)[0],
                out_shardings=replicated(self._mesh),
            )
        embeddings = self._embed(model.weights, model.state)
        triplets = embeddings[self.data.triplets]
        right = metrics.correct_triplets(*metrics.triplet_distances(triplets))
        report = metrics.tpa_by_type(np.asarray(right), self.data.types)
        measures = {"tpa": report["tpa"], "tpa_se": report["tpa_se"]}
        for name, part in report["by_type"].items():
            if part["tpa"] is not None:
                measures[f"tpa_{name}"] = part["tpa"]
        if self._loss:
            measures["loss"] = float(
                self._loss(
                    jnp.asarray(triplets.reshape(-1, triplets.shape[-1])),
                    jnp.asarray(self.data.types),
                    jnp.asarray(self.data.vote_counts),
                )
            )
        measures["embedding_spread"] = float(metrics.rms_pairwise_distance(embeddings))
        return measures

    def _embed(self, weights: Any, state: Any) -> np.ndarray:
        faces, parts = self.data.faces, []
        own = local_slice(self._batch, self._mesh)
        for start in range(0, len(faces), self._batch):
            # The last batch is filled up, so that its size is not compiled anew, and cut again.
            rows = np.arange(start, start + self._batch) % len(faces)
            placed = global_batch(np.asarray(faces[rows[own]]), self._batch, self._mesh)
            parts.append(np.asarray(self._forward(weights, state, placed)))
        return np.concatenate(parts)[: len(faces)]
