"""Evaluates a model during training on a complete split: every face is embedded once."""

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
      loss: the training loss: (embeddings float32 [3 * b, dim], types int8 [b], vote_counts int32
        [b, 3]) -> scalar; None if it does not take triplets.
      mesh: all devices; each embeds its part of a batch.
      batch_faces: faces per batch, rounded up to a multiple of the number of devices.
    """

    def __init__(
        self,
        data: Triplets,
        loss: Callable[[Any, Any, Any], Any] | None,
        mesh: Mesh,
        batch_faces: int = 256,
    ) -> None:
        self.data, self._loss, self._mesh = data, loss, mesh
        self._batch = -(-min(batch_faces, len(data.faces)) // mesh.size) * mesh.size
        self._forward: Callable[[Any, Any, Any], jax.Array] | None = None

    def __call__(self, model: Any) -> dict[str, float]:
        """Embeds the split with a Trax model in eval mode, its weights replicated.

        Returns:
          "tpa", "tpa_se", "tpa_<type>" for each type that has triplets, "embedding_spread", and
          "loss" if the loss takes triplets.
        """
        if self._forward is None:
            self._forward = self._compile(model)
        embeddings = self._embed(self._forward, model.weights, model.state)
        triplets = embeddings[self.data.triplets]
        correct = metrics.correct_triplets(*metrics.triplet_distances(triplets))
        report = metrics.tpa_by_type(np.asarray(correct), self.data.types)
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

    def _compile(self, model: Any) -> Callable[[Any, Any, Any], jax.Array]:
        key = np.asarray(jax.random.PRNGKey(0))  # Trax requires one; nothing is random in eval mode
        return jax.jit(
            lambda weights, state, faces: model.pure_fn(faces, weights, state, key)[0],
            out_shardings=replicated(self._mesh),
        )

    def _embed(
        self, forward: Callable[[Any, Any, Any], jax.Array], weights: Any, state: Any
    ) -> np.ndarray:
        faces, parts = self.data.faces, []
        local = local_slice(self._batch, self._mesh)
        for start in range(0, len(faces), self._batch):
            # The last batch wraps around to the first faces: another size would compile again.
            indices = np.arange(start, start + self._batch) % len(faces)
            placed = global_batch(np.asarray(faces[indices[local]]), self._batch, self._mesh)
            parts.append(np.asarray(forward(weights, state, placed)))
        return np.concatenate(parts)[: len(faces)]
