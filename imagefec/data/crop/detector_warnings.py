"""Warns of a detector that costs many triplets, or misses some faces far more often than others."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from imagefec.data.crop.report import share
from imagefec.errors import UserError
from imagefec.faces.detectors import AUTO_ORDER, Detector, make_detector

MOST_LOST = 0.1  # of the triplets


def warnings_about(
    cost: Mapping[str, Any],
    detector: Detector,
    model_dir: str | os.PathLike[str] | None = None,
) -> list[str]:
    """Writes the warnings about a detector, each a sentence that says what to do.

    Args:
      cost: `CropReport.detector`.
      detector: that cropped the faces.
      model_dir: as for `make_detector`.
    """
    found = []
    if cost["n_lost"] > MOST_LOST * cost["n_triplets"]:
        found.append(
            f"costs {share(cost['n_lost'], cost['n_triplets'])} triplets: it finds no face in "
            f"{share(cost['n_missed'], cost['n_faces'])} boxes"
        )
    for what, members in (("class", "faces"), ("type", "triplets")):
        if cost.get(f"uneven_{what}"):
            more, less = cost[f"uneven_{what}"]
            counts = cost[f"by_{what}"]
            found.append(
                f"costs far more of the {members} of {what} {more} than of {less}: "
                f"{_share_of(counts[more])} against {_share_of(counts[less])}"
            )
    if not found:
        return []
    remedy = _remedy(detector, model_dir)
    return [f"detector {detector.name} {each}; {remedy}" for each in found]


def _share_of(counts: Mapping[str, int]) -> str:
    return share(counts["missed"], counts["n"])


def _remedy(detector: Detector, model_dir: str | os.PathLike[str] | None) -> str:
    options = []
    if detector.min_score > 0:
        options.append(f"a --min_score below {detector.min_score:g}")
    others = [name for name in AUTO_ORDER if name != detector.name and _runs(name, model_dir)]
    if others:
        options.append(f"another --detector ({' or '.join(others)})")
    options.append("--detector=none if the csv files' boxes can be trusted")
    listed = ", ".join(options[:-1]) + (" or " if len(options) > 1 else "") + options[-1]
    return f"try {listed}, with a new --faces folder."


def _runs(name: str, model_dir: str | os.PathLike[str] | None) -> bool:
    try:
        make_detector(name, None, model_dir)
    except UserError:
        return False
    return True
