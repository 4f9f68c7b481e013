"""What is known of faces beside their triplets: who is shown, and the label of the expression."""

from __future__ import annotations

import logging
import os
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from imagefec.data.face_names import SEVERAL_FACES, FaceNames, NotAFace, Texts
from imagefec.data.labels import tables
from imagefec.data.labels.columns import Columns, known_columns
from imagefec.data.labels.source import plain
from imagefec.errors import UserError
from imagefec.faces.image_files import LeftOut
from imagefec.fec import EXPRESSIONS_CSV, PERSONS_CSV
from imagefec.paths import readable, user_path

PERSON, LABEL = "person", "label"
ROLES = ("id", "url", "path", "box", PERSON, LABEL)
UNKNOWN = -1
NOTHING_KNOWN = "neither a person nor a label"
CONTRADICTION = "contradicts an earlier row, so neither is used"

_log = logging.getLogger(__name__)

AnyPath = str | os.PathLike[str]


@dataclass(frozen=True)
class Annotations:
    """The persons and labels of n faces.

    Attributes:
      person: int64 [n], index into `persons`; -1 if it is not known.
      label: int64 [n], index into `labels`; -1 if it is not known.
      persons: names, each of one face or more.
      labels: likewise.
      matched_by: "ids", "boxes" (URL and box), "urls" or "paths" -> number of rows that were
        matched by these.
      left_out: rows that are not used, by reason; a table usually has the faces of other splits.
      files: the files that were read.
    """

    person: np.ndarray
    label: np.ndarray
    persons: tuple[str, ...]
    labels: tuple[str, ...]
    matched_by: dict[str, int] = field(default_factory=dict)
    left_out: LeftOut = field(default_factory=LeftOut)
    files: tuple[str, ...] = ()

    def warnings(self) -> list[str]:
        """What should be known: faces without a person or label, and rows that contradict."""
        lines = [
            f"the {role} of {n:,} of {len(codes):,} faces is not known"
            for role, codes, names in (
                (PERSON, self.person, self.persons),
                (LABEL, self.label, self.labels),
            )
            if names and (n := int((codes < 0).sum()))
        ]
        counts = self.left_out.counts
        reasons = (CONTRADICTION, NOTHING_KNOWN, SEVERAL_FACES, tables.WRONG_CELLS)
        return [*lines, *(f"{counts[r]:,} rows: {r}" for r in reasons if r in counts)]

    def as_json(self) -> dict[str, Any]:
        """The counts.

        Returns:
          {"files", "n_faces", "n_person" and "n_label" (faces with one), "n_persons" and "n_labels"
          (different ones), "matched_by", "rows_left_out"}.
        """
        return {
            "files": [readable(path) for path in self.files],
            "n_faces": len(self.person),
            "n_person": int((self.person >= 0).sum()),
            "n_label": int((self.label >= 0).sum()),
            "n_persons": len(self.persons),
            "n_labels": len(self.labels),
            "matched_by": self.matched_by,
            "rows_left_out": self.left_out.as_json(),
        }


def read_annotations(
    paths: AnyPath | Iterable[AnyPath],
    face_ids: Sequence[str],
    urls: Sequence[str],
    what: str,
    setting: str = "--annotations",
) -> Annotations:
    """Reads what tables say of faces, such as expressions.csv and persons.csv of `draw`.

    Which face a row is of: see `face_names.FaceNames.find`.

    Args:
      paths: one or more csv (UTF-8, a header) or parquet files, or folders that hold
        expressions.csv or persons.csv. Columns, by their names: id (or face_id), or url, or path
        (image, file, …); left, right, top, bottom; person (identity, subject, …) and label
        (expression, emotion, class, …), one of these two or both.
      face_ids: n ids of the faces.
      urls: the photo of each.
      what: the dataset and split, for messages.
      setting: what gives the paths, for messages.

    Returns:
      The persons and labels. Names that differ in letter case or in the form of accents are one.

    Raises:
      UserError: a file is missing or damaged, lacks the columns, or has no face of the split.
    """
    faces, found, files = FaceNames(face_ids, urls), _Found(), _files(paths, setting)
    for path in files:
        header, rows_of = tables.read_rows(path)
        columns = _columns(path, header)
        n_before, n_rows, example = found.n_matched, 0, ""
        for line, cells in rows_of(columns):
            n_rows += 1
            name = f"{path.name}, line {line}"
            if cells is None:
                found.left_out.add(tables.WRONG_CELLS, name)
                continue
            text = {
                role: tuple(tables.text_of(cells[column]) for column in names)
                for role, names in columns.items()
            }
            example = example or _name_of(text)
            found.add(name, text, faces)
        if found.n_matched == n_before:
            raise _no_match(path, n_rows, example, face_ids, urls, what)
    annotations = found.annotations(len(face_ids), files)
    for warning in annotations.warnings():
        _log.warning("%s: %s", ", ".join(path.name for path in files), warning)
    return annotations


class _Found:
    """What the rows say, face by face.

    Attributes:
      n_matched: rows that name a face.
      left_out: as in Annotations.
    """

    def __init__(self) -> None:
        self.n_matched, self.left_out = 0, LeftOut()
        self._matched_by: dict[str, int] = {}
        self._said: dict[str, dict[int, str]] = {PERSON: {}, LABEL: {}}  # "" if contradicted
        self._spellings: dict[str, dict[str, str]] = {PERSON: {}, LABEL: {}}  # the first of each

    def add(self, name: str, text: Texts, faces: FaceNames) -> None:
        """Takes what a row says, or counts why it is not used."""
        try:
            kind, row = faces.find(text)
        except NotAFace as out:
            self.left_out.add(str(out), name)
            return
        self.n_matched += 1
        self._matched_by[kind] = self._matched_by.get(kind, 0) + 1
        said = {role: text[role][0] for role in (PERSON, LABEL) if text.get(role, ("",))[0]}
        if not said:
            self.left_out.add(NOTHING_KNOWN, name)
        for role, value in said.items():
            key = plain(value)
            self._spellings[role].setdefault(key, _spelling(value))
            if self._said[role].setdefault(row, key) != key:
                self._said[role][row] = ""
                self.left_out.add(CONTRADICTION, f"{name} ({role} {_spelling(value)})")

    def annotations(self, n_faces: int, paths: Sequence[Path]) -> Annotations:
        """All that is known, with the names of the persons and labels that faces have."""
        codes, names = {}, {}
        for role, said in self._said.items():
            keys = sorted(set(said.values()) - {""})
            code_of = {key: code for code, key in enumerate(keys)}
            codes[role] = np.full(n_faces, UNKNOWN, np.int64)
            for row, key in said.items():
                codes[role][row] = code_of.get(key, UNKNOWN)
            names[role] = tuple(self._spellings[role][key] for key in keys)
        return Annotations(
            codes[PERSON],
            codes[LABEL],
            names[PERSON],
            names[LABEL],
            self._matched_by,
            self.left_out,
            tuple(map(str, paths)),
        )


def _spelling(name: str) -> str:
    return unicodedata.normalize("NFC", " ".join(name.split()))


def _files(paths: AnyPath | Iterable[AnyPath], setting: str) -> list[Path]:
    given = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    found = list[Path]()
    for path in (user_path(each, setting) for each in given):
        if not path.is_dir():
            if not path.exists():
                raise UserError(f"{setting}={path}: no such file. {_GIVE}")
            if path.suffix.lower() not in tables.SUFFIXES:
                raise UserError(f"{setting}={path}: not a table by its name. {_GIVE}")
            found.append(path)
            continue
        inside = [path / name for name in (EXPRESSIONS_CSV, PERSONS_CSV) if (path / name).is_file()]
        if not inside:
            raise UserError(
                f"{setting}={path}: this folder has neither {EXPRESSIONS_CSV} nor "
                f"{PERSONS_CSV}. {_GIVE}"
            )
        found += inside
    if not found:
        raise UserError(f"{setting}: no file is given. {_GIVE}")
    return list(dict.fromkeys(found))


def _columns(path: Path, header: Sequence[str]) -> Columns:
    columns = known_columns(header, ROLES, str(path))
    lacks = [
        what
        for what, roles in (
            ("the faces (id, url or path)", ("id", "url", "path")),
            ("their persons or labels (person, label, expression, …)", (PERSON, LABEL)),
        )
        if not any(role in columns for role in roles)
    ]
    if lacks:
        some = ", ".join(repr(name) for name in header[:20])
        raise UserError(
            f"{path}: no column is known to name {' and '.join(lacks)}; it has {some}. Rename the "
            "columns."
        )
    return columns


def _name_of(text: Texts) -> str:
    return next((text[role][0] for role in ("id", "url", "path") if text.get(role, ("",))[0]), "")


def _no_match(
    path: Path, n_rows: int, example: str, face_ids: Sequence[str], urls: Sequence[str], what: str
) -> UserError:
    such = f", such as {readable(example)!r}," if example else ""
    return UserError(
        f"{path}: none of its {n_rows:,} rows{such} is a face of {what}, which has ids such as "
        f"{face_ids[0]!r} and urls such as {readable(urls[0])!r}. Give the table that belongs to "
        "this dataset; boxes must be those of its csv files, else leave their columns out."
    )


_GIVE = (
    "Give csv or parquet tables of faces with their persons or labels, such as the expressions.csv "
    "and persons.csv that draw and triplets write, or the folder that holds these two."
)
