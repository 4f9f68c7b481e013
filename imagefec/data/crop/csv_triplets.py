"""The triplets of the csv files as numbers, and what dropped faces cost them."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from imagefec.data.crop.face_folder import FaceRecord
from imagefec.data.crop.report import CropReport, most_frequent_first
from imagefec.data.crop.unevenness import most_uneven_pair
from imagefec.data.exclusion import EXCLUDED
from imagefec.data.fec_csv import Row
from imagefec.faces.crop import NO_EYES, NO_FACE
from imagefec.fec import TYPE_KEYS

OF_DETECTOR = frozenset({NO_FACE, NO_EYES})  # reasons that another detector may not give


def why_lost(unlabelled: str | None, reasons: Iterable[str]) -> str | None:
    """The one reason under which a lost triplet is counted; None if it is complete.

    Args:
      unlabelled: why the triplet has no odd face; None if it has one.
      reasons: why each of its faces was dropped; "" for those that were not.

    Returns:
      The missing label, else "excluded" if a face is, else the first dropped face's reason.
    """
    if unlabelled is not None:
        return unlabelled
    dropped = [reason for reason in reasons if reason]
    return EXCLUDED if EXCLUDED in dropped else next(iter(dropped), None)


class CsvTriplets:
    """The triplets of the csv files as face numbers, 12 bytes each: the files are parsed once.

    Attributes:
      rows_refused: number of bad rows by split; every split has an entry.
    """

    def __init__(self) -> None:
        self.rows_refused: Counter[str] = Counter()
        self._numbers: dict[str, int] = {}  # of the face ids, in order of first mention
        self._photos: dict[str, int] = {}  # likewise, of the URLs
        self._photo_of_face = array("I")
        # (split, type, why it has no label) -> three face numbers per triplet
        self._faces: dict[tuple[str, str, str | None], array[int]] = {}

    def add(self, split: str, row: Row, face_ids: Sequence[str]) -> None:
        """Adds a row; `face_ids` are those of its faces."""
        of_key = self._faces.setdefault((split, row.type.key, row.why_unlabelled), array("I"))
        for face, face_id in zip(row.faces, face_ids):
            number = self._numbers.setdefault(face_id, len(self._numbers))
            if number == len(self._photo_of_face):
                self._photo_of_face.append(self._photos.setdefault(face.url, len(self._photos)))
            of_key.append(number)

    def summarise_crop(
        self, records: Mapping[str, FaceRecord], labels: Mapping[str, str] | None = None
    ) -> CropReport:
        """Counts faces and triplets.

        Args:
          records: outcomes by face id, of at least the faces of the triplets.
          labels: expressions by face id, of any of the faces.

        Returns:
          The report, without warnings.
        """
        faces = [records[face_id] for face_id in self._numbers]
        reasons = ["" if face.kept else face.reason for face in faces]
        dropped = Counter(reason for reason in reasons if reason)
        return CropReport(
            len(faces),
            reasons.count(""),
            sum(face.kept and face.upscaled for face in faces),
            most_frequent_first(dropped),
            self._count_triplets(reasons),
            self._cost_of_detector(reasons, labels or {}),
        )

    def _count_triplets(self, reasons: Sequence[str]) -> dict[str, dict[str, Any]]:
        splits = sorted(self.rows_refused)
        lost: dict[str, Counter[str]] = {split: Counter() for split in splits}
        only: dict[str, Counter[str]] = {split: Counter() for split in splits}
        of_type = {split: {key: Counter[str]() for key in TYPE_KEYS} for split in splits}
        by_type = {
            split: {key: {"n_triplets": 0, "whole": 0} for key in TYPE_KEYS} for split in splits
        }
        for (split, kind, unlabelled), numbers in self._faces.items():
            counts = by_type[split][kind]
            for at in range(0, len(numbers), 3):
                of_faces = [reasons[number] for number in numbers[at : at + 3]]
                reason = why_lost(unlabelled, of_faces)
                counts["n_triplets"] += 1
                if reason is None:
                    counts["whole"] += 1
                    continue
                lost[split][reason] += 1
                of_type[split][kind][reason] += 1
                only[split][reason] += {unlabelled or reason, *filter(None, of_faces)} == {reason}
        return {
            split: {
                "n_triplets": sum(counts["n_triplets"] for counts in by_type[split].values()),
                "whole": sum(counts["whole"] for counts in by_type[split].values()),
                "lost": most_frequent_first(lost[split]),
                "lost_only": most_frequent_first(only[split]),
                "rows_refused": self.rows_refused[split],
                "by_type": by_type[split],
                "lost_by_type": {
                    kind: most_frequent_first(counts) for kind, counts in of_type[split].items()
                },
            }
            for split in splits
        }

    def _cost_of_detector(
        self, reasons: Sequence[str], labels: Mapping[str, str]
    ) -> dict[str, Any]:
        missed = np.array([reason in OF_DETECTOR for reason in reasons], bool)
        searched = missed | np.array([not reason for reason in reasons], bool)
        photos = np.array(self._photo_of_face, np.int64)
        types, triplets = self._searched_triplets(searched)
        lost = missed[triplets].any(axis=1)
        cost = {
            "n_faces": int(searched.sum()),
            "n_missed": int(missed.sum()),
            "n_triplets": len(lost),
            "n_lost": int(lost.sum()),
            **_by_group("type", TYPE_KEYS, types, lost, photos[triplets]),
        }
        labelled = [labels.get(face_id) for face_id in self._numbers]
        names = sorted({label for label in labelled if label is not None})
        if names:
            code_of = {name: code for code, name in enumerate(names)}
            codes = np.array([code_of[label] if label else -1 for label in labelled])
            shown = searched & (codes >= 0)
            of_photo = photos[shown, None]
            cost |= _by_group("class", names, codes[shown], missed[shown], of_photo)
        return cost

    def _searched_triplets(self, searched: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Types [t] and face numbers [t, 3] of the triplets that only the detector can lose."""
        types, triplets = [np.zeros(0, np.int64)], [np.zeros((0, 3), np.int64)]
        for (_, kind, unlabelled), numbers in self._faces.items():
            if unlabelled is None:
                faces = np.array(numbers, np.int64).reshape(-1, 3)
                faces = faces[searched[faces].all(axis=1)]
                triplets.append(faces)
                types.append(np.full(len(faces), TYPE_KEYS.index(kind)))
        return np.concatenate(types), np.concatenate(triplets)


def _by_group(
    what: str, names: Sequence[str], groups: np.ndarray, missed: np.ndarray, photos: np.ndarray
) -> dict[str, Any]:
    """Counts by type or class, and the names of the two groups that are missed unevenly."""
    sizes = np.bincount(groups, minlength=len(names))
    n_missed = np.bincount(groups[missed], minlength=len(names))
    pair = most_uneven_pair(missed, groups, photos)
    return {
        f"by_{what}": {
            name: {"n": int(n), "missed": int(of_them)}
            for name, n, of_them in zip(names, sizes, n_missed)
        },
        f"uneven_{what}": None if pair is None else [names[group] for group in pair],
    }
