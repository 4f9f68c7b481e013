"""From answers to FEC's csv files and the record of how they came about."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from imagefec import files, json_files
from imagefec.data.csv_folder import CSV_FILES, remove_other_splits
from imagefec.data.fec_csv import FaceRef, Row, write_rows
from imagefec.errors import UserError
from imagefec.fec import (
    EXPRESSIONS_CSV,
    EXPRESSIONS_HEADER,
    PERSONS_CSV,
    PERSONS_HEADER,
    SPLITS,
    TripletType,
    csv_file_name,
)
from imagefec.serving.judging.journal import NAME, Answer, Lost, Record, Torn
from imagefec.serving.judging.project import FILE, Project, split_counts
from imagefec.serving.judging.report import report_of
from imagefec.serving.judging.schedule import JUDGEMENT
from imagefec.serving.judging.triplets import Triplet, type_of

RECORD = "record.json"
UNKNOWN_TYPE = TripletType.THREE_CLASS  # FEC's files have no word for faces without labels


def export(
    project: Project,
    standing: Mapping[str, Sequence[Answer]],
    records: Iterable[Record] = (),
    without: Iterable[str] = (),
    dry_run: bool = False,
) -> dict[str, Any]:
    """Writes the csv file of each split that has answers, and record.json.

    Args:
      project: of the answers.
      standing: answers by rater, those undone left out.
      records: of the journal; those that are torn or lost are counted.
      without: raters whose answers are left out of the csv files; the report has all.
      dry_run: write nothing.

    Returns:
      The record, JSON values.

    Raises:
      OSError: a file cannot be written.
    """
    left_out = set(without)
    kinds = Counter(map(type, records))
    used = {name: answers for name, answers in standing.items() if name not in left_out}
    rows = rows_of(project, used)
    out = project.out
    record = {
        "path": str(out),
        "photos": {"judged": len(project.faces), "left_out": project.left_out},
        "faces": split_counts(project),
        "types": "by label" if any(project.labels.values()) else "unknown",
        "triplets": {split: len(rows[split]) for split in SPLITS},
        "judgements": _sources(used),
        "active_share": _active_share(used),
        "raters_left_out": sorted(left_out & standing.keys()),
        "torn_lines": kinds[Torn],
        "lost_lines": kinds[Lost],
        **report_of(standing),
    }
    if dry_run:
        return record
    with files.written_together(out, (RECORD, *CSV_FILES)) as new:
        text = json.dumps(record, indent=2, ensure_ascii=False) + "\n"
        # A file name may be invalid UTF-8; JSON has the same escape for it as Python.
        files.write_bytes(new / RECORD, text.encode("utf-8", "backslashreplace"))
        if any(project.labels.values()):
            known = _known(project, EXPRESSIONS_HEADER, project.labels)
            files.write_text(new / EXPRESSIONS_CSV, known)
        if any(project.persons.values()):
            files.write_text(new / PERSONS_CSV, _known(project, PERSONS_HEADER, project.persons))
        for split in SPLITS:
            if rows[split]:
                write_rows(new / csv_file_name(split), rows[split])
    remove_other_splits(out, record["triplets"])  # of answers that were undone
    return record


def refuse_lost_answers(out: Path, records: Sequence[Record]) -> None:
    """Refuses a project whose csv files have more triplets than its journal can have given.

    Args:
      out: the project's folder.
      records: of its journal; empty if that is missing.

    Raises:
      UserError: answers are missing, more than are recorded as Lost. An export would delete
        triplets.
    """
    kinds = Counter(map(type, records))
    n_answers = kinds[Answer]  # with those undone
    what, n_triplets = _exported(out)
    if not (out / FILE).exists() or n_triplets <= n_answers + kinds[Lost]:
        return
    state = f"has only {n_answers} answers"
    if not records:
        state = "is empty" if (out / NAME).exists() else "is missing"
    raise UserError(
        f"{out}: {NAME} {state}, but {what} {n_triplets} triplets. Restore it from a copy, or move "
        f"the csv files and {RECORD} away."
    )


def _exported(out: Path) -> tuple[str, int]:
    """Where an earlier export is found, with a verb, and its number of triplets."""
    n_rows = 0
    for split in SPLITS:
        if (out / csv_file_name(split)).exists():
            with files.open_regular(out / csv_file_name(split)) as file:
                n_rows += sum(1 for _ in file)
    if n_rows:
        return "the csv files have", n_rows
    try:
        triplets = json_files.read_json(out / RECORD)["triplets"].values()
        return f"{RECORD} has", sum(map(int, triplets))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError):
        # It is missing or damaged.
        return "", 0


def rows_of(project: Project, standing: Mapping[str, Sequence[Answer]]) -> dict[str, list[Row]]:
    """Rows of each split: one per triplet, with a column pair per rater. Judgements only."""
    choices: dict[tuple[str, Triplet], dict[str, str]] = {}
    for rater, answers in standing.items():
        for answer in answers:
            trial = answer.trial
            if trial.kind == JUDGEMENT:
                # By the project's own record: nobody can put a test photo into train.
                splits = {project.splits[face] for face in trial.faces}
                if len(splits) == 1:
                    choices.setdefault((splits.pop(), trial.triplet), {})[rater] = answer.chosen
    rows: dict[str, list[Row]] = {split: [] for split in SPLITS}
    references = {face: _reference(project, face) for face in project.faces}
    for (split, triplet), chosen in choices.items():
        faces = sorted(triplet)
        first, second, third = (references[face] for face in faces)
        key = type_of(project.labels, faces)
        kind = TripletType[key.upper()] if key else UNKNOWN_TYPE
        odd = tuple(faces.index(face) for face in chosen.values())
        line = len(rows[split]) + 1
        rows[split].append(Row(line, (first, second, third), kind, tuple(chosen), odd))
    return rows


def _reference(project: Project, face: str) -> FaceRef:
    return FaceRef(project.photo_of(face).absolute().as_uri(), project.faces[face].box)


def _known(project: Project, header: Sequence[str], value_of: Mapping[str, str]) -> str:
    """A table of the labels or persons of the faces that have one."""
    import csv
    import io

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    for face, value in value_of.items():
        if value:
            reference = _reference(project, face)
            writer.writerow([reference.url, *map(repr, reference.box.sides), value])
    return text.getvalue()


def _sources(standing: Mapping[str, Sequence[Answer]]) -> dict[str, dict[str, int]]:
    """Number of judgements by split and source."""
    counts: dict[str, Counter[str]] = {}
    for answers in standing.values():
        for answer in answers:
            if answer.trial.kind == JUDGEMENT:
                counts.setdefault(answer.trial.split, Counter())[answer.trial.source] += 1
    return {split: dict(sorted(counts[split].items())) for split in SPLITS if split in counts}


def _active_share(standing: Mapping[str, Sequence[Answer]]) -> float:
    train = _sources(standing).get("train", {})
    return round(train.get("active", 0) / sum(train.values()), 4) if train else 0.0
