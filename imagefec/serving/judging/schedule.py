"""Which three faces a rater sees next: judgements, repeats and catch trials; pure."""

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from imagefec.serving.judging.triplets import (
    Stream,
    Triplet,
    grouped,
    is_turn,
    possible_types,
    random_of,
    sample_triplet,
    type_of,
)

JUDGEMENT, REPEAT, CATCH = "judgement", "repeat", "catch"
COMMON, OWN, ACTIVE = "common", "own", "active"
REPEAT_EVERY = 10  # trial numbers 10, 20, 30, …
CATCH_EVERY, CATCH_AT = 15, 8  # trial numbers 8, 23, 38, …, which are never those of repeats
_FORGOTTEN_AFTER = 4  # trials that lie at least between a triplet and its repeat
Margins = Callable[[Sequence[Triplet]], Sequence[float]]  # how sure a run is of each triplet
_POOL = 300  # random triplets of which an active trial takes the one of the smallest margin


@dataclass(frozen=True)
class Trial:
    """Three faces as a rater sees them.

    Attributes:
      number: of the rater's trials, from 1.
      kind: JUDGEMENT, REPEAT or CATCH.
      faces: ids from left to right; of a catch trial two are equal.
      split: of a judgement's faces; "" for the others.
      source: of a judgement: COMMON to all raters, the rater's OWN, or ACTIVE: own, and chosen for
        its small margin; "" for the others.
      type: of a judgement, key of TripletType; "" without labels.
      repeats: number of the trial that a repeat shows again.
      margin: of an active trial, in distances of the run that chose it.
    """

    number: int
    kind: str
    faces: tuple[str, str, str]
    split: str = ""
    source: str = ""
    type: str = ""
    repeats: int | None = None
    margin: float | None = None

    @property
    def triplet(self) -> Triplet:
        """The faces without their places."""
        return frozenset(self.faces)


@dataclass(frozen=True)
class Plan:
    """What the trials of all raters are made from.

    Attributes:
      seed: of everything random.
      splits: split of each face id.
      labels: label of each face id, "" for none.
      validation_fraction: share of the judgements.
      test_fraction: likewise.
      common_share: share of the train judgements that all raters make. Those of validation and
        test are common always, so that their odd faces are decided by several raters.
      active_share: share of the own train judgements that are chosen by margin, if there is a run.
    """

    seed: int
    splits: Mapping[str, str]
    labels: Mapping[str, str]
    validation_fraction: float = 0.1
    test_fraction: float = 0.2
    common_share: float = 0.2
    active_share: float = 0.5


def next_number(trials: Sequence[Trial]) -> int:
    """The number of the trial after these; not their count plus one, if an answer was lost."""
    return trials[-1].number + 1 if trials else 1


class Schedule:
    """Makes the trials of raters. The next one depends on the plan and on those before it only."""

    def __init__(self, plan: Plan, margins: Margins | None = None) -> None:
        """Begins with no stream.

        Args:
          plan: of the project.
          margins: of triplets, by a run; None for random trials only.
        """
        self._plan, self._margins = plan, margins
        faces: dict[str, list[str]] = {}
        for face, split in sorted(plan.splits.items()):
            faces.setdefault(split, []).append(face)
        self._train = faces["train"]
        self._groups = {split: grouped(plan.labels, faces[split]) for split in faces}
        self._types = {split: possible_types(groups) for split, groups in self._groups.items()}
        self._streams: dict[tuple[str, str], Stream] = {}

    def next_trial(self, rater: str, before: Sequence[Trial]) -> Trial | None:
        """The trial after those that the rater has answered; None if all triplets are used up.

        Args:
          rater: name.
          before: trials answered and not undone, in order.
        """
        number = next_number(before)
        trial = None
        if number % REPEAT_EVERY == 0:
            trial = self._repeat(rater, before)
        elif number % CATCH_EVERY == CATCH_AT:
            trial = self._catch(rater, number)
        return trial or self._judgement(rater, before)

    def _repeat(self, rater: str, before: Sequence[Trial]) -> Trial | None:
        number = next_number(before)
        done = {trial.repeats for trial in before}
        old = [
            trial
            for trial in before
            if trial.kind == JUDGEMENT and trial.number < number - _FORGOTTEN_AFTER
        ]
        fresh = [trial for trial in old if trial.number not in done]
        if not old:
            return None
        rng = random_of(self._plan.seed, rater, "repeat", number)
        first = rng.choice(fresh or old)
        faces = first.faces
        while faces == first.faces:
            faces = _shuffled(rng, first.faces)
        return Trial(number, REPEAT, faces, repeats=first.number)

    def _catch(self, rater: str, number: int) -> Trial:
        rng = random_of(self._plan.seed, rater, "catch", number)
        twice, other = rng.sample(self._train, 2)
        labels = self._plan.labels
        for _ in range(20):  # another expression, so that nobody can be in doubt
            if labels[other] != labels[twice]:
                break
            twice, other = rng.sample(self._train, 2)
        return Trial(number, CATCH, _shuffled(rng, (twice, twice, other)))

    def _judgement(self, rater: str, before: Sequence[Trial]) -> Trial | None:
        number = next_number(before)
        judged = [trial for trial in before if trial.kind == JUDGEMENT]
        seen = {trial.triplet for trial in judged}
        for split, source in self._turns(judged):
            trial = self._of_source(rater, number, split, source, seen)
            if trial is not None:
                return trial
        return None

    def _turns(self, judged: Sequence[Trial]) -> list[tuple[str, str]]:
        """Split and source of the next judgement, then those to take if its faces are used up."""
        plan, n = self._plan, len(judged)
        n_test = sum(trial.split == "test" for trial in judged)
        n_train = sum(trial.split == "train" for trial in judged)
        n_own = sum(trial.source in (OWN, ACTIVE) for trial in judged)
        of_rest = plan.validation_fraction / (1 - plan.test_fraction)
        all_turns = [(split, COMMON) for split in ("test", "validation") if split in self._groups]
        if is_turn(n, plan.test_fraction) and "test" in self._groups:
            turn = "test", COMMON
        elif is_turn(n - n_test, of_rest) and "validation" in self._groups:
            turn = "validation", COMMON
        elif is_turn(n_train, plan.common_share):
            turn = "train", COMMON
        elif self._margins is not None and is_turn(n_own, plan.active_share):
            turn = "train", ACTIVE
        else:
            turn = "train", OWN
        return [turn, ("train", OWN), ("train", COMMON), *all_turns]

    def _of_source(
        self, rater: str, number: int, split: str, source: str, seen: set[Triplet]
    ) -> Trial | None:
        margin = None
        if source == ACTIVE:
            triplet, margin = self._active(rater, number, seen)
        else:
            triplet = self._stream(split, "" if source == COMMON else rater).first_without(seen)
        if triplet is None:
            return None
        rng = random_of(self._plan.seed, rater, "places", number)
        faces = _shuffled(rng, sorted(triplet))
        kind = type_of(self._plan.labels, triplet)
        return Trial(number, JUDGEMENT, faces, split, source, kind, margin=margin)

    def _active(
        self, rater: str, number: int, seen: set[Triplet]
    ) -> tuple[Triplet | None, float | None]:
        """The triplet of the smallest margin in a random pool of one type."""
        rng = random_of(self._plan.seed, rater, "active", number)
        groups, kind = self._groups["train"], rng.choice(self._types["train"])
        pool = list({sample_triplet(rng, groups, kind) for _ in range(_POOL)} - seen)
        if not pool or self._margins is None:
            return None, None
        margin, faces = min(zip(self._margins(pool), map(sorted, pool)))
        return (frozenset(faces), margin) if math.isfinite(margin) else (None, None)

    def _stream(self, split: str, rater: str) -> Stream:
        key = split, rater
        if key not in self._streams:
            whole_key = (self._plan.seed, "stream", split, rater)
            self._streams[key] = Stream(whole_key, self._groups[split], self._types[split])
        return self._streams[key]


def _shuffled(rng: random.Random, faces: Sequence[str]) -> tuple[str, str, str]:
    first, second, third = rng.sample(faces, 3)
    return first, second, third
