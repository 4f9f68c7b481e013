"""Holds a split out of FEC's csv files, so that it shares no photo (and no person) with train."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from imagefec import files
from imagefec.data.csv_folder import CSV_FILES, refuse_mixture
from imagefec.data.fec_csv import Row, RowReport, read_rows, write_rows
from imagefec.data.fold_folders import refuse_folds
from imagefec.data.labels.splits import connected
from imagefec.data.parting.growth import Connections, Growth
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
from imagefec.fec import EXPRESSIONS_CSV, csv_file_name
from imagefec.paths import user_path


@dataclasses.dataclass(frozen=True)
class HeldOut:
    """The result of `hold_out`.

    Attributes:
      in_part: bool [units], which units are held out.
      rows: int [rows], 0: all units in train, 1: all held out, -1: some of each, so dropped.
    """

    in_part: np.ndarray
    rows: np.ndarray


def split_csv(
    csv_paths: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    into: str = "validation",
    share: float = 0.1,
    persons: str | os.PathLike[str] | None = None,
    seed: int = 0,
    skip_bad_rows: bool = False,
    dry_run: bool = False,
) -> dict[str, Any]:
    """Writes csv files whose train split has lost a share of its photos to another split.

    Args:
      csv_paths: FEC's csv files: train, which is parted, and others, which are copied. A file of
        any other name counts as train.
      out: gets the csv files, split.json, and the expressions.csv that is beside the files.
      into: name of the split that is held out.
      share: of train's photos (persons, if known) to hold out, in (0, 1).
      persons: csv file with the columns url and person; photos that it does not name have no
        known person. None to part by photo.
      seed: 0 or more.
      skip_bad_rows: skip bad rows instead of stopping at the first.
      dry_run: write nothing.

    Returns:
      The report, as in split.json.

    Raises:
      UserError: a file is bad, `into` exists already, a part is empty, `persons` names none of
        the photos, or the folder holds other csv files or cannot be written to.
    """
    out = user_path(out, "--out")
    paths = by_split([user_path(path, "CSV") for path in csv_paths], out)
    if into in paths:
        raise UserError(
            f"{paths[into]}: there is a split {into} already. Leave the file out, or give another "
            "--into."
        )
    refuse_folds(out)
    bad = RowReport()
    rows = list(read_rows(paths[TRAIN], bad, skip_bad_rows))
    known = None if persons is None else user_path(persons, "--persons")
    person_of = {} if known is None else persons_of(rows, known, paths[TRAIN])
    units, weights = units_of(rows, person_of)
    n_units = len(weights)
    held = hold_out(units, n_units, share, seed)
    parts = {
        TRAIN: [row for row, part in zip(rows, held.rows.tolist()) if part == 0],
        into: [row for row, part in zip(rows, held.rows.tolist()) if part == 1],
    }
    for name, part in parts.items():
        if not part:
            raise UserError(
                f"{paths[TRAIN]}: no triplet of {len(rows)} is left for {name}: the triplets "
                f"connect its {n_units} {'persons' if person_of else 'photos'} too closely. Give "
                "another --share or --seed."
            )
    report = _report(parts, held, len(rows), bad.n_refused, n_units, into, bool(person_of))
    settings = settings_of(paths, known, into=into, share=share, seed=seed)
    report |= settings | person_counts(rows, person_of)
    report["shared_photos"] = _shared(paths, parts, skip_bad_rows)
    try:
        if dry_run:
            files.check_folder(out)
        lock = files.folder_lock(out, "split", "--out", LOCK)
        with contextlib.nullcontext() if dry_run else lock:
            refuse_mixture(out, REPORT, settings, settings)
            if dry_run:
                return report
            with files.written_together(out, (REPORT, *CSV_FILES)) as new:
                files.write_text(new / REPORT, json.dumps(report, indent=1) + "\n")
                for name, part in parts.items():
                    write_rows(new / csv_file_name(name), part)
                _copy(paths, new)
    except OSError as error:
        raise UserError(
            f"{error.filename or out}: {error.strerror}. Give an --out on a disk with free space "
            "that you may write to."
        ) from error
    return report


def hold_out(
    units: np.ndarray, n_units: int, share: float, seed: int, weights: np.ndarray | None = None
) -> HeldOut:
    """Chooses the units to hold out, so that few rows fall between the parts.

    Rows that share a unit are connected. Whole sets of connected rows are held out first, as far as
    they fit, at no loss. What is missing is taken out of the others: from one row on, always the
    row that brings the fewest new units. This keeps several times as many rows as units chosen at
    random: of those, rows with three held-out ones are only share³ of all.

    Args:
      units: int [rows, 3 or more], numbers from 0 of the units (photos or persons) of each row.
      n_units: number of units.
      share: of the units to hold out, in (0, 1).
      seed: decides between equals.
      weights: int [n_units], what each unit counts for in the share; None for 1 each.
    """
    weights = np.ones(n_units, int) if weights is None else weights
    wanted = max(1, round(share * int(weights.sum())))
    rank = np.random.default_rng([seed, 51]).permutation(len(units))
    chosen = np.zeros(n_units, bool)
    component = connected([tuple(row) for row in units.tolist()])
    members = np.split(np.argsort(component, kind="stable"), np.cumsum(np.bincount(component))[:-1])
    n_chosen, parted = 0, []
    for rows in sorted(members, key=lambda rows: rank[rows].min()):
        own = np.unique(units[rows])
        weight = int(weights[own].sum())
        if len(members) > 1 and n_chosen + weight <= wanted:
            chosen[own] = True
            n_chosen += weight
        else:
            parted.append(rows)
    if parted and n_chosen < wanted / 2:
        # Only the largest is parted: the others stay whole.
        largest = max(parted, key=len)
        growth = Growth(Connections(units, largest, rank, weights), set(), wanted - n_chosen)
        while growth.grow():
            pass
        chosen[list(growth.chosen)] = True
    n_in = chosen[units].sum(axis=1)
    return HeldOut(chosen, np.where(n_in == units.shape[1], 1, np.where(n_in == 0, 0, -1)))


def describe(report: Mapping[str, Any]) -> str:
    """Writes a report as lines of text."""
    into = report["into"]
    lines = [
        f"{name:<11}{part['n_triplets']} triplets of {part['n_photos']} photos"
        for name, part in report["splits"].items()
    ]
    n, dropped = report["n_triplets"], report["n_dropped"]
    lines.append(
        f"{'dropped':<11}{dropped} of {n} triplets ({dropped / n:.1%}), which have "
        f"{report['parted_by']} of train and of {into}"
    )
    lines += person_lines(report)
    for names, n_shared in report["shared_photos"].items():
        if n_shared:
            lines.append(f"{'shared':<11}{n_shared} photos are in {names}, as in the files given")
    if report["n_bad_rows"]:
        lines.append(f"{'rows':<11}{report['n_bad_rows']} bad rows skipped")
    return "\n".join(lines)


def _copy(paths: Mapping[str, Path], out: Path) -> None:
    """Copies the other splits, and what is beside train."""
    for split, path in paths.items():
        if split != TRAIN:
            files.write_bytes(out / csv_file_name(split), path.read_bytes())
    copy_beside(paths[TRAIN], (EXPRESSIONS_CSV,), out)


def _shared(
    paths: Mapping[str, Path], parts: Mapping[str, Sequence[Row]], skip_bad_rows: bool
) -> dict[str, int]:
    """Number of photos that each part shares with each copied split."""
    urls = {name: {face.url for row in rows for face in row.faces} for name, rows in parts.items()}
    shared: dict[str, int] = {}
    for split, path in paths.items():
        if split != TRAIN:
            rows = read_rows(path, RowReport(), skip_bad_rows)
            own = {face.url for row in rows for face in row.faces}
            shared |= {f"{name} and {split}": len(urls[name] & own) for name in parts}
    return shared


def _report(
    parts: Mapping[str, Sequence[Row]],
    held: HeldOut,
    n_rows: int,
    n_bad: int,
    n_units: int,
    into: str,
    by_person: bool,
) -> dict[str, Any]:
    return {
        "into": into,
        "parted_by": "persons" if by_person else "photos",
        "n_triplets": n_rows,
        "n_bad_rows": n_bad,
        "n_units": n_units,
        "n_units_held_out": int(held.in_part.sum()),
        "n_dropped": int((held.rows < 0).sum()),
        "splits": part_sizes(parts),
    }
