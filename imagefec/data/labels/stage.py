"""Makes FEC's csv files of labelled, counted or rated photos."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from imagefec import files
from imagefec.data.csv_folder import CSV_FILES, remove_other_splits
from imagefec.data.fec_csv import Row, write_rows
from imagefec.data.fold_folders import FACES, fold_folders, link_faces, refuse_folds
from imagefec.data.labels import columns, report, report_text, splits, tables
from imagefec.data.labels.folders import read_folders
from imagefec.data.labels.judging import Judge, make_judge
from imagefec.data.labels.photos import GIVEN, WHOLE, Face, usable_faces
from imagefec.data.labels.sampling import Sampled, sample_triplets, votes_of
from imagefec.data.labels.settings import SETTINGS, TripletSettings, digest_of
from imagefec.data.labels.source import LABEL, Source, with_one_spelling
from imagefec.data.stage_progress import Progress
from imagefec.errors import UserError
from imagefec.faces.detectors import make_detector
from imagefec.fec import (
    EXPRESSIONS_CSV,
    EXPRESSIONS_HEADER,
    PERSONS_CSV,
    PERSONS_HEADER,
    SPLITS,
    TripletType,
    csv_file_name,
)
from imagefec.paths import readable, user_path

AUTO = "auto"
N_RATERS = 6  # as most of FEC's triplets have
PER_FACE = 5  # triplets; FEC has 3.4
SAME_PERSON_SHARE = 0.25
REPORT, CARD, LOCK = "report.json", "README.md", "triplets.lock"
_ORDER = (SETTINGS, REPORT, CARD, *CSV_FILES)  # settings first: they say whose the others are
_Made = tuple[dict[str, list[Face]], dict[str, tuple[Judge, Sampled]]]
_STREAMS = {split: number for number, split in enumerate(SPLITS)}


def make_triplets(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    by: Sequence[str] = (),
    split: str | None = None,
    n_triplets: int | None = None,
    same_person_share: float | None = None,
    n_raters: int = N_RATERS,
    boxes: str = AUTO,
    photos: str | os.PathLike[str] | None = None,
    seed: int = 0,
    min_score: float | None = None,
    model_dir: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    n_folds: int | None = None,
    dry_run: bool = False,
) -> dict[str, Any]:
    """Makes triplets of labelled photos; the same photos and arguments give the same bytes.

    Args:
      source: a folder of folders by label, or a csv or parquet table.
      out: gets the csv files, settings.json, report.json, README.md; expressions.csv if the faces
        have labels, persons.csv if their persons are known.
      by: as for `columns.parse_by`.
      split: as for `splits.parse_fractions`; None for "given" if any face has a split, else
        fractions 0.7,0.1,0.2.
      n_triplets: number of rows in all csv files; None for five per face.
      same_person_share: as for `sample_triplets`; None for a quarter if persons are known.
      n_raters: number of simulated raters for counts and for several ratings of a face.
      boxes: "whole" (the photo is the face), "given" (in the table), a detector's name, or "auto":
        given if the table has boxes, else whole.
      photos: folder that the paths of a table are relative to; None for the table's own.
      seed: of splits, triplets and raters.
      min_score: of the detector, as for `make_detector`.
      model_dir: likewise.
      progress: gets every opened photo and the counts.
      n_folds: write out/fold0, out/fold1, … instead, each with all these files: every person (or
        photo) is in the test split of one of them. Each links to the faces in out/faces. `split`
        must be None; `n_triplets` is the number in each fold.
      dry_run: open the photos and count, but write nothing.

    Returns:
      The report, as in report.json; of folds {"folds", "n_tested" (triplets of all test splits),
      "each": the reports}.

    Raises:
      UserError: something is wrong with the source or an argument, no triplet can be made, or the
        folder holds other triplets or cannot be written to.
    """
    source, out = user_path(source, "SOURCE"), user_path(out, "--out")
    fractions = None if split is None else splits.parse_fractions(split)
    if n_folds is not None and split is not None:
        raise UserError("--split does not go with --folds, which decide the splits. Give one.")
    if n_folds is None:
        refuse_folds(out)
    folders = [out] if n_folds is None else fold_folders(out, n_folds)
    if source.is_dir() and out.resolve().is_relative_to(source.resolve()):
        raise UserError(
            f"--out={out} is in the folder of the photos, where the cropped faces would be taken "
            f"for photos the next time. Give an --out outside of {source}."
        )
    if out.resolve() == source.resolve().parent:
        raise UserError(
            f"--out={out} is the folder of SOURCE, whose files may be replaced. Give another --out."
        )
    read = with_one_spelling(_read(source, columns.parse_by(by), photos))
    split = split or _default_split(read)
    fractions = fractions or splits.parse_fractions(split)
    if n_folds is not None:
        split = f"{n_folds} folds"
    boxes = _resolved(boxes, read)
    detector = None if boxes in (WHOLE, GIVEN) else make_detector(boxes, min_score, model_dir)
    settings = TripletSettings(
        read.kind,
        read.read_as,
        detector.name if detector else boxes,
        detector.version if detector else "",
        detector.min_score if detector else None,
        split,
        n_triplets,
        _hard_share(same_person_share, read),
        n_raters,
        seed,
    )
    try:
        if dry_run:
            files.check_folder(out)
        lock = files.folder_lock(out, "triplets", "--out", LOCK)
        with contextlib.nullcontext() if dry_run else lock:
            for folder in dict.fromkeys([out, *folders]):
                settings.check(folder)
            faces, left_out = usable_faces(read, detector, settings.boxes, progress)
            report.check_faces(faces, read, left_out)
            settings = dataclasses.replace(settings, source_sha256=digest_of(faces))
            for folder in folders:
                settings.check(folder)
            if n_folds is None:
                parted = [splits.split_faces(faces, fractions, settings.seed)]
            else:
                parted = splits.fold_splits(faces, n_folds, settings.seed)
            made = [_make(faces, split_of, settings) for split_of in parted]
            name = readable(source)
            reports = [report.make_report(name, read, settings, *each, left_out) for each in made]
            if n_folds is None:
                if not dry_run:
                    with files.written_together(out, _ORDER) as new:
                        _write(new, *made[0], reports[0], settings)
                    remove_other_splits(out, _n_triplets(reports[0]))
                return reports[0]
            report.check_tests(reports)
            if not dry_run:
                _write_folds(out, folders, made, reports, settings)
            return report.joined(reports)
    except OSError as error:
        raise UserError(
            f"{error.filename or out}: {error.strerror}. Give an --out on a disk with free space "
            "that you may write to."
        ) from error


def _read(source: Path, by: columns.Columns, photos: str | os.PathLike[str] | None) -> Source:
    if source.is_dir():
        if photos is not None:
            raise UserError("--photos is for a table; SOURCE is a folder.")
        return read_folders(source, by)
    if not source.exists():
        raise UserError(
            f"{source}: no such file or folder. Give a folder of photos by label, or a csv or "
            "parquet table."
        )
    if source.name in map(csv_file_name, SPLITS):
        raise UserError(
            f"{source}: its name is that of one of FEC's csv files, which are triplets already: "
            "`imagefec fetch` and `imagefec crop` take them. SOURCE is a folder of photos by "
            "label, or a table of photos with labels or ratings."
        )
    if source.suffix.lower() not in tables.SUFFIXES:
        raise UserError(
            f"{source}: not a table by its name; allowed are {', '.join(tables.SUFFIXES)}, or a "
            "folder of photos by label."
        )
    base = None if photos is None else user_path(photos, "--photos")
    if base is not None and not base.is_dir():
        raise UserError(f"--photos={base}: no such folder.")
    return tables.read_table(source, by, base)


def _default_split(read: Source) -> str:
    if any(face.split for face in read.faces):
        return splits.GIVEN
    return ",".join(f"{part:g}" for part in splits.DEFAULT_FRACTIONS)


def _resolved(boxes: str, read: Source) -> str:
    has_boxes = any(face.box for face in read.faces)
    if boxes == AUTO:
        return GIVEN if has_boxes else WHOLE
    if boxes == GIVEN and not has_boxes:
        raise UserError(
            "--boxes=given, but SOURCE gives none. A table's columns left, right, top, bottom are "
            "used, or those of --by=box:LEFT,RIGHT,TOP,BOTTOM; or use --boxes=whole or a detector."
        )
    if boxes not in (WHOLE, GIVEN) and any(face.path is None for face in read.faces):
        raise UserError(
            f"--boxes={boxes}: boxes are detected in files, but some photos are on the web. Fetch "
            "them and give paths, or give boxes, or use --boxes=whole."
        )
    return boxes


def _hard_share(requested: float | None, read: Source) -> float:
    known = any(face.person for face in read.faces)
    if requested and not known:
        raise UserError(
            f"--same_person_share={requested:g}, but no person is known. Name the column or the "
            "level: --by=person:COLUMN, --by=folders:label/person."
        )
    return requested if requested is not None else SAME_PERSON_SHARE if known else 0.0


def _make(faces: Sequence[Face], split_of: Sequence[str], settings: TripletSettings) -> _Made:
    """The faces and the triplets of each split."""
    in_splits = {
        split: [face for face, own in zip(faces, split_of) if own == split]
        for split in SPLITS
        if split in split_of
    }
    return in_splits, _sample(in_splits, settings)


def _sample(
    in_splits: dict[str, list[Face]], settings: TripletSettings
) -> dict[str, tuple[Judge, Sampled]]:
    n_faces = sum(map(len, in_splits.values()))
    asked = PER_FACE * n_faces if settings.triplets is None else settings.triplets
    n_of = {split: max(1, round(asked * len(own) / n_faces)) for split, own in in_splits.items()}
    first = next(iter(in_splits))  # train, unless all is test
    n_of[first] = max(1, n_of[first] + asked - sum(n_of.values()))
    result = {}
    for split, faces in in_splits.items():
        judge = make_judge(
            settings.kind,
            [face.label for face in faces],
            [face.values for face in faces],
            settings.raters,
            settings.seed,
        )
        result[split] = (
            judge,
            sample_triplets(
                judge,
                report.codes([face.photo for face in faces]),
                report.codes([face.person for face in faces]),
                n_of[split],
                settings.same_person_share,
                [settings.seed, 40 + _STREAMS[split]],
            ),
        )
    return result


def _write(
    new: Path,
    in_splits: dict[str, list[Face]],
    sampled: dict[str, tuple[Judge, Sampled]],
    found: dict[str, Any],
    settings: TripletSettings,
) -> None:
    """Writes the files of a folder, or of a fold, into a new one; see `files.written_together`."""
    files.write_text(new / SETTINGS, json.dumps(settings.as_json(), indent=2) + "\n")
    for split, of_split in sampled.items():
        if len(of_split[1]):
            write_rows(new / csv_file_name(split), _rows(in_splits[split], *of_split))
    faces = [face for of_split in in_splits.values() for face in of_split]
    if settings.kind == LABEL:
        rows = [[*_cells(face), face.label] for face in faces]
        _write_table(new / EXPRESSIONS_CSV, EXPRESSIONS_HEADER, rows)
    if any(face.person for face in faces):
        rows = [[*_cells(face), face.person] for face in faces if face.person]
        _write_table(new / PERSONS_CSV, PERSONS_HEADER, rows)
    files.write_text(new / CARD, report_text.card(found, settings.as_json()))
    files.write_text(new / REPORT, json.dumps(found, indent=1, ensure_ascii=False) + "\n")


def _n_triplets(found: dict[str, Any]) -> dict[str, int]:
    return {split: of_split["n_triplets"] for split, of_split in found["splits"].items()}


def _write_folds(
    out: Path,
    folders: Sequence[Path],
    made: Sequence[_Made],
    reports: Sequence[dict[str, Any]],
    settings: TripletSettings,
) -> None:
    """Writes each fold with a link to the faces of all, and their report; all of it or nothing."""
    joined = json.dumps(report.joined(reports), indent=1, ensure_ascii=False) + "\n"
    with contextlib.ExitStack() as together:
        for folder, each, found in zip(folders, made, reports):
            folder.mkdir(exist_ok=True)
            link_faces(folder, out / FACES)
            new = together.enter_context(files.written_together(folder, _ORDER))
            _write(new, *each, found, settings)
        new = together.enter_context(files.written_together(out, (REPORT,)))
        files.write_text(new / REPORT, joined)
    for folder, found in zip(folders, reports):
        remove_other_splits(folder, _n_triplets(found))


def _rows(faces: Sequence[Face], judge: Judge, sampled: Sampled) -> Iterator[Row]:
    for line, (triplet, kind, votes) in enumerate(
        zip(sampled.triplets.tolist(), sampled.types.tolist(), sampled.votes), start=1
    ):
        first, second, third = (faces[at].ref for at in triplet)
        annotators, choices = votes_of(votes, judge.raters)
        yield Row(line, (first, second, third), TripletType(kind), annotators, choices)


def _cells(face: Face) -> list[object]:
    return [face.ref.url, *(repr(side) for side in face.ref.box.sides)]


def _write_table(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    with files.atomic_open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])


__all__ = ["CARD", "PERSONS_CSV", "REPORT", "SETTINGS", "make_triplets"]
