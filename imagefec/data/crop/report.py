"""The report of the crop stage: counts of cropped and dropped faces, complete and lost triplets."""

from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from imagefec.data.crop.face_folder import FaceRecord
from imagefec.data.fec_csv import Row
from imagefec.fec import TYPE_KEYS


@dataclass(frozen=True)
class CropReport:
    """Counts of the csv files' distinct faces and of their triplets.

    Attributes:
      n_faces: n_kept + the sum of `dropped`.
      n_kept: faces with a PNG.
      n_upscaled: those of n_kept that had fewer than 128 px.
      dropped: counts by reason.
      triplets: counts by split. "n_triplets" is "whole" (complete triplets) plus the sum of "lost"
        (counts by reason); other keys are "rows_refused" and "by_type". A lost triplet is counted
        once: under its missing label ("tie", "no votes"), else under its first dropped face.
    """

    n_faces: int
    n_kept: int
    n_upscaled: int
    dropped: dict[str, int]
    triplets: dict[str, dict[str, Any]]

    def as_json(self) -> dict[str, Any]:
        """The report as JSON values."""
        return asdict(self)


class CsvTriplets:
    """The triplets of the csv files as face numbers, 12 bytes each: the files are parsed once.

    Attributes:
      rows_refused: number of bad rows by split; every split has an entry.
    """

    def __init__(self) -> None:
        self.rows_refused: Counter[str] = Counter()
        self._numbers: dict[str, int] = {}  # of the face ids, in order of first mention
        # (split, type, why it has no label) -> three face numbers per triplet
        self._faces: dict[tuple[str, str, str | None], array[int]] = {}

    def add(self, split: str, row: Row, face_ids: Sequence[str]) -> None:
        """Adds a row; `face_ids` are those of its faces."""
        key = split, row.type.key, row.why_unlabelled
        numbers = (self._numbers.setdefault(face_id, len(self._numbers)) for face_id in face_ids)
        self._faces.setdefault(key, array("I")).extend(numbers)

    def summarise_crop(self, records: Mapping[str, FaceRecord]) -> CropReport:
        """Counts faces and triplets.

        Args:
          records: outcomes by face id, of at least the faces of the triplets.
        """
        faces = [records[face_id] for face_id in self._numbers]
        reasons = [None if face.kept else face.reason for face in faces]
        return CropReport(
            len(faces),
            reasons.count(None),
            sum(face.kept and face.upscaled for face in faces),
            _most_frequent_first(Counter(reason for reason in reasons if reason is not None)),
            self._count_triplets(reasons),
        )

    def _count_triplets(self, reasons: Sequence[str | None]) -> dict[str, dict[str, Any]]:
        lost: dict[str, Counter[str]] = {split: Counter() for split in self.rows_refused}
        by_type = {
            split: {key: {"n_triplets": 0, "whole": 0} for key in TYPE_KEYS} for split in lost
        }
        for (split, kind, unlabelled), numbers in self._faces.items():
            counts = by_type[split][kind]
            for at in range(0, len(numbers), 3):
                of_faces = (reasons[number] for number in numbers[at : at + 3])
                reason = unlabelled or next(filter(None, of_faces), None)
                counts["n_triplets"] += 1
                counts["whole"] += reason is None
                if reason is not None:
                    lost[split][reason] += 1
        return {
            split: {
                "n_triplets": sum(counts["n_triplets"] for counts in by_type[split].values()),
                "whole": sum(counts["whole"] for counts in by_type[split].values()),
                "lost": _most_frequent_first(lost[split]),
                "rows_refused": self.rows_refused[split],
                "by_type": by_type[split],
            }
            for split in sorted(lost)
        }


def describe(report: CropReport) -> str:
    """Writes a report as lines of text: faces, and what dropped faces cost in triplets."""
    lines = [f"faces     {_share(report.n_kept, report.n_faces)} cropped"]
    lines += [f"dropped   {n}: {reason}" for reason, n in _first_of(report.dropped)]
    for split, counts in report.triplets.items():
        n_lost = counts["n_triplets"] - counts["whole"]
        lines.append(
            f"triplets  {split}: {_share(counts['whole'], counts['n_triplets'])} complete, "
            f"{n_lost} lost"
        )
        lines += [
            f"lost      {split}: {_share(n, counts['n_triplets'])}: {reason}"
            for reason, n in _first_of(counts["lost"])
        ]
        if counts["rows_refused"]:
            lines.append(f"rows      {split}: {counts['rows_refused']} bad rows skipped")
    return "\n".join(lines)


_MAX_LINES = 10  # of reasons


def _first_of(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    listed = list(counts.items())
    if len(listed) <= _MAX_LINES:
        return listed
    others = sum(n for _, n in listed[_MAX_LINES - 1 :])
    return [*listed[: _MAX_LINES - 1], ("other reasons, see report.json", others)]


def _share(n: int, of: int) -> str:
    return f"{n} of {of}" + (f" ({n / of:.1%})" if of else "")


def _most_frequent_first(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
