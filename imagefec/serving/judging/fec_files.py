"""From answers to FEC's csv files and the record of how they came about."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from imagefec import files
from imagefec.data.csv_folder import CSV_FILES
from imagefec.data.fec_csv import FaceRef, Row, write_rows
from imagefec.fec import (
    EXPRESSIONS_CSV,
    EXPRESSIONS_HEADER,
    PERSONS_CSV,
    PERSONS_HEADER,
    SPLITS,
    TripletType,
    csv_file_name,
)
from imagefec.serving.judging.journal import Answer
from imagefec.serving.judging.project import Project, split_counts
from imagefec.serving.judging.report import report_of
from imagefec.serving.judging.schedule import JUDGEMENT
from imagefec.serving.judging.triplets import Triplet, type_of

RECORD = "record.json"
UNKNOWN_TYPE = TripletType.THREE_CLASS  # FEC's files have no word for faces without labels


def export(
    project: Project,
    standing: Mapping[str, Sequence[Answer]],
    torn: int = 0,
    without: Iterable[str] = (),
    dry_run: bool = False,
) -> dict[str, Any]:
    """Writes the csv file of each split that has answers, and record.json.

    Args:
      project: of the answers.
      standing: answers by rater, those undone left out.
      torn: number of torn lines of the journal.
      without: raters whose answers are left out of the csv files; the report has all.
      dry_run: write nothing.

    Returns:
      The record, JSON values.

    Raises:
      OSError: a file cannot be written.
    """
    left_out = set(without)
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
        "torn_lines": torn,
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
            else:  # of answers that were undone
                (out / csv_file_name(split)).unlink(missing_ok=True)
    return record


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
