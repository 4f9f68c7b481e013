"""Which faces of a split other splits of its dataset show too, and why; `--disjoint_from`."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from absl import logging

from imagefec.analysis.overlap import near_duplicates
from imagefec.analysis.overlap.photo_sources import photo_source
from imagefec.analysis.split import SplitLoader
from imagefec.data.store import datasets
from imagefec.data.store.datasets import Triplets
from imagefec.errors import UserError
from imagefec.paths import readable

AUTO, NONE, TRAIN = "auto", "none", "train"
SAME_PHOTO, COPY = "same photo", "near-duplicate picture"


@dataclass(frozen=True)
class Overlap:
    """Which of the n faces of a split are also in other splits.

    Attributes:
      splits: names of the other splits; none if nothing was compared.
      same_photo: bool [n], their photo is in one of them, by its URL.
      copy: bool [n], it is not, but a picture there is nearly the same.
    """

    splits: tuple[str, ...]
    same_photo: np.ndarray
    copy: np.ndarray

    @property
    def shared(self) -> np.ndarray:
        """Which faces are in the other splits, for either reason: bool [n]."""
        return self.same_photo | self.copy

    @property
    def names(self) -> str:
        """The splits as a text."""
        return ", ".join(map(readable, self.splits))

    def as_json(self) -> dict[str, Any]:
        """{"from", "n_faces", "n_left_out", "reasons": reason -> faces}."""
        reasons = {SAME_PHOTO: self.same_photo, COPY: self.copy}
        return {
            "from": [readable(split) for split in self.splits],
            "n_faces": len(self.shared),
            "n_left_out": int(self.shared.sum()),
            "reasons": {name: int(which.sum()) for name, which in reasons.items()},
        }

    def in_words(self) -> str:
        """A line for people: "48 of 1,798 faces are also in train: same photo 40, …"."""
        n, reasons = int(self.shared.sum()), self.as_json()["reasons"]
        why = ", ".join(f"{reason} {count:,}" for reason, count in reasons.items() if count)
        are = "is" if n == 1 else "are"
        return f"{n:,} of {len(self.shared):,} faces {are} also in {self.names}{why and ': '}{why}"


def splits_of(disjoint_from: str | Sequence[str], loader: SplitLoader) -> tuple[str, ...]:
    """The splits that a value of --disjoint_from means.

    Args:
      disjoint_from: names separated by commas, or a sequence of them; "none"; "auto": "train" if
        the dataset has it and the loader's split is no part of it, else none.
      loader: of the split whose faces are compared.
    """
    given = [disjoint_from] if isinstance(disjoint_from, str) else disjoint_from
    names = [name.strip() for text in given for name in text.split(",") if name.strip()]
    if names == [AUTO]:
        is_part = TRAIN in loader.base_splits(loader.name)
        return () if is_part or not loader.has(TRAIN) else (TRAIN,)
    if NONE in names and len(names) > 1:
        raise UserError(
            f"--disjoint_from={','.join(names)}: none goes with no other; give it alone, or splits."
        )
    return () if names == [NONE] else tuple(dict.fromkeys(names))


def find_overlap(
    loader: SplitLoader, data: Triplets, splits: Sequence[str], image_size: int | None = None
) -> Overlap:
    """Compares the faces of a split with those of others, by URL and by picture.

    Perceptual hashes are cached beside the datasets, so that a second call does not read the faces.

    Args:
      loader: of the split.
      data: the split as the loader loaded it, with faces of 64 px or more.
      splits: the other splits of the dataset.
      image_size: size at which all are compared, 64 px or more, such as that of a run, whose
        training has stored the faces so; None for the size of `data`. One size, since rounding
        changes a few bits, and with them a face near the threshold.

    Raises:
      UserError: there is no such split, or it is damaged.
    """
    sources = np.array([photo_source(url) for url in data.urls], dtype=object)
    same_photo = np.zeros(len(sources), bool)
    distances = np.full(len(sources), 8 * near_duplicates.N_BYTES, np.int64)
    size = max(near_duplicates.HASH_PX, image_size or int(data.faces.shape[1]))
    views = None
    if splits:
        own = data if data.faces.shape[1] == size else loader.load_other(loader.name, size)
        views = _hashes(loader, loader.name, own, views=True)
    for split in splits:
        logging.info("comparing %s with %s", loader.name, split)
        other = loader.load_other(split, size)
        known = {photo_source(url) for url in other.urls}
        same_photo |= np.array([source in known for source in sources], bool)
        assert views is not None
        found = near_duplicates.nearest_distances(views, _hashes(loader, split, other, views=False))
        distances = np.minimum(distances, found)
    copy = ~same_photo & (distances <= near_duplicates.MAX_DISTANCE)
    return Overlap(tuple(splits), same_photo, copy)


def _hashes(loader: SplitLoader, split: str, data: Triplets, views: bool) -> np.ndarray:
    ids = hashlib.sha256("\n".join(data.face_ids).encode("utf-8", "surrogatepass")).hexdigest()
    n, n_bytes = len(data.face_ids), near_duplicates.N_BYTES
    size = int(data.faces.shape[1])
    return datasets.load_cached_array(
        loader.data_dir,
        loader.dataset,
        split,
        f"{'views' if views else 'hashes'}{size}px",
        {"format": 1, "image_size": size, "faces": ids},
        (n, near_duplicates.VIEWS, n_bytes) if views else (n, n_bytes),
        lambda: near_duplicates.hash_faces(data.faces, views),
    )
