"""What a crop would do, counted and in words."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from imagefec.faces.crop import FACE_PX
from imagefec.plan import Plan, shown_bytes


@dataclass(frozen=True)
class PlannedCrop:
    """The work of a crop.

    Attributes:
      detector: its name.
      n_faces: distinct faces of the csv files.
      n_excluded: those that --exclude names.
      n_done: those that an earlier crop finished.
      n_not_fetched: those of the others whose photo is not in the cache.
      n_to_delete: PNGs of excluded faces, of any csv file, that would be deleted.
    """

    detector: str
    n_faces: int
    n_excluded: int
    n_done: int
    n_not_fetched: int
    n_to_delete: int

    def plan(self, faces_dir: Path) -> Plan:
        """The plan of a crop into a folder."""
        n = self.n_faces - self.n_excluded - self.n_done - self.n_not_fetched
        n_bytes = n * FACE_PX**2 * 3  # of the pixels; a PNG of a face takes less
        lines = [
            f"faces     {n} of {self.n_faces} would be cropped with {self.detector}, at most "
            f"{shown_bytes(n_bytes)}",
            f"done      {self.n_done} by an earlier crop",
        ]
        if self.n_not_fetched:
            lines.append(f"lost      {self.n_not_fetched}, because their photos are not fetched")
        if self.n_excluded or self.n_to_delete:
            lines.append(
                f"excluded  {self.n_excluded} of these csv files; {self.n_to_delete} PNGs would be "
                "deleted"
            )
        return Plan(
            faces_dir, lines, {**dataclasses.asdict(self), "n_to_crop": n, "n_bytes": n_bytes}
        )
