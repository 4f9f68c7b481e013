"""The losses of maths.losses as Trax layers over a batch of triplets, alone or with UDA's term; no optimiser, no data."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from imagefec.compat import tl
from imagefec.errors import UserError
from imagefec.maths import losses, metrics, mining


def TripletLoss(
    margin: float = 0.1,
    margins_by_type: tuple[float, float, float] | None = None,
    distance: str = "l2",
) -> tl.Layer:
    """Trax layer: mean over the batch of the both-anchor triplet hinge.

    It takes (embeddings, types, vote_counts): float32 [3 * batch, dim], each triplet's (alike, alike,
      odd) in turn; int8 [batch],
    0 one-class, 1 two-class, 2 three-class; int32 [batch, 3], how many raters found each face the
    odd one.

    Args:
      margin: gap asked for between distances.
      margins_by_type: one margin for each type of triplet instead, as in Vemulapalli & Agarwala
        2019.
      distance: "l2" or "squared_l2".

    Raises:
      ValueError: the distance is unknown.
    """
    _check(distance)

    def loss(embeddings: jnp.ndarray, types: jnp.ndarray, vote_counts: jnp.ndarray) -> jnp.ndarray:
        del vote_counts
        asked = margin if margins_by_type is None else jnp.asarray(margins_by_type)[types]
        return jnp.mean(losses.odd_one_out_hinge(as_triplets(embeddings), asked, distance))

    return tl.Fn("TripletLoss", loss)


def OddOneOutCrossEntropy(
    temperature: float = 0.05, distance: str = "squared_l2", from_votes: bool = False
) -> tl.Layer:
    """Trax layer: mean over the batch of the odd-one-out cross-entropy; takes what TripletLoss takes.

    Args:
      temperature: distance that makes a pair e times less likely to be found alike.
      distance: "l2" or "squared_l2".
      from_votes: explain all raters' votes, not the majority's alone.

    Raises:
      ValueError: the distance is unknown.
    """
    _check(distance)

    def loss(embeddings: jnp.ndarray, types: jnp.ndarray, vote_counts: jnp.ndarray) -> jnp.ndarray:
        del types
        return jnp.mean(
            losses.odd_one_out_cross_entropy(
                as_triplets(embeddings), temperature, distance, vote_counts if from_votes else None
            )
        )

    return tl.Fn("OddOneOutCrossEntropy", loss)


def IdentityLoss(select: str = "semi_hard", margin: float = 0.2, distance: str = "l2") -> tl.Layer:
    """Trax layer: mean triplet hinge over triplets picked inside a batch of P people with K faces each.

    It takes (embeddings, labels): float32 [batch, dim] and int32 [batch], the person of each face.

    Args:
      select: "semi_hard": every pair of a person's faces against the nearest face of another that
        is farther off than the pair is wide; "batch_hard": every face against its farthest of the
        person and the nearest of another.
      margin: gap asked for between distances.
      distance: "l2" or "squared_l2".

    Raises:
      ValueError: select or the distance is unknown.
    """
    _check(distance)
    if select not in ("semi_hard", "batch_hard"):
        raise ValueError(f"select must be semi_hard or batch_hard; found {select!r}")

    def loss(embeddings: jnp.ndarray, labels: jnp.ndarray) -> jnp.ndarray:
        if select == "batch_hard":
            return jnp.mean(mining.batch_hard_triplet(embeddings, labels, margin, distance))
        return jnp.sum(
            mining.semi_hard_triplet(embeddings, labels, margin, distance)
        ) / jnp.maximum(mining.n_positive_pairs(labels), 1)

    return tl.Fn("IdentityLoss", loss)


@dataclass(frozen=True)
class Uda:
    """The consistency of two augmented views of every face, beside the triplet loss; off where weight is 0.

    Attributes:
      weight: of the term, relative to the triplet loss.
      distance: "l2" or "squared_l2".
      stop_gradient: hold the first view still (the one that the triplet loss sees), as UDA has it
        for class probabilities; otherwise both views are pulled.
      ramp_steps: steps over which the weight rises from 0.
      dataset: TFDS name of faces that enter this term alone; None for no such faces.
      split: split of it.
      batch_faces: how many of them a step takes.
    """

    weight: float = 0.0
    distance: str = "l2"
    stop_gradient: bool = False
    ramp_steps: int = 0
    dataset: str | None = None
    split: str = "train"
    batch_faces: int = 0

    def check(self) -> None:
        """Refuses what makes no term.

        Raises:
          UserError: a number is below 0, the distance is unknown, or faces are asked for and no
            dataset, or the reverse.
        """
        for name in ("weight", "ramp_steps", "batch_faces"):
            if getattr(self, name) < 0:
                raise UserError(
                    f"uda_consistency.{name} is {getattr(self, name)}; it must be 0 or more."
                )
        if self.distance not in losses.DISTANCES:
            raise UserError(
                f"uda_consistency.distance must be one of {', '.join(losses.DISTANCES)}; found "
                f"{self.distance!r}."
            )
        if (self.dataset is not None) != (self.batch_faces > 0) or (
            self.dataset is not None and not self.weight
        ):
            raise UserError(
                f"uda_consistency.dataset is {self.dataset!r}, batch_faces {self.batch_faces} and weight "
                f"{self.weight}: unlabelled faces want all three, and none of them without a dataset."
            )

    @property
    def views(self) -> int:
        """Augmented views of each face that a step takes."""
        return 2 if self.weight else 1

    def weight_at(self, step: int) -> float:
        """The weight at a step, from 1."""
        return self.weight * min(1.0, step / self.ramp_steps) if self.ramp_steps else self.weight


class Objective(tl.Layer):
    """Trax layer: a loss of the first views, and UDA's term over all faces where uda.weight is not 0.

    It takes (embeddings, *labels), with UDA (embeddings, *labels, weight): float32 [views * n,
      dim], first all faces' first
    view, then all faces' second; what else the loss takes; a scalar. Of the n faces the first are
    the loss's: as many as it has labels, three for each where it is a loss of triplets; the rest
    are UDA's alone. Its state holds the terms
    apart: "triplet", "uda" (not weighted) and "spread", the embedding spread of the first views.

    Args:
      loss: a layer as TripletLoss (triplets: it takes types and vote_counts) or IdentityLoss (faces: it
        takes labels).
      uda: the term; its `weight_at(step)` comes with the batch.
    """

    def __init__(self, loss: tl.Layer, uda: Uda = Uda()):
        super().__init__(n_in=loss.n_in + uda.views - 1)
        self._loss, self._uda = loss, uda

    def init_weights_and_state(self, input_signature: Any) -> None:
        names = ("triplet", "spread", "uda") if self._uda.weight else ("triplet", "spread")
        self.state = {name: jnp.zeros((), jnp.float32) for name in names}

    def forward(self, inputs: Any) -> jnp.ndarray:
        embeddings, *labels = inputs
        weight = labels.pop() if self._uda.weight else None
        views = embeddings.reshape(self._uda.views, -1, embeddings.shape[-1])
        labelled = faces_a_label(self._loss) * len(labels[0])
        triplet = self._loss.forward((views[0, :labelled], *labels))
        terms = {"triplet": triplet, "spread": metrics.rms_pairwise_distance(views[0])}
        total = triplet
        if self._uda.weight:
            still = jax.lax.stop_gradient(views[0]) if self._uda.stop_gradient else views[0]
            terms["uda"] = jnp.mean(losses.uda_consistency(still, views[1], self._uda.distance))
            total = triplet + weight * terms["uda"]
        self.state = terms
        return total


def faces_a_label(loss: tl.Layer) -> int:
    """3 for a loss of triplets (embeddings, types, vote_counts), 1 for one of faces (embeddings, labels)."""
    return 3 if loss.n_in == 3 else 1


def as_triplets(embeddings: jnp.ndarray) -> jnp.ndarray:
    """[3 * batch, dim] -> [batch, 3, dim]."""
    return embeddings.reshape(-1, 3, embeddings.shape[-1])


def _check(distance: str) -> None:
    if distance not in losses.DISTANCES:
        raise ValueError(
            f"distance must be one of {', '.join(losses.DISTANCES)}; found {distance!r}"
        )
