"""Makes the examples of the `vggface2` dataset from identity folders, without TFDS.

folders.py lists photos, detection.py crops their faces, face_cache.py stores these, sampling.py
samples triplets of their indices. Here `plan_examples` lists the places of each example's faces,
and `make_example` reads them, on any machine that can read the cache folder.
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
from imagefec.data.identity.detection import DetectionSettings, IdentityFace
from imagefec.data.identity.face_cache import CachedFaces, ForEach, cache_folder, crop_split
from imagefec.data.identity.folders import HOW_TO_FILL, Identity, SplitIdentities, list_splits
from imagefec.data.identity.loose_boxes import find_loose_boxes, read_loose_boxes
from imagefec.data.identity.sampling import identity_triplets
from imagefec.errors import UserError

__all__ = [
    "HOW_TO_FILL",
    "LAYOUTS",
    "DetectionSettings",
    "IdentitySplitReport",
    "ManualDir",
    "face_example",
    "make_example",
    "plan_examples",
    "sample_examples",
    "triplet_example",
]

LAYOUTS = ("triplets", "faces")
TRIPLETS_PER_FACE = 4  # by default, up to MAX_TRIPLETS
MAX_TRIPLETS = 500_000  # about as many as FEC has; 30 to 40 GB
NO_FACE_IN_ANY = "no usable photo"

Place = tuple[Identity, int]  # of a face in the cache folder


@dataclasses.dataclass
class IdentitySplitReport:
    """Counts of a split's folders and photos; the fields are keys of the dataset's metadata.

    Attributes:
      folder: the split's folder, relative to the manual directory.
      people: number of identities with at least one face.
      people_with_one_face: of these, identities that cannot be the alike pair of a triplet.
      people_also_in_train: number of identities of another split that are in train too, by name.
      photos: number of photos.
      faces: number of cropped faces.
      upscaled: number of faces that were smaller than 128 px.
      stray_files: number of other files and folders, which are skipped.
      left_out: number of identity folders left out, by reason.
      dropped: number of photos dropped, by reason.
      triplets_asked: number of triplets requested; None for a dataset of faces.
      examples: number of examples.
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
        """The report as plain JSON values, reasons sorted by name."""
        counts = {
            name: dict(sorted(getattr(self, name).items())) for name in ("left_out", "dropped")
        }
        return {**dataclasses.asdict(self), **counts}

    def __str__(self) -> str:
        dropped, left_out = (
            ", ".join(f"{n} {reason}" for reason, n in counts.most_common()) or "none"
            for counts in (self.dropped, self.left_out)
        )
        return (
            f"{self.folder}: {self.examples} examples; {self.faces} faces of {self.people} "
            f"identities from {self.photos} photos; dropped: {dropped}; identities left out: "
            f"{left_out}"
        )


class ManualDir:
    """A manual directory: the identities of its splits, its exclusion list and its face cache.

    Attributes:
      path: of the directory.
      settings: how faces are detected.
      exclusion: the list in exclude.txt.
      splits: SplitIdentities by split.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        cache: str | os.PathLike[str],
        settings: DetectionSettings,
    ) -> None:
        """Lists the identities.

        Args:
          path: the manual directory.
          cache: holds the cache folders of cropped faces.
          settings: how faces are detected.

        Raises:
          UserError: it has no identities, its exclude.txt cannot be read, or a loose_bb file is
            required and missing.
        """
        self.path, self.settings = Path(path), settings
        self.exclusion = Exclusion.of_manual_dir(self.path)
        self.splits: dict[str, SplitIdentities] = list_splits(self.path, self.exclusion)
        self._cache = cache_folder(cache, self.path, settings)
        self._box_files: dict[str, Path] = {}
        if settings.boxes == "loose_bb":  # fails now, not after hours of cropping the other split
            self._box_files = {
                split: find_loose_boxes(split, self._folder(split), self.path)
                for split in self.splits
            }

    def faces(
        self,
        split: str,
        report: IdentitySplitReport,
        progress: Any = None,
        for_each: ForEach | None = None,
    ) -> CachedFaces:
        """Crops the faces of a split that are not in the cache yet, and fills in the report.

        Args:
          split: one of `splits`.
          report: of the split.
          progress: as for `crop_split`.
          for_each: as for `crop_split`.

        Raises:
          UserError: no photo has a face; or as `crop_split`.
        """
        found = self.splits[split]
        boxes = read_loose_boxes(self._box_files[split]) if self._box_files else None
        faces = crop_split(
            found.identities, self.exclusion, self.settings, self._cache, boxes, for_each, progress
        )
        counts = faces.n_per_identity
        report.people = int((counts > 0).sum())
        report.people_with_one_face = int((counts == 1).sum())
        report.left_out = found.left_out + Counter({NO_FACE_IN_ANY: int((counts == 0).sum())})
        report.people_also_in_train = found.also_in_train
        report.photos, report.faces, report.upscaled = faces.photos, len(faces), faces.upscaled
        report.stray_files, report.dropped = found.stray_files + faces.stray_files, faces.dropped
        if not len(faces):
            raise UserError(
                f"{self.path}, split {split}: none of {faces.photos} photos has a face: "
                f"{dict(faces.dropped)}. Try another detector ('none' uses each photo as one "
                "face); see the README of the builder."
            )
        return faces

    def report(self, split: str) -> IdentitySplitReport:
        """An empty report of a split."""
        return IdentitySplitReport(self._folder(split).relative_to(self.path).as_posix())

    def _folder(self, split: str) -> Path:
        return self.splits[split].identities[0].folder.parent


def sample_examples(
    layout: str,
    n_triplets: int | None,
    seed: int,
    faces: CachedFaces,
    report: IdentitySplitReport,
) -> np.ndarray:
    """Chooses the faces of each example.

    Args:
      layout: "triplets" or "faces"; n_triplets and seed are for triplets.
      n_triplets: how many; None for TRIPLETS_PER_FACE, at most MAX_TRIPLETS. All possible ones if
        there are fewer.
      seed: of `identity_triplets`.
      faces: of a split.
      report: gets the numbers of requested triplets and of examples.

    Returns:
      int32 [n, 3] or, for "faces", [n, 1]: indices into `faces`, sorted by identity.

    Raises:
      UserError: fewer than two identities, or none with two faces; the text includes the report.
    """
    if layout == "faces":
        indices = np.arange(len(faces), dtype=np.int32)[:, None]
    else:
        report.triplets_asked = n_triplets or min(TRIPLETS_PER_FACE * len(faces), MAX_TRIPLETS)
        try:
            indices = identity_triplets(faces.labels, report.triplets_asked, seed)
        except UserError as error:
            raise UserError(f"{report}: {error}") from None
    report.examples = len(indices)
    return indices


def plan_examples(
    layout: str, n_triplets: int | None, seed: int, faces: CachedFaces
) -> Iterator[tuple[Place, ...]]:
    """Yields the places of each example's faces, as `sample_examples` chooses them; reads no face.

    Args:
      layout: as for `sample_examples`.
      n_triplets: as for `sample_examples`.
      seed: as for `sample_examples`.
      faces: of a split.
    """
    for indices in sample_examples(layout, n_triplets, seed, faces, IdentitySplitReport("")):
        yield tuple(faces.place(index) for index in indices.tolist())


def make_example(
    layout: str, read: Callable[[Identity, int], IdentityFace], places: tuple[Place, ...]
) -> tuple[str, dict[str, Any]]:
    """Reads the faces of an example and makes it.

    Args:
      layout: "triplets" or "faces".
      read: `CachedFaces.read`.
      places: from `plan_examples`.

    Returns:
      (key, example): the face ids, joined, and what `face_example` or `triplet_example` makes.
    """
    faces = [read(*place) for place in places]
    example = face_example(*faces) if layout == "faces" else triplet_example(*faces)
    return "_".join(face.face_id for face in faces), example


def triplet_example(first: IdentityFace, second: IdentityFace, odd: IdentityFace) -> dict[str, Any]:
    """Makes an example of two faces of one identity and one of another.

    Returns:
      image_a, image_b, image_c: PNG bytes, in the order of the arguments; odd: 2; face_ids, urls,
        identities: three str each.
    """
    three = (first, second, odd)
    return {
        **{f"image_{x}": face.png for x, face in zip("abc", three)},
        "odd": 2,
        "face_ids": [face.face_id for face in three],
        "urls": [face.url for face in three],
        "identities": [face.identity for face in three],
    }


def face_example(face: IdentityFace) -> dict[str, Any]:
    """Makes an example of one face.

    Returns:
      image: PNG bytes; face_id, url, identity: str; label: int; box: float32 [4], (left, right,
        top, bottom) in fractions of the photo.
    """
    return {
        "image": face.png,
        "face_id": face.face_id,
        "url": face.url,
        "identity": face.identity,
        "label": face.label,
        "box": np.array(face.box, np.float32),
    }
