"""The report of the crop stage and its text; `csv_triplets` counts what is in it."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from absl import logging


@dataclass(frozen=True)
class CropReport:
    """Counts of the csv files' distinct faces and of their triplets.

    Attributes:
      n_faces: n_kept + the sum of `dropped`.
      n_kept: faces with a PNG.
      n_upscaled: those of n_kept that had fewer than 128 px.
      dropped: counts by reason.
      triplets: counts by split. "n_triplets" is "whole" (complete triplets) plus the sum of "lost"
        (counts by reason). A lost triplet is counted once: under its missing label ("tie", "no
        votes"), else under "excluded", else under its first dropped face. "lost_only" counts those
        of "lost" that have no other reason, "lost_by_type" all of them by type and reason; other
        keys are "rows_refused" and "by_type".
      detector: what the detector alone costs. "n_faces" were searched, in "n_missed" it found none;
        "n_triplets" have a label and three searched faces, "n_lost" of them a missed one.
        "by_type" counts these triplets, "by_class" the faces with a label (only if there are any):
        "n" and "missed". "uneven_type" and "uneven_class" are the pair of names, missed more and
        less often, that `most_uneven_pair` finds, or None.
      warnings: one sentence each, about the detector.
    """

    n_faces: int
    n_kept: int
    n_upscaled: int
    dropped: dict[str, int]
    triplets: dict[str, dict[str, Any]]
    detector: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """The report as JSON values."""
        return asdict(self)


def describe(report: CropReport) -> str:
    """Writes a report as lines of text: faces, and what dropped faces cost in triplets."""
    lines = [f"faces     {share(report.n_kept, report.n_faces)} cropped"]
    lines += [f"dropped   {n}: {reason}" for reason, n in _first_of(report.dropped)]
    lines += _class_lines(report.detector.get("by_class", {}))
    for split, counts in report.triplets.items():
        lines += _split_lines(split, counts)
    return "\n".join(lines)


def show(report: CropReport) -> None:
    """Prints the report's text on stderr and logs its warnings."""
    print(describe(report), file=sys.stderr, flush=True)
    for warning in report.warnings:
        logging.warning("crop: %s", warning)


def share(n: int, of: int) -> str:
    """Writes a part of a whole: "3 of 12 (25.0%)"."""
    return f"{n} of {of}" + (f" ({n / of:.1%})" if of else "")


def most_frequent_first(counts: Mapping[str, int]) -> dict[str, int]:
    """Sorts counts; names with equal counts are sorted by name."""
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


_MAX_LINES = 10  # of reasons
_MAX_CLASSES = 3  # at each end


def _split_lines(split: str, counts: Mapping[str, Any]) -> list[str]:
    n_triplets = counts["n_triplets"]
    by_type = ", ".join(
        f"{kind} {share(of_kind['whole'], of_kind['n_triplets'])}"
        for kind, of_kind in counts["by_type"].items()
        if of_kind["n_triplets"]
    )
    lines = [
        f"triplets  {split}: {share(counts['whole'], n_triplets)} complete, "
        f"{n_triplets - counts['whole']} lost"
    ]
    if by_type:
        lines.append(f"complete  {split}: {by_type}")
    for reason, n in _first_of(counts["lost"]):
        only = counts["lost_only"].get(reason, n)
        lines.append(
            f"lost      {split}: {share(n, n_triplets)}: {reason}"
            + (f" ({only} for this reason only)" if only < n else "")
        )
    if counts["rows_refused"]:
        lines.append(f"rows      {split}: {counts['rows_refused']} bad rows skipped")
    return lines


def _class_lines(by_class: Mapping[str, Mapping[str, int]]) -> list[str]:
    searched = [(name, counts) for name, counts in by_class.items() if counts["n"]]
    searched.sort(key=lambda item: (-item[1]["missed"] / item[1]["n"], item[0]))
    if not any(counts["missed"] for _, counts in searched):
        return []
    if len(searched) <= 2 * _MAX_CLASSES:
        return [f"missed    {_classes(searched)}"]
    most, least = searched[:_MAX_CLASSES], searched[-_MAX_CLASSES:]
    return [f"missed    most often {_classes(most)}; least often {_classes(least)}"]


def _classes(classes: Sequence[tuple[str, Mapping[str, int]]]) -> str:
    return ", ".join(f"{name} {share(counts['missed'], counts['n'])}" for name, counts in classes)


def _first_of(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    listed = list(counts.items())
    if len(listed) <= _MAX_LINES:
        return listed
    others = sum(n for _, n in listed[_MAX_LINES - 1 :])
    return [*listed[: _MAX_LINES - 1], ("other reasons, see report.json", others)]
