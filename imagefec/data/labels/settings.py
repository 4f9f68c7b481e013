"""How the csv files of a folder were made: settings.json, which refuses to mix two ways."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import imagefec
from imagefec.data import csv_folder
from imagefec.data.labels.photos import Face

SETTINGS = "settings.json"
MADE_BY = "imagefec triplets"
FORMAT = 1  # increase if the same settings would give other triplets
_NOTED = ("imagefec_version",)  # recorded, but may differ
_UNKNOWN = "source_sha256"  # before the photos have been opened


@dataclasses.dataclass(frozen=True)
class TripletSettings:
    """What decides which triplets are made.

    Attributes:
      kind: one of source.KINDS.
      read_as: which columns or levels were read as what.
      boxes: "whole", "given" or the name of a detector.
      detector_version: "" for none.
      min_score: of the detector; None for none.
      split: as --split: "given" or fractions.
      triplets: number asked for; None for the default.
      same_person_share: share asked for.
      raters: number of simulated raters.
      seed: of splits, triplets and raters.
      source_sha256: digest of the photos and of what is known of them; "" before that is known.
    """

    kind: str
    read_as: dict[str, str]
    boxes: str
    detector_version: str
    min_score: float | None
    split: str
    triplets: int | None
    same_person_share: float
    raters: int
    seed: int
    source_sha256: str = ""

    def as_json(self) -> dict[str, Any]:
        """The settings as JSON values."""
        return {
            "made_by": MADE_BY,
            "format": FORMAT,
            **dataclasses.asdict(self),
            "imagefec_version": imagefec.__version__,
        }

    def check(self, out: Path) -> None:
        """Checks that a folder holds no triplets that were made in another way.

        Raises:
          UserError: it does, or holds csv files and no settings.json of this command.
          OSError: the folder cannot be read.
        """
        mine = self.as_json()
        compared = [
            name
            for name in mine
            if name not in _NOTED and not (name == _UNKNOWN and not self.source_sha256)
        ]
        csv_folder.refuse_mixture(out, SETTINGS, mine, compared)


def digest_of(faces: Sequence[Face]) -> str:
    """SHA-256 of all that is known of the faces, but for the places of their files."""
    known = [
        (face.photo, face.ref.box.sides, face.label, face.values, face.person, face.split)
        for face in faces
    ]
    text = json.dumps(sorted(known, key=repr))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
