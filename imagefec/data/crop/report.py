"""What the crop stage tells: faces kept and dropped, triplets whole and lost, and why."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from imagefec.data.crop.face_folder import FaceRecord
from imagefec.data.fec_csv import RowReport, read_rows
from imagefec.fec import TYPE_KEYS


@dataclass(frozen=True)
class CropReport:
    """What became of the csv files' distinct faces and of their triplets.

    `n_faces` = `n_kept` + the sum of `dropped`, which counts by reason; `n_upscaled` of the kept
    had fewer than 128 px. `triplets` has, by split, n_triplets = whole + the sum of `lost` by
    reason; each lost triplet counts once: for its votes ('tie', 'no votes') or else for its first
    face that was dropped.
    """

    n_faces: int
    n_kept: int
    n_upscaled: int
    dropped: dict[str, int]
    triplets: dict[str, dict]

    def as_json(self) -> dict:
        return asdict(self)


def make_report(
    csv_paths: Sequence[str | os.PathLike],
    splits: Sequence[str],
    records: Mapping[str, FaceRecord],
    skip_bad_rows: bool = False,
) -> CropReport:
    """Counts the faces and triplets of csv files.

    Args:
      csv_paths: files whose faces are all in `records`.
      splits: the split of each file.
      records: what became of the faces, by face id.
      skip_bad_rows: count bad rows as `rows_refused` of their split instead of raising UserError.
    """
    seen: set[str] = set()
    triplets: dict[str, dict] = {}
    for split, path in zip(splits, csv_paths):
        rows = RowReport()
        counts = triplets.setdefault(
            split,
            {
                "n_triplets": 0,
                "whole": 0,
                "lost": Counter(),
                "rows_refused": 0,
                "by_type": {kind: {"n_triplets": 0, "whole": 0} for kind in TYPE_KEYS},
            },
        )
        for row in read_rows(path, rows, skip_bad_rows):
            ids = [face.face_id for face in row.faces]
            seen.update(ids)
            lost = row.why_unlabelled or next(
                (records[face_id].reason for face_id in ids if not records[face_id].kept), None
            )
            for place in (counts, counts["by_type"][row.type.key]):
                place["n_triplets"] += 1
                place["whole"] += lost is None
            if lost is not None:
                counts["lost"][lost] += 1
        counts["rows_refused"] += len(rows.refused)
    for counts in triplets.values():
        counts["lost"] = _most_first(counts["lost"])
    kept = [records[face_id] for face_id in seen if records[face_id].kept]
    dropped = Counter(records[face_id].reason for face_id in seen if not records[face_id].kept)
    return CropReport(
        len(seen),
        len(kept),
        sum(record.upscaled for record in kept),
        _most_first(dropped),
        dict(sorted(triplets.items())),
    )


def _most_first(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
