"""The report of `imagefec triplets` as text, and the README of the folder."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from imagefec.data.labels.photos import GIVEN, WHOLE
from imagefec.data.labels.source import COUNTS, LABEL, RATINGS
from imagefec.fec import csv_file_name

_SHOWN = 12  # labels in a line

_MADE_FROM = {
    LABEL: "a label of each face",
    COUNTS: "counts of how many raters gave a face each label",
    RATINGS: "ratings of each face",
}


def describe(found: Mapping[str, Any], out: str = "OUT") -> str:
    """Writes a report as lines of text, and the commands that come next.

    Args:
      found: as returned by `make_report`.
      out: the folder of the csv files.
    """
    persons = f", {found['n_persons']} persons" if found["n_persons"] else ", persons not known"
    lines = [
        f"read      {found['kind']}: "
        + "; ".join(f"{role} {names}" for role, names in found["read_as"].items()),
        f"faces     {found['n_faces']} in {found['n_photos']} photos{persons}; boxes "
        f"{found['boxes']}",
    ]
    if found["labels"]:
        lines.append(f"labels    {_counted(found['labels'])}")
    for name, spellings in found["merged_labels"].items():
        lines.append(f"labels    {name}: one label for {', '.join(map(repr, spellings))}")
    for reason, what in found["left_out"].items():
        first = ", ".join(what["first"][:2])
        lines.append(f"left out  {what['count']}: {reason} ({first}{', …' * (what['count'] > 2)})")
    lines += [
        _split_line(split, of_split, found["n_persons"])
        for split, of_split in found["splits"].items()
    ]
    lines.append(
        f"size      {found['n_triplets']} triplets are about {found['megabytes']:g} MB as "
        "fec/triplets, a tenth of that as fec/faces and fec/index"
    )
    lines += [f"warning   {text}" for text in found["warnings"]]
    lines += [f"next      {command}" for command in next_commands(found, out)]
    return "\n".join(lines)


def _split_line(split: str, found: Mapping[str, Any], n_persons: int) -> str:
    types = ", ".join(f"{kind} {n}" for kind, n in found["by_type"].items() if n)
    line = (
        f"triplets  {split}: {found['n_triplets']} of {found['asked']} asked for"
        + (f" ({types})" if types else "")
        + f", of {found['n_faces']} faces"
    )
    if not n_persons:
        return line
    return line + (
        f"; the odd one is the same person as one of the others in {found['n_same_person']}"
    )


def next_commands(found: Mapping[str, Any], out: str) -> list[str]:
    """The commands that make a dataset of the csv files, with the detector that fits the boxes."""
    boxes = found["boxes"]
    detector = {WHOLE: "none", GIVEN: "blazeface"}.get(boxes, boxes)
    folder = shlex.quote(str(out))
    return [
        f"imagefec fetch {folder}/faceexp-*.csv --cache=cache",
        f"imagefec crop {folder}/faceexp-*.csv --cache=cache --faces={folder}/faces "
        f"--detector={detector}",
        f"tfds build tfds_builders/fec --manual_dir={folder} --data_dir=data --config=triplets",
    ]


def card(found: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    """Writes the README of the folder: how its triplets came to be."""
    rows = [
        f"| {split} | {part['n_faces']} | {part['n_photos']} | {part['n_persons'] or '–'} | "
        f"{part['n_triplets']} | {part['n_same_person']} |"
        for split, part in found["splits"].items()
    ]
    left_out = [f"- {what['count']}: {reason}" for reason, what in found["left_out"].items()]
    files = ", ".join(f"`{csv_file_name(split)}`" for split in found["splits"])
    return "\n".join(
        [
            "# Triplets of labelled photos",
            "",
            f"{files}: in the format of FEC, made by `imagefec triplets` "
            f"{settings['imagefec_version']} from {_MADE_FROM[found['kind']]}. "
            f"**No person judged these triplets.** The judgements are those of "
            f"{found['raters']}. So accuracy of raters (`human_tpa`) is not that of people.",
            "",
            f"- Read as: {'; '.join(f'{role}: {name}' for role, name in found['read_as'].items())}",
            f"- Boxes: {settings['boxes']} {settings['detector_version']}".rstrip(),
            f"- Splits: {settings['split']}; seed {settings['seed']}",
            f"- Share sampled so that the odd one is the same person as one of the others: "
            f"{settings['same_person_share']:g}",
            f"- Labels: {_counted(found['labels'], None) or 'none'}",
            f"- SHA-256 of photos and labels: {settings['source_sha256']}",
            "",
            "| split | faces | photos | persons | triplets | of the same person |",
            "|---|---|---|---|---|---|",
            *rows,
            "",
            "Left out:" if left_out else "Nothing was left out.",
            "",
            *left_out,
            *([""] if left_out else []),
            "Origin, consent and licence of the photos are those of their source; state them here.",
            "",
        ]
    )


def _counted(counts: Mapping[str, int], most: int | None = _SHOWN) -> str:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:most]
    return ", ".join(f"{name} {n}" for name, n in ordered) + (
        ", …" if len(ordered) < len(counts) else ""
    )
