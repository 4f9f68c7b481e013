"""Who is shown with which expression in which photo of each split, before anything is rendered."""

from dataclasses import dataclass

import numpy as np

from imagefec.faces.synthetic.heads.expressions import WORDS, sample_expression
from imagefec.faces.synthetic.heads.people import SyntheticPerson, sample_person
from imagefec.faces.synthetic.settings import DrawSettings
from imagefec.faces.synthetic.variations import Variations

Heads = list[tuple[SyntheticPerson, np.ndarray]]

_GROUP_PHOTOS = 0.1  # share of photos with two or three faces
# Stream of random numbers of each split: its faces do not depend on the other splits'.
_STREAMS = {"train": 0, "test": 1, "validation": 2}
_HARD_STREAM = 100  # added in the hard world, whose people are in no other
_RENDERED_FIRST = ("test", "train", "validation")


@dataclass(frozen=True)
class SplitPlan:
    """The identities, expressions and photos of a split, before they are rendered.

    Attributes:
      split: its name.
      stream: of random numbers.
      people: the split's identities.
      words: int [faces], index into WORDS of each face.
      expressions: float32 [faces, controls].
      person_of_face: int [faces], index into `people` of each face.
      groups: the faces of each photo.
      names: the path of each photo, relative to the dataset's folder.
    """

    split: str
    stream: int
    people: list[SyntheticPerson]
    words: np.ndarray
    expressions: np.ndarray
    person_of_face: np.ndarray
    groups: list[list[int]]
    names: list[str]

    def identity_of(self, face: int) -> str:
        """The name of a face's identity; no two splits share one."""
        return f"{self.split}{self.person_of_face[face]:05d}"

    @property
    def heads(self) -> list[Heads]:
        """The persons and expressions of each photo."""
        return [
            [(self.people[self.person_of_face[i]], self.expressions[i]) for i in group]
            for group in self.groups
        ]


def plan_splits(settings: DrawSettings) -> list[SplitPlan]:
    """Plans the splits, in the order in which they are rendered."""
    return [
        _plan(settings, split, n["faces"], n["identities"])
        for split in sorted(settings.shares, key=_RENDERED_FIRST.index)
        for n in (settings.numbers_of(split),)
    ]


def _plan(settings: DrawSettings, split: str, n_faces: int, n_people: int) -> SplitPlan:
    stream = _STREAMS[split] + (_HARD_STREAM if settings.world.hard else 0)
    rng = np.random.default_rng([settings.seed, stream])
    vary = Variations(settings.world, [settings.seed, 30 + stream])
    people = [vary.person(sample_person(rng)) for _ in range(n_people)]
    words = rng.permutation(np.arange(n_faces) % len(WORDS))
    expressions = np.stack([vary.expression(sample_expression(rng, word)) for word in words])
    person_of_face = rng.integers(n_people, size=n_faces)
    groups, at = [], 0
    while at < n_faces:
        size = int(rng.integers(2, 4)) if rng.random() < _GROUP_PHOTOS else 1
        groups.append(list(range(at, min(at + size, n_faces))))
        at += size
    # Some of FEC's URLs contain commas, which the csv reader must handle.
    names = [
        f"images/{split}/{i:06d}{',_b' if rng.random() < 0.05 else ''}.jpg"
        for i in range(len(groups))
    ]
    return SplitPlan(split, stream, people, words, expressions, person_of_face, groups, names)
