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
      found: as returned by `make_report`, or by `joined` for folds.
      out: the folder of the csv files, or of the folds.
    """
    if "each" in found:
        return _describe_folds(found, out)
    lines = [
        *_read_lines(found),
        *(
            _split_line(split, of_split, found["n_persons"])
            for split, of_split in found["splits"].items()
        ),
    ]
    lines.append(
        f"size      {found['n_triplets']} triplets are about {found['megabytes']:g} MB as "
        "fec/triplets, a tenth of that as fec/faces and fec/index"
    )
    lines += [f"warning   {text}" for text in found["warnings"]]
    lines += [f"next      {command}" for command in next_commands(found, out)]
    return "\n".join(lines)


def _describe_folds(found: Mapping[str, Any], out: str) -> str:
    first = found["each"][0]
    lines = _read_lines(first)
    for number, fold in enumerate(found["each"]):
        sizes = ", ".join(f"{name} {part['n_triplets']}" for name, part in fold["splits"].items())
        test = fold["splits"]["test"]
        persons = f"{test['n_persons']} persons, " if first["n_persons"] else ""
        lines.append(f"fold{number:<6}{sizes} triplets; tests {persons}{test['n_faces']} faces")
        lines += [f"warning   fold{number}: {text}" for text in fold["warnings"]]
    lines.append(f"tested    {found['n_tested']} triplets, of every fold together")
    return "\n".join([*lines, *(f"next      {each}" for each in _fold_commands(first, out))])


def _fold_commands(found: Mapping[str, Any], out: str) -> list[str]:
    folder = shlex.quote(str(out))
    return [
        f"imagefec fetch {folder}/fold*/faceexp-*.csv --cache=cache",
        f"imagefec crop {folder}/fold*/faceexp-*.csv --cache=cache --faces={folder}/faces "
        f"--detector={_detector(found)}",
        f"for fold in {folder}/fold*; do tfds build tfds_builders/fec --manual_dir=$fold "
        "--data_dir=$fold/data --config=triplets; done",
    ]


def _read_lines(found: Mapping[str, Any]) -> list[str]:
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
    return lines


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
    folder = shlex.quote(str(out))
    return [
        f"imagefec fetch {folder}/faceexp-*.csv --cache=cache",
        f"imagefec crop {folder}/faceexp-*.csv --cache=cache --faces={folder}/faces "
        f"--detector={_detector(found)}",
        f"tfds build tfds_builders/fec --manual_dir={folder} --data_dir=data --config=triplets",
    ]


def _detector(found: Mapping[str, Any]) -> str:
    return {WHOLE: "none", GIVEN: "blazeface"}.get(found["boxes"], found["boxes"])


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
