"""Folds over people or photos: each is in the test split of exactly one of several datasets."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from imagefec import files
from imagefec.data.csv_folder import CSV_FILES, refuse_mixture
from imagefec.data.exclusion import IN_MANUAL_DIR
from imagefec.data.fec_csv import Row, RowReport, read_rows, write_rows
from imagefec.data.fold_folders import FACES, fold_folders, link_faces
from imagefec.data.labels.splits import connected
from imagefec.data.parting.growth import Connections, Growth
from imagefec.data.parting.holdout import hold_out
from imagefec.data.parting.rows import (
    LOCK,
    REPORT,
    TRAIN,
    by_split,
    copy_beside,
    part_sizes,
    person_counts,
    person_lines,
    persons_of,
    units_of,
)
from imagefec.data.parting.settings import settings_of
from imagefec.errors import UserError
from imagefec.fec import EXPRESSIONS_CSV, PERSONS_CSV, csv_file_name
from imagefec.paths import user_path

_VALIDATION_UNITS = 3  # a triplet may show as many
_ORDER = (IN_MANUAL_DIR, *CSV_FILES)


def split_into_folds(
    csv_paths: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    n_folds: int,
    share: float = 0.2,
    persons: str | os.PathLike[str] | None = None,
    seed: int = 0,
    skip_bad_rows: bool = False,
    dry_run: bool = False,
) -> dict[str, Any]:
    """Writes a manual directory of `fec` for each fold; the folds link to one folder of faces.

    The triplets of all files together are parted. Those of the fold's persons (or photos) are its
    test split, and those without any of them are train and validation. The others are dropped.

    Args:
      csv_paths: FEC's csv files, one of each split; a file of any other name counts as train.
      out: gets fold0, fold1, … with the csv files, a link to the faces, and what is beside train
        of expressions.csv, persons.csv and exclude.txt; and split.json.
      n_folds: 2 to MOST_FOLDS.
      share: of the other persons (or photos) of a fold to hold out as validation, at least three.
      persons: csv file with the columns url and person; None for the persons.csv beside train. If
        there is none, photos are parted.
      seed: 0 or more.
      skip_bad_rows: skip bad rows instead of stopping at the first.
      dry_run: write nothing.

    Returns:
      The report, as in split.json.

    Raises:
      UserError: a file is bad, there are fewer persons (or photos) than folds, a split of a fold
        has no triplet, `persons` names none of the photos, or the folder holds other folds or csv
        files or cannot be written to.
    """
    out = user_path(out, "--out")
    paths = by_split([user_path(path, "CSV") for path in csv_paths], out)
    folders = fold_folders(out, n_folds)
    bad = RowReport()
    rows = [row for path in paths.values() for row in read_rows(path, bad, skip_bad_rows)]
    known = None if persons is None else user_path(persons, "--persons")
    if known is None and (beside := paths[TRAIN].with_name(PERSONS_CSV)).is_file():
        known = beside
    person_of = {} if known is None else persons_of(rows, known, next(iter(paths.values())))
    units, weights = units_of(rows, person_of)
    n_units = len(weights)
    parted_by = "persons" if person_of else "photos"
    if n_units < n_folds:
        raise UserError(
            f"--folds={n_folds}: the {len(rows)} triplets have only {n_units} {parted_by}, "
            "and each fold needs one of its own. Give fewer folds."
        )
    fold_of = assign_folds(units, weights, n_folds, seed)
    folds = [
        _splits_of_fold(rows, units, weights, fold_of == fold, share, seed)
        for fold in range(n_folds)
    ]
    _check(folds, parted_by, n_units)
    settings = settings_of(paths, known, folds=n_folds, share=share, seed=seed)
    report = {
        **settings,
        "parted_by": parted_by,
        **person_counts(rows, person_of),
        "n_triplets": len(rows),
        "n_bad_rows": bad.n_refused,
        "n_units": n_units,
        "n_tested": sum(len(fold["test"]) for fold in folds),
        "each": [
            {
                "n_units_tested": int((fold_of == number).sum()),
                "n_dropped": len(rows) - sum(map(len, fold.values())),
                "splits": part_sizes(fold),
            }
            for number, fold in enumerate(folds)
        ],
    }
    try:
        if dry_run:
            files.check_folder(out)
        lock = files.folder_lock(out, "split", "--out", LOCK)
        with contextlib.nullcontext() if dry_run else lock:
            refuse_mixture(out, REPORT, settings, settings, folders)
            if dry_run:
                return report
            with contextlib.ExitStack() as together:
                for folder, fold in zip(folders, folds):
                    folder.mkdir(exist_ok=True)
                    link_faces(folder, _faces_of(paths[TRAIN], out))
                    new = together.enter_context(files.written_together(folder, _ORDER))
                    _write(new, fold, paths[TRAIN], known)
                # The last one is the first to move: split.json says whose the folds are.
                new = together.enter_context(files.written_together(out, (REPORT,)))
                files.write_text(new / REPORT, json.dumps(report, indent=1) + "\n")
    except OSError as error:
        raise UserError(
            f"{error.filename or out}: {error.strerror}. Give an --out on a disk with free space "
            "that you may write to, and that may hold symbolic links."
        ) from error
    return report


def assign_folds(units: np.ndarray, weights: np.ndarray, n_folds: int, seed: int) -> np.ndarray:
    """Parts units into folds of about equal weight, so that many rows have all units in one fold.

    Sets of connected rows that fit into a fold stay whole. In what is left, the folds grow side by
    side from row to row, the lightest first, each time by the row that brings the fewest new units.

    Args:
      units: int [rows, 3 or more], numbers from 0 of the units (photos or persons) of each row.
      weights: int [units], what each unit counts for, such as its photos.
      n_folds: number of folds.
      seed: decides between equals.

    Returns:
      int [units], the fold of each.
    """
    rng = np.random.default_rng([seed, 53])
    rank = rng.permutation(len(units))
    fold_of = np.full(len(weights), -1)
    room = [float(weights.sum()) / n_folds] * n_folds
    component = connected([tuple(row) for row in units.tolist()])
    members = np.split(np.argsort(component, kind="stable"), np.cumsum(np.bincount(component))[:-1])
    sized = [(np.unique(units[rows]), rows) for rows in members]
    parted = [np.zeros(0, int)]
    for own, rows in sorted(sized, key=lambda each: (-weights[each[0]].sum(), rank[each[1]].min())):
        roomiest = room.index(max(room))
        if len(own) > 1 and weights[own].sum() > room[roomiest]:
            parted.append(rows)
        else:
            fold_of[own] = roomiest
            room[roomiest] -= float(weights[own].sum())
    connections = Connections(units, np.concatenate(parted), rank, weights)
    taken = set(np.flatnonzero(fold_of >= 0).tolist())
    folds = [Growth(connections, taken, space) for space in room]
    growing = folds.copy()
    while growing:
        fold = max(growing, key=lambda each: each.room)
        if not fold.grow():
            growing.remove(fold)
    for number, fold in enumerate(folds):
        fold_of[list(fold.chosen)] = number
    room = [fold.room for fold in folds]
    left = rng.permutation(np.flatnonzero(fold_of < 0))
    for unit in left[np.argsort(-weights[left], kind="stable")].tolist():
        roomiest = room.index(max(room))
        fold_of[unit] = roomiest
        room[roomiest] -= float(weights[unit])
    return fold_of


def describe(report: Mapping[str, Any]) -> str:
    """Writes a report as lines of text."""
    n, parted_by = report["n_triplets"], report["parted_by"]
    lines = [f"{'parted by':<11}{parted_by}: {report['n_units']} in {report['folds']} folds"]
    for number, fold in enumerate(report["each"]):
        sizes = ", ".join(f"{name} {part['n_triplets']}" for name, part in fold["splits"].items())
        dropped = f"{fold['n_dropped']} dropped ({fold['n_dropped'] / n:.1%})"
        lines.append(
            f"{f'fold{number}':<11}{sizes} triplets, {dropped}; tests {fold['n_units_tested']} "
            f"{parted_by}"
        )
    lines.append(
        f"{'tested':<11}{report['n_tested']} of {n} triplets in one fold or another; the others "
        f"have {parted_by} of several folds"
    )
    lines += person_lines(report)
    if parted_by == "photos":
        lines.append(f"{'persons':<11}not known, so a person may be in train and in test")
    if report["n_bad_rows"]:
        lines.append(f"{'rows':<11}{report['n_bad_rows']} bad rows skipped")
    return "\n".join(lines)


def _splits_of_fold(
    rows: Sequence[Row],
    units: np.ndarray,
    weights: np.ndarray,
    tested: np.ndarray,
    share: float,
    seed: int,
) -> dict[str, list[Row]]:
    """The rows of each split of a fold whose test units are `tested`, bool [units]."""
    n_in = tested[units].sum(axis=1)
    others = np.flatnonzero(n_in == 0)
    known, renumbered = np.unique(units[others], return_inverse=True)
    held = np.full(0, -1)
    if len(known):
        least = min(_VALIDATION_UNITS / len(known), 1)
        renumbered = renumbered.reshape(len(others), units.shape[1])
        held = hold_out(renumbered, len(known), max(share, least), seed, weights[known]).rows
    return {
        TRAIN: [rows[at] for at in others[held == 0].tolist()],
        "validation": [rows[at] for at in others[held == 1].tolist()],
        "test": [rows[at] for at in np.flatnonzero(n_in == units.shape[1]).tolist()],
    }


def _check(folds: Sequence[Mapping[str, Sequence[Row]]], parted_by: str, n_units: int) -> None:
    for number, fold in enumerate(folds):
        for name, rows in fold.items():
            if not rows:
                raise UserError(
                    f"fold{number}: no triplet is left for {name}: the triplets connect the "
                    f"{n_units} {parted_by} too closely for {len(folds)} folds. Give another "
                    "number of --folds, --share or --seed; for labelled photos `imagefec triplets "
                    "--folds`, which makes the triplets of each fold, loses none."
                )


def _faces_of(train: Path, out: Path) -> Path:
    """The folder of cropped faces that the csv files have already, or the one to crop into."""
    places = [train.parent]
    if train.parent.name == "FEC_dataset":
        places.append(train.parent.parent)
    return next((place / FACES for place in places if (place / FACES).is_dir()), out / FACES)


def _write(
    new: Path, parts: Mapping[str, Sequence[Row]], train: Path, persons: Path | None
) -> None:
    for name, rows in parts.items():
        write_rows(new / csv_file_name(name), rows)
    copy_beside(train, (EXPRESSIONS_CSV, IN_MANUAL_DIR), new)
    if persons:
        files.write_bytes(new / PERSONS_CSV, persons.read_bytes())
