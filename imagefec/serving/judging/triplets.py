"""Splits of photos and random triplets of faces; pure. Which rater sees which is in `schedule`."""

import hashlib
import math
import random
from collections.abc import Iterable, Mapping, Sequence

from imagefec.fec import TripletType

FACES_OF_TRIPLET = 3
_TRIES = 400  # to find a triplet that is new, before the faces count as used up

Triplet = frozenset[str]  # ids of three faces


def random_of(*key: object) -> random.Random:
    """A source of randomness that depends on the key only."""
    digest = hashlib.sha256(repr(key).encode("utf-8", "surrogatepass")).digest()
    return random.Random(int.from_bytes(digest[:16], "little"))


def split_sizes(n: int, validation_fraction: float, test_fraction: float) -> dict[str, int]:
    """How many of n photos each split gets; a split that is wanted gets at least three.

    Raises:
      ValueError: n photos are too few; the text says how many are needed.
    """
    sizes = {
        split: max(FACES_OF_TRIPLET, round(fraction * n)) if fraction else 0
        for split, fraction in (("validation", validation_fraction), ("test", test_fraction))
    }
    sizes["train"] = n - sum(sizes.values())
    if sizes["train"] < FACES_OF_TRIPLET:
        wanted = 1 + sum(fraction > 0 for fraction in (validation_fraction, test_fraction))
        raise ValueError(
            f"{n} faces are too few for {wanted} split{'s' * (wanted > 1)} of at least "
            f"{FACES_OF_TRIPLET}"
        )
    return sizes


def assign_splits(
    labels: Sequence[str], seed: int, validation_fraction: float, test_fraction: float
) -> list[str]:
    """The split of each photo: random, and even over the labels.

    Args:
      labels: of the photos, "" for none.
      seed: of the choice.
      validation_fraction: share of the photos, in [0, 1).
      test_fraction: likewise.

    Raises:
      ValueError: as for `split_sizes`.
    """
    n = len(labels)
    sizes = split_sizes(n, validation_fraction, test_fraction)
    order = list(range(n))
    random_of(seed, "splits").shuffle(order)
    order.sort(key=lambda i: labels[i])
    splits = ["train"] * n
    for split in ("test", "validation"):
        free = [i for i in order if splits[i] == "train"]
        for place, i in enumerate(free):
            if is_turn(place, sizes[split] / len(free)):
                splits[i] = split
    return splits


def assign_by_person(
    photos: Sequence[tuple[str, str]], seed: int, validation_fraction: float, test_fraction: float
) -> list[str]:
    """The split of each photo, so that no person is in two: random, and near the fractions.

    Args:
      photos: person, "" if not known, and id of each; a photo of nobody known is a unit by itself.
      seed: of the choice.
      validation_fraction: share of the photos, in [0, 1).
      test_fraction: likewise.

    Raises:
      ValueError: as for `split_sizes`; or persons are too few for three photos in each split.
    """
    sizes = split_sizes(len(photos), validation_fraction, test_fraction)
    wanted = {split: size for split, size in sizes.items() if size}
    units: dict[tuple[str, str], list[int]] = {}
    for at, (person, name) in enumerate(photos):
        units.setdefault((person, "" if person else name), []).append(at)
    order = sorted(units)
    random_of(seed, "persons").shuffle(order)
    splits, counts = [""] * len(photos), dict.fromkeys(wanted, 0)
    for unit in order:
        split = min(wanted, key=lambda split: counts[split] / wanted[split])
        counts[split] += len(units[unit])
        for at in units[unit]:
            splits[at] = split
    if min(counts.values()) < FACES_OF_TRIPLET:
        raise ValueError(
            f"{len(units)} persons are too few for {len(wanted)} splits of at least "
            f"{FACES_OF_TRIPLET} faces, of which no two have the same person"
        )
    return splits


def is_turn(place: int, share: float) -> bool:
    """Whether the place, from 0, is one of an even pattern that takes this share of all places."""
    return math.floor((place + 1) * share + 1e-9) > math.floor(place * share + 1e-9)


def possible_types(groups: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """The types of triplet that faces can form.

    Args:
      groups: at least three faces by label, as of `grouped`; label "" for none.

    Returns:
      Keys of TripletType; ("",) if a face has no label.
    """
    if "" in groups:
        return ("",)
    sizes = [len(group) for group in groups.values()]
    possible = {
        TripletType.ONE_CLASS: max(sizes) >= 3,
        TripletType.TWO_CLASS: len(sizes) >= 2 and max(sizes) >= 2,
        TripletType.THREE_CLASS: len(sizes) >= 3,
    }
    return tuple(kind.key for kind, is_possible in possible.items() if is_possible)


def grouped(labels: Mapping[str, str], faces: Iterable[str]) -> dict[str, list[str]]:
    """Faces by label, both in sorted order."""
    groups: dict[str, list[str]] = {}
    for face in sorted(faces):
        groups.setdefault(labels[face], []).append(face)
    return dict(sorted(groups.items()))


def type_of(labels: Mapping[str, str], faces: Iterable[str]) -> str:
    """The type of a triplet, a key of TripletType; "" if a face has no label."""
    names = {labels[face] for face in faces}
    return "" if "" in names else TripletType(len(names) - 1).key


def sample_triplet(rng: random.Random, groups: Mapping[str, Sequence[str]], kind: str) -> Triplet:
    """Samples a triplet: first its labels, each as likely as the others, then its faces.

    Args:
      rng: source of randomness.
      groups: faces by label, as of `grouped`.
      kind: one of `possible_types` of these faces.
    """
    if kind == "":
        return frozenset(rng.sample([face for group in groups.values() for face in group], 3))
    names = list(groups)
    if kind == TripletType.ONE_CLASS.key:
        name = rng.choice([name for name in names if len(groups[name]) >= 3])
        return frozenset(rng.sample(groups[name], 3))
    if kind == TripletType.TWO_CLASS.key:
        pair = rng.choice([name for name in names if len(groups[name]) >= 2])
        other = rng.choice([name for name in names if name != pair])
        return frozenset([*rng.sample(groups[pair], 2), rng.choice(groups[other])])
    return frozenset(rng.choice(groups[name]) for name in rng.sample(names, 3))


class Stream:
    """Random triplets of some faces, no two equal, types in turn; the same for the same key."""

    def __init__(
        self, key: tuple, groups: Mapping[str, Sequence[str]], types: tuple[str, ...]
    ) -> None:
        """Begins a stream.

        Args:
          key: everything that the stream depends on beside the faces.
          groups: faces by label, as of `grouped`; at least three faces.
          types: as of `possible_types` of these faces.
        """
        self._rng = random_of(*key)
        self._groups, self._types = groups, types
        self._items: list[Triplet] = []
        self._known: set[Triplet] = set()
        self._is_used_up = False

    def first_without(self, seen: set[Triplet]) -> Triplet | None:
        """The first triplet that is not among those seen; None if the faces are used up."""
        place = 0
        while True:
            while len(self._items) <= place:
                if not self._grow():
                    return None
            if self._items[place] not in seen:
                return self._items[place]
            place += 1

    def _grow(self) -> bool:
        if self._is_used_up:
            return False
        turn = len(self._items) % len(self._types)
        for kind in (*self._types[turn:], *self._types[:turn]):
            for _ in range(_TRIES):
                triplet = sample_triplet(self._rng, self._groups, kind)
                if triplet not in self._known:
                    self._items.append(triplet)
                    self._known.add(triplet)
                    return True
        self._is_used_up = True
        return False
