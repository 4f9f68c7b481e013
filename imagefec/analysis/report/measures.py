"""The numbers of a report as values: of runs, conditions, pairs and comparisons."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from imagefec.analysis import accuracy, orderings
from imagefec.analysis.report.conditions import Condition
from imagefec.analysis.report.estimates import Estimate, combined_error
from imagefec.data.annotations import Annotations
from imagefec.data.store.datasets import Triplets
from imagefec.model.run import Run


@dataclass(frozen=True)
class EvaluationSet:
    """What all runs of a report are measured on.

    Attributes:
      data: a split.
      photos: int [triplets, 3], as returned by `accuracy.triplet_photos`.
      queries: int [q], rows of the faces whose neighbours are compared.
      ranked: int [m], rows of the faces whose distances are ranked.
      rater_source: who judged the triplets, as `SplitLoader.rater_source` returns.
      annotations: persons and labels of the faces; None if they are not given.
    """

    data: Triplets
    photos: np.ndarray
    queries: np.ndarray
    ranked: np.ndarray
    rater_source: str | None = None
    annotations: Annotations | None = None

    @classmethod
    def of(
        cls,
        data: Triplets,
        rater_source: str | None = None,
        annotations: Annotations | None = None,
    ) -> "EvaluationSet":
        """Samples queries among the faces that have enough faces from other photos."""
        queries, ranked = orderings.choose_faces(len(data.urls))
        n_others = orderings.n_from_other_photos(data.urls)[queries]
        queries = queries[n_others >= orderings.N_NEIGHBOURS]
        photos = accuracy.triplet_photos(data)
        return cls(data, photos, queries, ranked, rater_source, annotations)


@dataclass(frozen=True)
class RunMeasures:
    """Measures of one run.

    Attributes:
      run: the run.
      step: training step of its checkpoint; None if unknown.
      scores: as returned by `evaluate.score_triplets`.
      correct: bool [triplets], which triplets it predicts correctly.
      invariance: as in imagefec.analysis.invariance.
      ordering: ordering of the faces; None if an embedding is not finite or there are no queries.
      neighbours: as `retrieval.score_neighbours` returns it, and "same_person_odd"; {} without
        annotations.
    """

    run: Run
    step: int | None
    scores: dict[str, Any]
    correct: np.ndarray
    invariance: dict[str, Any]
    ordering: orderings.Ordering | None
    neighbours: dict[str, Any] = field(default_factory=dict)

    @property
    def tpa(self) -> float:
        """TPA as a fraction."""
        return self.scores["tpa"]

    @property
    def view_distance(self) -> float | None:
        """Relative view distance."""
        return self.invariance["relative_view_distance"]


@dataclass(frozen=True)
class ConditionMeasures:
    """Measures of one condition: those of its runs, and means over its seeds.

    Attributes:
      condition: name and runs.
      runs: measures of each, in the condition's order.
      tpa: mean with its standard error over seeds, NaN for one seed.
      triplet_error: standard error of that mean due to the sample of triplets, clustered by photo.
      by_type: type -> TPA over seeds; None if the split has no such triplet.
      view_distance: relative view distance over seeds; None if undefined for a run.
      rms_distance: RMS pairwise distance over seeds; likewise.
      images_per_second: mean over the runs that recorded it.
    """

    condition: Condition
    runs: tuple[RunMeasures, ...]
    tpa: Estimate
    triplet_error: float
    by_type: dict[str, Estimate | None]
    view_distance: Estimate | None
    rms_distance: Estimate | None
    images_per_second: float | None

    @property
    def name(self) -> str:
        """Name of the condition."""
        return self.condition.name

    @property
    def seeds(self) -> list[int]:
        """Seeds of the runs."""
        return [run.run.seed for run in self.runs]

    @property
    def total_tpa(self) -> Estimate:
        """TPA with the standard error from seeds and triplets combined."""
        return Estimate(self.tpa.value, combined_error(self.tpa.error, self.triplet_error))


@dataclass(frozen=True)
class PairMeasures:
    """Agreement of two runs.

    Attributes:
      first: a run.
      second: another run.
      same_condition: whether both are of one condition.
      overlap: neighbour overlap, float64 [q].
      rank_correlation: rank correlation of the distances, float64 [q].
    """

    first: RunMeasures
    second: RunMeasures
    same_condition: bool
    overlap: np.ndarray
    rank_correlation: np.ndarray

    @property
    def same_seed(self) -> bool:
        """Whether runs of two conditions may have the same initial weights."""
        return self.first.run.seed == self.second.run.seed

    @property
    def tpa_difference(self) -> float:
        """Absolute difference of the TPAs."""
        return abs(self.first.tpa - self.second.tpa)


@dataclass(frozen=True)
class Contrast:
    """Difference of two conditions, first minus second.

    Attributes:
      first: a condition.
      second: another condition.
      difference: difference of TPA; its error combines seeds and triplets.
      seed_error: its standard error over seeds; NaN if either condition has one seed.
      triplet_error: its standard error over triplets.
      paired: number of seeds that the difference is paired by; 0 if unpaired.
      view_distance: difference of the relative view distance over seeds; None if undefined.
    """

    first: ConditionMeasures
    second: ConditionMeasures
    difference: Estimate
    seed_error: float
    triplet_error: float
    paired: int
    view_distance: Estimate | None


@dataclass(frozen=True)
class RunComparison:
    """A run compared with one of the best condition on the same triplets.

    Attributes:
      condition: name of the run's condition.
      run: the run.
      best: the run of the best condition, of the same seed if possible.
      result: as returned by `evaluate.compare_predictions`, the run minus the best.
    """

    condition: str
    run: RunMeasures
    best: RunMeasures
    result: dict[str, Any]


@dataclass(frozen=True)
class Measures:
    """All numbers of a report.

    Attributes:
      conditions: ordered by TPA, best first.
      contrasts: each other condition minus the best, in that order.
      comparisons: each run of the other conditions with one of the best.
      pairs: all pairs of runs with an ordering.
      uda: for each UDA series its conditions by weight, and each minus the one of weight 0.
      human_tpa: leave-one-out human accuracy; None if the split has no votes to compare.
      human_tpa_by_type: likewise by type of triplet.
      rater_source: of the evaluation set.
      n_triplets: number of triplets of the split.
      n_faces: number of faces of the split.
      n_queries: number of faces whose neighbours are compared.
    """

    conditions: list[ConditionMeasures]
    contrasts: list[Contrast]
    comparisons: list[RunComparison]
    pairs: list[PairMeasures]
    uda: list[tuple[list[ConditionMeasures], list[Contrast]]]
    human_tpa: float | None
    human_tpa_by_type: dict[str, float | None]
    rater_source: str | None
    n_triplets: int
    n_faces: int
    n_queries: int

    @property
    def rater_accuracy_name(self) -> str:
        """What `human_tpa` is called: "human accuracy" only if people judged the triplets."""
        return accuracy.rater_accuracy_name(self.rater_source)

    @property
    def best(self) -> ConditionMeasures:
        """The condition with the highest TPA."""
        return self.conditions[0]

    @property
    def worst(self) -> ConditionMeasures:
        """The condition with the lowest TPA."""
        return self.conditions[-1]
