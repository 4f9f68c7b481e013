"""The losses of imagefec.maths as Trax layers over a batch, with or without UDA's term."""

from typing import Annotated, Any

import jax
import jax.numpy as jnp

from imagefec.compat import tl
from imagefec.maths import identity, losses, metrics, mining
from imagefec.parameters import Flag, Items, Maybe, Number, OneOf, checked
from imagefec.training.config import UdaConfig

SELECTIONS = ("semi_hard", "batch_hard")
_Margin, _Distance = Number(0, 4, above=True), OneOf(*losses.DISTANCES)


@checked
def TripletLoss(
    margin: Annotated[float, _Margin] = 0.1,
    margins_by_type: Annotated[
        tuple[float, float, float] | None, Maybe(Items(_Margin, 3, 3))
    ] = None,
    distance: Annotated[str, _Distance] = "l2",
) -> tl.Layer:
    """Trax layer: mean over the batch of the symmetric triplet margin loss.

    Inputs: embeddings float32 [3 * batch, dim], each triplet's (alike, alike, odd) in turn; types
    int8 [batch], 0 one-class, 1 two-class, 2 three-class; vote_counts int32 [batch, 3], how many
    raters chose each face as the odd one out. Output: float32 scalar.

    Args:
      margin: required gap between distances, unitless, in (0, 2) for "l2", (0, 4) for "squared_l2".
      margins_by_type: a margin for each type of triplet instead, one-class, two-class and
        three-class, as in Vemulapalli & Agarwala 2019; None for `margin`.
      distance: "l2" or "squared_l2".

    Raises:
      ValueError: an argument has a value that is not allowed.
    """

    def loss(embeddings: jnp.ndarray, types: jnp.ndarray, vote_counts: jnp.ndarray) -> jnp.ndarray:
        del vote_counts
        margins = margin if margins_by_type is None else jnp.asarray(margins_by_type)[types]
        return jnp.mean(losses.odd_one_out_hinge(as_triplets(embeddings), margins, distance))

    return tl.Fn("TripletLoss", loss)


@checked
def OddOneOutCrossEntropy(
    temperature: Annotated[float, Number(1e-6, 10**6)] = 0.05,
    distance: Annotated[str, _Distance] = "squared_l2",
    from_votes: Annotated[bool, Flag()] = False,
    label_smoothing: Annotated[float, Number(0, 1, below=True)] = 0.0,
) -> tl.Layer:
    """Trax layer: mean over the batch of the odd-one-out cross-entropy.

    Inputs and output are those of TripletLoss.

    Args:
      temperature: distance that makes a pair e times less likely to be the alike one, above 0.
      distance: "l2" or "squared_l2".
      from_votes: predict the votes of all raters instead of the majority's choice.
      label_smoothing: share of that target that is spread evenly over the three faces.

    Raises:
      ValueError: an argument has a value that is not allowed.
    """

    def loss(embeddings: jnp.ndarray, types: jnp.ndarray, vote_counts: jnp.ndarray) -> jnp.ndarray:
        del types
        counts = vote_counts if from_votes else None
        return jnp.mean(
            losses.odd_one_out_cross_entropy(
                as_triplets(embeddings), temperature, distance, counts, label_smoothing
            )
        )

    return tl.Fn("OddOneOutCrossEntropy", loss)


@checked
def IdentityLoss(
    select: Annotated[str, OneOf(*SELECTIONS)] = "semi_hard",
    margin: Annotated[float, _Margin] = 0.2,
    distance: Annotated[str, _Distance] = "l2",
) -> tl.Layer:
    """Trax layer: mean hinge over triplets mined in a batch of P identities with K faces each.

    Inputs: embeddings float32 [batch, dim]; labels int32 [batch], the identity of each face.
    Output: float32 scalar.

    Args:
      select: "semi_hard": every pair of one identity's faces against the nearest face of another
        identity that is farther away than the pair's distance; "batch_hard": every face against its
        identity's farthest face and the nearest face of another.
      margin: required gap between distances, unitless, in (0, 2) for "l2", (0, 4) for "squared_l2".
      distance: "l2" or "squared_l2".

    Raises:
      ValueError: an argument has a value that is not allowed.
    """

    def loss(embeddings: jnp.ndarray, labels: jnp.ndarray) -> jnp.ndarray:
        if select == "batch_hard":
            return jnp.mean(mining.batch_hard_triplet(embeddings, labels, margin, distance))
        total = jnp.sum(mining.semi_hard_triplet(embeddings, labels, margin, distance))
        return total / jnp.maximum(mining.n_positive_pairs(labels), 1)

    return tl.Fn("IdentityLoss", loss)


class Objective(tl.Layer):
    """Trax layer: a loss over the first views, plus UDA's term and the one against persons if on.

    Inputs: embeddings float32 [views * n, dim], the first view of all n faces, then the second; the
    loss's labels; with shared faces int32 [batch, 3], the places of each triplet's faces; with
    identity removal int32 [labelled faces], who each of these shows (below 0: not known), and a
    float32 scalar, the weight; with UDA a float32 scalar, the weight. The first faces are those
    that the labels describe (three per label for a loss over triplets, unless they share faces);
    the rest are unlabelled and enter UDA's term alone. Output: float32 scalar.

    The layer's state has the terms as float32 scalars: "triplet" (the loss), "uda" and "identity"
    (neither weighted) and "spread", the embedding spread of the first views.

    Args:
      loss: a layer such as TripletLoss (inputs embeddings, types, vote_counts) or IdentityLoss
        (inputs embeddings, labels).
      uda: the consistency term; the batch contains its `weight_at(step)`. None for no term.
      shared_faces: whether triplets share faces, as `SharedFacesSampler` samples them.
      without_persons: whether the batch contains persons and weight of `identity.person_share`.
    """

    def __init__(
        self,
        loss: tl.Layer,
        uda: UdaConfig | None = None,
        shared_faces: bool = False,
        without_persons: bool = False,
    ) -> None:
        uda = uda or UdaConfig()
        super().__init__(n_in=loss.n_in + uda.views - 1 + shared_faces + 2 * without_persons)
        self._loss, self._uda, self._shared_faces = loss, uda, shared_faces
        self._without_persons = without_persons

    def init_weights_and_state(self, input_signature: Any) -> None:
        """Sets every term to 0, since gradient accumulation scans over states of one structure."""
        del input_signature
        names = ["triplet", "spread"]
        names += ["uda"] if self._uda.weight else []
        names += ["identity"] if self._without_persons else []
        self.state = {name: jnp.zeros((), jnp.float32) for name in names}

    def forward(self, inputs: Any) -> jnp.ndarray:
        """Computes the weighted sum of the terms."""
        embeddings, *labels = inputs
        weight = labels.pop() if self._uda.weight else None
        if self._without_persons:
            *labels, persons, removal_weight = labels
        views = embeddings.reshape(self._uda.views, -1, embeddings.shape[-1])
        if self._shared_faces:
            labelled = views[0, labels.pop().reshape(-1)]
        else:
            labelled = views[0, : faces_per_label(self._loss) * len(labels[0])]
        loss = self._loss.forward((labelled, *labels))
        terms = {"triplet": loss, "spread": metrics.rms_pairwise_distance(views[0])}
        total = loss
        if self._uda.weight:
            first = jax.lax.stop_gradient(views[0]) if self._uda.stop_gradient else views[0]
            terms["uda"] = jnp.mean(losses.uda_consistency(first, views[1], self._uda.distance))
            total = loss + weight * terms["uda"]
        if self._without_persons:
            terms["identity"] = identity.person_share(views[0, : len(persons)], persons)
            total = total + removal_weight * terms["identity"]
        self.state = terms
        return total


def takes_triplets(loss: tl.Layer) -> bool:
    """Whether a loss takes (embeddings, types, vote_counts) rather than (embeddings, labels)."""
    return loss.n_in == 3


def faces_per_label(loss: tl.Layer) -> int:
    """3 for a loss over triplets, 1 for a loss over identities."""
    return 3 if takes_triplets(loss) else 1


def as_triplets(embeddings: jnp.ndarray) -> jnp.ndarray:
    """[3 * batch, dim] -> [batch, 3, dim]."""
    return embeddings.reshape(-1, 3, embeddings.shape[-1])
