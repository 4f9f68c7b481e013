"""From identity folders to the examples of the `vggface2` dataset; knows nothing of TFDS.

The way of a picture: `vggface2_folders` lists it, `vggface2_faces` makes its face,
`vggface2_scratch` keeps that, `vggface2_draws` draws triplets of rows, and here they become
examples: of places, which `list_work` lists and `do_work` reads, here or anywhere the scratch
folder is seen.
"""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from imagefec.data.exclusion import Exclusion
from imagefec.data.identity.face_cache import Faces, Spread, cut_split, scratch_folder
from imagefec.data.identity.face_making import Face, Settings
from imagefec.data.identity.folders import HOW_TO_FILL, People, Person, list_splits
from imagefec.data.identity.loose_boxes import find_loose_boxes, read_loose_boxes
from imagefec.data.identity.sampling import identity_batches, identity_triplets
from imagefec.errors import UserError

__all__ = [
    "HOW_TO_FILL",
    "LAYOUTS",
    "ManualDir",
    "Settings",
    "SplitReport",
    "do_work",
    "identity_batches",
    "identity_triplets",
    "list_work",
    "sample_rows",
]

LAYOUTS = ("triplets", "faces")
TRIPLETS_A_FACE, MOST_TRIPLETS = (
    4,
    500_000,
)  # unless a number is asked for: FEC has as many; 30 to 40 GB
NO_FACE_IN_ANY = "no usable photo"

Place = tuple[Person, int]  # of a face in the scratch folder


@dataclasses.dataclass
class SplitReport:
    """What became of a split's folders and photos.

    `people` have a face or more; those of `people_with_one_face` are never the alike ones of a
    triplet. `left_out` counts identity folders by reason, `dropped` photos by reason; `stray_files`
    are other files and folders, which are passed over.
    """

    folder: str
    people: int = 0
    people_with_one_face: int = 0
    people_also_in_train: int = 0
    photos: int = 0
    faces: int = 0
    upscaled: int = 0
    stray_files: int = 0
    left_out: Counter[str] = dataclasses.field(default_factory=Counter)
    dropped: Counter[str] = dataclasses.field(default_factory=Counter)
    triplets_asked: int | None = None
    examples: int = 0

    def as_json(self) -> dict[str, Any]:
        """The report as plain json values, reasons sorted by name."""
        counts = {
            name: dict(sorted(getattr(self, name).items())) for name in ("left_out", "dropped")
        }
        return {**dataclasses.asdict(self), **counts}

    def __str__(self) -> str:
        reasons = [
            ", ".join(f"{n} {reason}" for reason, n in counts.most_common()) or "none"
            for counts in (self.dropped, self.left_out)
        ]
        return (
            f"{self.folder}: {self.examples} examples; {self.faces} faces of {self.people} people from {self.photos} photos; "
            f"dropped: {reasons[0]}; people left out: {reasons[1]}"
        )


class ManualDir:
    """A manual directory: the people of its splits, its exclusion list, and where its faces are cut to."""

    def __init__(self, path: str | os.PathLike, scratch: str | os.PathLike, settings: Settings) -> None:
        """Lists the people.

        Args:
          path: the manual directory.
          scratch: under which the cut faces are kept.
          settings: how faces are found.

        Raises:
          UserError: there are no people in it, its exclude.txt cannot be read, or a loose_bb file
            is wanted and missing.
        """
        self.path, self.settings = Path(path), settings
        self.exclusion = Exclusion.of_manual_dir(self.path)
        self.splits: dict[str, People] = list_splits(self.path, self.exclusion)
        self._scratch = scratch_folder(scratch, self.path, settings)
        if (
            settings.boxes == "loose_bb"
        ):  # looked for now, not after hours of cutting the other split
            self._box_files = {
                split: find_loose_boxes(split, found.people[0].folder.parent, self.path)
                for split, found in self.splits.items()
            }

    def faces(
        self, split: str, report: SplitReport, progress: Any = None, spread: Spread | None = None
    ) -> Faces:
        """Cuts the faces of a split (those not cut yet) and fills the report; `spread` as for `cut_split`.

        Raises:
          UserError: not one face came out; or as `cut_split`.
        """
        found = self.splits[split]
        boxes = (
            read_loose_boxes(self._box_files[split]) if self.settings.boxes == "loose_bb" else None
        )
        faces = cut_split(
            found.people, self.exclusion, self.settings, self._scratch, boxes, spread, progress
        )
        counts = faces.n_by_person
        report.people, report.people_with_one_face = (
            int((counts > 0).sum()),
            int((counts == 1).sum()),
        )
        report.left_out = found.left_out + Counter({NO_FACE_IN_ANY: int((counts == 0).sum())})
        report.people_also_in_train = found.also_in_train
        report.photos, report.faces, report.upscaled = faces.photos, len(faces), faces.upscaled
        report.stray_files, report.dropped = found.stray_files + faces.stray_files, faces.dropped
        if not len(faces):
            raise UserError(
                f"{self.path}, split {split}: not one face came out of {faces.photos} photos: {dict(faces.dropped)}. "
                "Another detector may find them ('none' takes whole pictures), see the README of the builder."
            )
        return faces

    def report(self, split: str) -> SplitReport:
        """An empty report of a split."""
        return SplitReport(
            self.splits[split].people[0].folder.parent.relative_to(self.path).as_posix()
        )


def sample_rows(
    layout: str, n_triplets: int | None, seed: int, faces: Faces, report: SplitReport
) -> np.ndarray:
    """Chooses the faces of each example.

    Args:
      layout: "triplets" or "faces"; the next two are for triplets.
      n_triplets: how many; None for four a face, 500,000 at most. Where so many different ones do
        not exist, all are made.
      seed: of `identity_triplets`.
      faces: of a split.
      report: is told how many there are.

    Returns:
      int32 [n, 3] or, of "faces", [n, 1]: rows of `faces`, person by person.

    Raises:
      UserError: fewer than two people, or none with two faces; the report's reasons are in the
        text.
    """
    if layout == "faces":
        rows = np.arange(len(faces), dtype=np.int32)[:, None]
    else:
        report.triplets_asked = n_triplets or min(TRIPLETS_A_FACE * len(faces), MOST_TRIPLETS)
        try:
            rows = identity_triplets(faces.labels, report.triplets_asked, seed)
        except UserError as error:
            raise UserError(f"{report}: {error}") from None
    report.examples = len(rows)
    return rows


def list_work(
    layout: str, n_triplets: int | None, seed: int, faces: Faces
) -> Iterator[tuple[Place, ...]]:
    """The places of the faces of each example, drawn as `sample_rows` draws them; small, and no face is read yet."""
    for rows in sample_rows(layout, n_triplets, seed, faces, SplitReport("")):
        yield tuple(faces.place(row) for row in rows.tolist())


def do_work(
    layout: str, read: Callable[[Person, int], Face], places: tuple[Place, ...]
) -> tuple[str, dict[str, Any]]:
    """Reads the faces of an example, as `Faces.read` does, and makes it.

    Returns:
      (key, example): the face id and what `face_example` makes, or the three face ids, joined, and
        what `triplet_example` makes.
    """
    made = [read(*place) for place in places]
    example = face_example(*made) if layout == "faces" else triplet_example(*made)
    return "_".join(face.face_id for face in made), example


def triplet_example(first: Face, second: Face, other: Face) -> dict[str, Any]:
    """Makes an example of two faces of one person and one of another.

    Returns:
      image_a, image_b, image_c: PNG bytes, in the order of the arguments; odd: 2; face_ids, urls,
        identities: three str.
    """
    three = (first, second, other)
    return {
        **{f"image_{x}": face.png for x, face in zip("abc", three)},
        "odd": 2,
        "face_ids": [face.face_id for face in three],
        "urls": [face.url for face in three],
        "identities": [face.identity for face in three],
    }


def face_example(face: Face) -> dict[str, Any]:
    """Makes an example of a face: image, PNG bytes; face_id, url, identity: str; label: int; box: float32 [4]."""
    return {
        "image": face.png,
        "face_id": face.face_id,
        "url": face.url,
        "identity": face.identity,
        "label": face.label,
        "box": np.array(face.box, np.float32),
    }
