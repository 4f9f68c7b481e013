"""The report of `imagefec triplets`, its text, and the README of the folder."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from imagefec.data.labels.judging import Judge
from imagefec.data.labels.photos import GIVEN, WHOLE, Face
from imagefec.data.labels.source import COUNTS, LABEL, RATINGS, Source
from imagefec.errors import UserError
from imagefec.faces.image_files import LeftOut
from imagefec.fec import TripletType, csv_file_name

if TYPE_CHECKING:
    from imagefec.data.labels.sampling import Sampled
    from imagefec.data.labels.settings import TripletSettings

MOST_LABELS = 200  # as in expressions.csv
_LONGEST_LABEL = 60
_KB_PER_TRIPLET = 73  # of config triplets, docs/data.md
_SHOWN = 12  # labels in a line


def codes(names: Sequence[str]) -> np.ndarray:
    """Names as numbers from 0, -1 for an empty one: int [n]."""
    number = {name: at for at, name in enumerate(dict.fromkeys(filter(None, names)))}
    return np.array([number.get(name, -1) for name in names], np.int64)


def check_faces(faces: Sequence[Face], source: Source, left_out: LeftOut) -> None:
    """Refuses faces of which no triplet can be made.

    Raises:
      UserError: there are fewer than three faces, or their labels are not those of expressions.
    """
    if len({face.photo for face in faces}) < 3:
        why = "; ".join([*source.left_out.lines(), *left_out.lines()]) or "nothing was left out"
        raise UserError(
            f"{len({face.photo for face in faces})} usable photos of {len(source.faces)}; a "
            f"triplet needs three different ones. Left out: {why}."
        )
    if source.kind != LABEL:
        columns = zip(*(row for face in faces for row in face.values))
        if all(len(set(column)) == 1 for column in columns):
            raise UserError(
                f"{', '.join(source.value_names)}: every face has the same numbers, so no face is "
                "odd. Give other columns with --by."
            )
        return
    counts = Counter(face.label for face in faces)
    if len(counts) == 1:
        raise UserError(
            f"the only label is {next(iter(counts))!r}; the odd one of a triplet has another label "
            "than the two others. Give photos of two labels or more."
        )
    some = ", ".join(repr(name) for name in sorted(counts)[:5])
    if max(counts.values()) == 1:
        raise UserError(
            f"each of the {len(counts)} labels has one photo ({some}, …); the alike pair of a "
            "triplet needs two of a label. Is this the column, or the level of folders, of the "
            "label? Name it with --by."
        )
    if len(counts) > MOST_LABELS:
        raise UserError(
            f"{len(counts)} different labels ({some}, …); allowed are {MOST_LABELS}. Is this the "
            "column, or the level of folders, of the label? Name it with --by."
        )
    bad = [name for name in counts if len(name) > _LONGEST_LABEL or not name.isprintable()]
    if bad:
        raise UserError(
            f"the label {bad[0]!r:.90} is longer than {_LONGEST_LABEL} characters or cannot be "
            "printed. Give shorter names."
        )


def make_report(
    source_name: str,
    source: Source,
    settings: TripletSettings,
    in_splits: Mapping[str, Sequence[Face]],
    sampled: Mapping[str, tuple[Judge, Sampled]],
    left_out: LeftOut,
) -> dict[str, Any]:
    """Counts faces and triplets by split, label and person, and what was left out.

    Raises:
      UserError: train has no triplet.
    """
    faces = [face for of_split in in_splits.values() for face in of_split]
    found: dict[str, Any] = {
        "source": source_name,
        "kind": source.kind,
        "read_as": source.read_as,
        "boxes": settings.boxes,
        "raters": SIMULATED_RATERS[source.kind],
        "n_faces": len(faces),
        "n_photos": len({face.photo for face in faces}),
        "n_persons": len({face.person for face in faces} - {""}),
        "n_triplets": sum(len(each) for _, each in sampled.values()),
        "labels": dict(sorted(Counter(face.label for face in faces if face.label).items())),
        "merged_labels": source.merged,
        "left_out": {**source.left_out.as_json(), **left_out.as_json()},
        "splits": {
            split: _split_report(in_splits[split], *sampled[split], source.kind)
            for split in in_splits
        },
    }
    found["megabytes"] = round(found["n_triplets"] * _KB_PER_TRIPLET / 1000, 1)
    found["warnings"] = _warnings(found, in_splits)
    if not found["splits"]["train"]["n_triplets"]:
        raise UserError(
            f"train: no triplet can be made of its {len(in_splits['train'])} faces: "
            f"{' '.join(found['warnings'])} Give more photos, or another --split or --seed."
        )
    return found


MADE_FROM = {
    LABEL: "a label of each face",
    COUNTS: "counts of how many raters gave a face each label",
    RATINGS: "ratings of each face",
}
SIMULATED_RATERS = {
    LABEL: "one simulated rater: the face with another label than the two others is odd",
    COUNTS: "simulated raters, who see each face as one label, drawn from its counts",
    RATINGS: "simulated raters, who see each face at one of its ratings",
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
    for split, of_split in found["splits"].items():
        types = ", ".join(f"{kind} {n}" for kind, n in of_split["by_type"].items() if n)
        lines.append(
            f"triplets  {split}: {of_split['n_triplets']} of {of_split['asked']} asked for"
            + (f" ({types})" if types else "")
            + f", of {of_split['n_faces']} faces; the odd one is the same person as one of the "
            f"others in {of_split['n_same_person']}"
        )
    lines.append(
        f"size      {found['n_triplets']} triplets are about {found['megabytes']:g} MB as "
        "fec/triplets, a tenth of that as fec/faces and fec/index"
    )
    lines += [f"warning   {text}" for text in found["warnings"]]
    lines += [f"next      {command}" for command in next_commands(found, out)]
    return "\n".join(lines)


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
    source_kind = found["kind"]
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
            f"{settings['imagefec_version']} from {MADE_FROM[source_kind]}. **No person judged these "
            f"triplets.** The judgements are those of {found['raters']}. So accuracy of raters "
            "(`human_tpa`) is not that of people.",
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


def _split_report(
    faces: Sequence[Face], judge: Judge, sampled: Sampled, kind: str
) -> dict[str, Any]:
    odd = sampled.odd()
    persons = codes([face.person for face in faces])
    votes = (sampled.votes >= 0).sum(axis=1)
    agreeing = (sampled.votes == odd[:, None]).sum(axis=1)
    in_triplets = Counter(
        faces[at].person for row in sampled.triplets.tolist() for at in row if faces[at].person
    )
    result = {
        "n_faces": len(faces),
        "n_photos": len({face.photo for face in faces}),
        "n_persons": len(set(persons[persons >= 0].tolist())),
        "asked": sum(sampled.asked.values()),
        "n_triplets": len(sampled),
        "by_type": {each.key: int((sampled.types == each).sum()) for each in TripletType},
        "n_raters": len(judge.raters),
        "mean_agreement": round(float((agreeing / votes).mean()), 4) if len(sampled) else None,
        "n_same_person": int(sampled.hard(persons).sum()),
        "most_of_a_person": max(in_triplets.values(), default=0),
        "n_faces_used": len(np.unique(sampled.triplets)),
        "not_used": dict(sorted(sampled.refused.items())),
    }
    if kind == LABEL:
        result["by_label"] = _by_label(faces, sampled, odd)
    if hasattr(judge, "alike_distance"):
        result["alike_distance"] = round(judge.alike_distance, 6)
    return result


def _by_label(
    faces: Sequence[Face], sampled: Sampled, odd: np.ndarray
) -> dict[str, dict[str, int]]:
    labels = np.array([face.label for face in faces], dtype=object)
    of_odd = np.take_along_axis(sampled.triplets, odd[:, None].clip(0), axis=1)[:, 0]
    n_faces, n_odd = Counter(labels.tolist()), Counter(labels[of_odd].tolist())
    n_places = Counter(labels[sampled.triplets.reshape(-1)].tolist())
    return {
        name: {
            "faces": n_faces[name],
            "alike": (n_places[name] - n_odd[name]) // 2,
            "odd": n_odd[name],
        }
        for name in sorted(n_faces)
    }


def _warnings(found: Mapping[str, Any], in_splits: Mapping[str, Sequence[Face]]) -> list[str]:
    warnings = []
    for split, part in found["splits"].items():
        if part["n_triplets"] < part["asked"]:
            warnings.append(
                f"{split}: {part['n_triplets']} of {part['asked']} triplets; its "
                f"{part['n_faces']} faces give no more different ones."
            )
        by_label = part.get("by_label", {})
        missing = [name for name in found["labels"] if name not in by_label]
        if by_label and missing:
            warnings.append(f"{split}: no photo of {_listed(missing)}.")
        single = [name for name, counts in by_label.items() if counts["faces"] == 1]
        if single:
            warnings.append(
                f"{split}: one photo of {_listed(single)}, which can be odd but not of a pair."
            )
    persons = {split: {face.person for face in faces} for split, faces in in_splits.items()}
    for split in persons:
        both = sorted((persons[split] & persons["train"]) - {""}) if split != "train" else []
        if both:
            warnings.append(
                f"{len(both)} persons are in train and in {split}, as given ({_listed(both)}): the "
                "TPA of that split is not that of new people. --split=0.7,0.1,0.2 parts by person."
            )
    for split in ("validation", "test"):
        if not found["splits"].get(split, {}).get("n_triplets"):
            warnings.append(f"there is no split {split}.")
    if not found["n_persons"]:
        warnings.append(
            "persons are not known, so one person may be in two splits, and no triplet is made so "
            "that the identity does not give the odd one away; --by=person:COLUMN names them."
        )
    return warnings


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", …" if len(names) > 5 else "")


def _counted(counts: Mapping[str, int], most: int | None = _SHOWN) -> str:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:most]
    return ", ".join(f"{name} {n}" for name, n in ordered) + (
        ", …" if len(ordered) < len(counts) else ""
    )
