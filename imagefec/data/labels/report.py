"""The numbers of `imagefec triplets`: faces and triplets by split, label and person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from imagefec.data.labels.judging import NOT_OF_TYPE, TIE, UNDECIDED, Judge
from imagefec.data.labels.photos import Face
from imagefec.data.labels.source import COUNTS, LABEL, RATINGS, Source
from imagefec.errors import UserError
from imagefec.faces.image_files import LeftOut
from imagefec.fec import TripletType
from imagefec.paths import readable

if TYPE_CHECKING:
    from imagefec.data.labels.sampling import Sampled
    from imagefec.data.labels.settings import TripletSettings

MOST_LABELS = 200  # as in expressions.csv
_LONGEST_LABEL = 60
_KB_PER_TRIPLET = 73  # of config triplets, docs/data.md


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
        "left_out": _left_out(source.left_out, left_out),
        "splits": {
            split: _split_report(in_splits[split], *sampled[split], source.kind)
            for split in in_splits
        },
    }
    found["megabytes"] = round(found["n_triplets"] * _KB_PER_TRIPLET / 1000, 1)
    found["warnings"] = _warnings(found, in_splits)
    first = next(iter(in_splits))  # train, unless all is test
    if not found["splits"][first]["n_triplets"]:
        why = _why_none(in_splits[first], *sampled[first], source.kind)
        raise UserError(
            f"{first}: no triplet can be made of its {len(in_splits[first])} faces: {why}."
        )
    return found


def check_tests(folds: Sequence[Mapping[str, Any]]) -> None:
    """Refuses folds of which one has nothing to test; a missing validation split is a warning.

    Args:
      folds: the report of each.

    Raises:
      UserError: a test split has no triplet.
    """
    for number, found in enumerate(folds):
        test = found["splits"]["test"]
        if not test["n_triplets"]:
            raise UserError(
                f"fold{number}: no triplet can be made of the {test['n_faces']} faces that it "
                "tests. Give more photos, fewer --folds, or another --seed."
            )


def joined(folds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The report of folds: {"folds", "n_tested" (triplets of all test splits), "each"}."""
    tested = sum(found["splits"]["test"]["n_triplets"] for found in folds)
    return {"folds": len(folds), "n_tested": tested, "each": list(folds)}


SIMULATED_RATERS = {
    LABEL: "one simulated rater: the face with another label than the two others is odd",
    COUNTS: "simulated raters, who see each face as one label, drawn from its counts",
    RATINGS: "simulated raters, who see each face at one of its ratings",
}


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


def _why_none(faces: Sequence[Face], judge: Judge, sampled: Sampled, kind: str) -> str:
    """The main reason why there is no triplet, and what to do."""
    more = "Give more photos, or another --split or --seed"
    n_photos = len({face.photo for face in faces})
    if n_photos < 3:
        return f"a triplet needs three different photos; found {n_photos}. {more}"
    if kind == LABEL:
        labels = sorted({face.label for face in faces})
        what = f"all are {labels[0]!r}" if len(labels) == 1 else "no two photos have one label"
        return f"{what}, and a triplet needs two of a label and one of another. {more}"
    other = "counts without ties" if kind == COUNTS else "ratings that differ more"
    n_tied = 0 if judge.groups is None else int((judge.groups < 0).sum())
    if len(faces) - n_tied < max(3, len(faces) / 2):
        return f"in {n_tied} of them two labels have the same, highest count. Give {other}"
    # Every triplet that was of the type asked for is one of these two.
    n_of = {reason: sampled.refused[reason] for reason in (UNDECIDED, TIE)}
    reason = max(n_of, key=n_of.__getitem__)
    if n_of[reason]:
        shown = {UNDECIDED: "most raters find no odd face", TIE: "the raters' votes are tied"}
        why = f"in {n_of[reason]} of {sum(n_of.values())} that were tried {shown[reason]}"
    elif kind == RATINGS and (n := sampled.refused[NOT_OF_TYPE]):
        why = f"in all {n} that were tried two of the three pairs are alike, which is no type"
    else:
        return f"none was found. {more}"
    return f"{why}. Give more photos, or {other}"


def _left_out(*parts: LeftOut) -> dict[str, dict[str, Any]]:
    return {
        reason: {"count": n, "first": [readable(name) for name in part.names[reason]]}
        for part in parts
        for reason, n in part.counts.items()
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
    persons = {split: {face.person for face in faces} - {""} for split, faces in in_splits.items()}
    trained = persons.pop("train", set())
    for split in persons:
        both = sorted(persons[split] & trained)
        if both:
            warnings.append(
                f"{len(both)} persons are in train and in {split}, as given ({_listed(both)}): the "
                "TPA of that split is not that of new people. --split=0.7,0.1,0.2 parts by person."
            )
    if set(in_splits) == {"test"}:
        warnings.append("all is test: these triplets evaluate runs, and train none.")
    else:
        lacking = (
            split
            for split in ("validation", "test")
            if not found["splits"].get(split, {}).get("n_triplets")
        )
        warnings += [f"there is no split {split}." for split in lacking]
    if not found["n_persons"]:
        warnings.append(
            "persons are not known, so one person may be in two splits, and no triplet is made so "
            "that the identity does not give the odd one away; --by=person:COLUMN names them."
        )
    return warnings


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
