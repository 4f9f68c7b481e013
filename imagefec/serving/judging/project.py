"""A project: the folder of one set of photos, its settings, its faces and their splits."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from imagefec import files, json_files
from imagefec.data.labels.source import plain
from imagefec.errors import UserError
from imagefec.faces.detectors import make_detector
from imagefec.fec import EXPRESSIONS_CSV, PERSONS_CSV, SPLITS, csv_file_name
from imagefec.paths import readable
from imagefec.serving.judging import photos
from imagefec.serving.judging.journal import NAME
from imagefec.serving.judging.photo_file import PhotoFile
from imagefec.serving.judging.photo_table import is_table
from imagefec.serving.judging.photos import JudgedFace
from imagefec.serving.judging.triplets import (
    FACES_OF_TRIPLET,
    assign_by_person,
    assign_splits,
)

FILE = "judge.json"
DETECTOR = "blazeface"
_VERSION = 1


@dataclass(frozen=True)
class Settings:
    """What stays the same for all answers of a project.

    Attributes:
      seed: of splits and trials.
      validation_fraction: share of photos and judgements.
      test_fraction: likewise.
      boxes: photos.DETECTED or photos.WHOLE.
      labels: "folders" or "none".
    """

    seed: int = 0
    validation_fraction: float = 0.1
    test_fraction: float = 0.2
    boxes: str = photos.DETECTED
    labels: str = "folders"


@dataclass(frozen=True)
class Project:
    """A project that is open.

    Attributes:
      out: its folder.
      settings: as recorded.
      faces: by id, sorted.
      splits: split of each face id.
      left_out: reason -> {"count", "first" (names)}, of the photos that are not judged.
    """

    out: Path
    settings: Settings
    faces: dict[str, JudgedFace]
    splits: dict[str, str]
    left_out: dict[str, Any]

    @property
    def labels(self) -> dict[str, str]:
        """Label of each face id, "" for none."""
        return {name: face.photo.label for name, face in self.faces.items()}

    @property
    def persons(self) -> dict[str, str]:
        """Person of each face id, "" if not known."""
        return {name: face.photo.person for name, face in self.faces.items()}

    @property
    def pictures(self) -> dict[str, Path]:
        """JPEG file of each face id."""
        return {name: photos.picture_path(self.out, name) for name in self.faces}

    def photo_of(self, face: str) -> Path:
        """The file that the csv files name for a face."""
        judged = self.faces[face]
        return photos.copy_path(self.out, face) if judged.is_copied else judged.photo.path


def check_folders(source: Path, out: Path) -> None:
    """Raises UserError if `source` is neither a folder nor a table, or `out` would mix with it."""
    if source.is_file() and is_table(source):
        if out.resolve() == source.resolve().parent:
            raise UserError(
                f"--out {out}: is the folder of {source.name}, whose files may be replaced. Give "
                "another."
            )
        return
    if not source.is_dir():
        found = "a file that is no table by its name"
        if not source.exists():
            found = f"no such {'file' if is_table(source) else 'folder'}"
        raise UserError(
            f"{source}: {found}. Give a folder of photos, whose sub-folders may be labels, or a "
            "csv or parquet table with a column path."
        )
    if out.resolve().is_relative_to(source.resolve()):
        raise UserError(
            f"--out {out}: lies in the folder of the photos, so its pictures would become photos. "
            "Give a folder elsewhere."
        )


def open_project(source: Path, out: Path, settings: Settings, read_only: bool = False) -> Project:
    """Opens a project, or begins it: finds the faces, writes their pictures and chooses splits.

    Args:
      source: folder or table of photos.
      out: the project's folder, which this process has locked.
      settings: must be those that the project began with.
      read_only: do not write pictures that are missing; the project must have begun.

    Raises:
      UserError: there are no photos or too few faces, the project is of other photos or settings,
        or its file is damaged.
    """
    files.refuse_links(out, [photos.PICTURES, photos.COPIES, photos.SEARCHED, FILE])
    found, left_out = photos.find_photos(source, settings.labels == "folders")
    if (out / FILE).exists():
        project = _read(source, out, found, settings)
        if not read_only:
            photos.restore_pictures(list(project.faces.values()), out)
        return project
    _refuse_others(out)
    if read_only:
        raise UserError(f"{out}: no {FILE} in it, so no judging has begun there.")
    faces = photos.find_faces(found, make_detector(DETECTOR), settings.boxes, out, left_out)
    faces.sort(key=lambda face: face.photo.id)
    try:
        splits = _splits_of([face.photo for face in faces], settings)
    except ValueError as error:
        rest = f" Left out: {'; '.join(left_out.lines())}." if left_out.counts else ""
        last = "give up splits (--validation_fraction=0 --test_fraction=0)"
        if any(photo.split for photo in found):
            last = "change the column split, or leave it out"
        raise UserError(
            f"{source}: {error}.{rest} Give more photos, take photos for faces (--boxes=whole), or "
            f"{last}."
        ) from None
    by_id = {face.photo.id: face for face in faces}
    project = Project(out, settings, by_id, dict(zip(by_id, splits)), left_out.as_json())
    _write(project, found)
    (out / photos.SEARCHED).unlink(missing_ok=True)
    return project


def _splits_of(photos: list[PhotoFile], settings: Settings) -> list[str]:
    """The splits that a table gives; else random ones, by person where persons are known."""
    if any(photo.split for photo in photos):
        counts = Counter(photo.split for photo in photos)
        if min(counts["train"], *counts.values()) < FACES_OF_TRIPLET:
            found = ", ".join(f"{split} {n}" for split, n in counts.items())
            raise ValueError(
                f"its splits have {found} faces; train and each that is given need at least "
                f"{FACES_OF_TRIPLET}"
            )
        return [photo.split for photo in photos]
    shares = settings.seed, settings.validation_fraction, settings.test_fraction
    if any(photo.person for photo in photos):
        return assign_by_person([(photo.person, photo.id) for photo in photos], *shares)
    return assign_splits([photo.label for photo in photos], *shares)


def _refuse_others(out: Path) -> None:
    """Refuses a folder whose files, such as Google's csv files, the answers would replace."""
    for name in (NAME, EXPRESSIONS_CSV, PERSONS_CSV, *map(csv_file_name, SPLITS)):
        if (out / name).exists():
            raise UserError(
                f"{out / name}: not written by judge, which would replace it: {FILE} is missing "
                "beside it. Give an empty or new folder as --out."
            )


def _write(project: Project, found: list[PhotoFile]) -> None:
    lines = []
    for photo in found:
        face = project.faces.get(photo.id)
        record: dict[str, Any] = {"digest": photo.digest, "label": photo.label}
        if photo.person:
            record["person"] = photo.person
        if face is not None:
            record["split"] = project.splits[photo.id]
            record["box"], record["copied"] = list(face.box.sides), face.is_copied
        lines.append(json.dumps(record, ensure_ascii=False))
    head = json.dumps(
        {
            "version": _VERSION,
            "detector": DETECTOR,
            "settings": asdict(project.settings),
            "left_out": project.left_out,
        },
        ensure_ascii=False,
    )
    text = head[:-1] + ',\n"photos": [\n' + ",\n".join(lines) + "\n]}\n"
    # A file name may be invalid UTF-8.
    files.write_bytes(project.out / FILE, text.encode("utf-8", "backslashreplace"))


def _read(source: Path, out: Path, found: list[PhotoFile], wanted: Settings) -> Project:
    path = out / FILE
    try:
        head = json_files.read_json(path)
        if not isinstance(head, dict) or head.get("version") != _VERSION:
            raise ValueError("it is of another version")
        settings = Settings(**head["settings"])
        records = {record["digest"]: record for record in head["photos"]}
        known = {name: (each["label"], each.get("person", "")) for name, each in records.items()}
        # Settings come first: with other ones, the same photos may have other labels.
        _check_settings(out, settings, wanted)
        _check_photos(source, out, found, known)
        faces, splits = {}, {}
        for photo in sorted(found, key=lambda each: each.id):
            record = records[photo.digest]
            if "box" in record:
                faces[photo.id] = JudgedFace(
                    photo, photos.box_of(record["box"]), record["copied"] is True
                )
                splits[photo.id] = record["split"]
        if set(splits.values()) - set(SPLITS) or list(splits.values()).count("train") < 3:
            raise ValueError("its splits are not those of faces")
        return Project(out, settings, faces, splits, _left_out(head["left_out"]))
    except UserError:
        raise
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(
            f"{path}: damaged ({type(error).__name__}: {error}). Restore it from a copy, or give "
            "another --out; the answers there do not say which photos they are about without it."
        ) from None


def _left_out(found: dict[str, Any]) -> dict[str, Any]:
    """What was left out, as `LeftOut.as_json` gives it; ValueError for anything else."""
    for reason, each in found.items():
        if not isinstance(each["count"], int) or not all(
            isinstance(name, str) for name in each["first"]
        ):
            raise ValueError(f"left_out, {reason}: it must have a count and the first names")
    return found


def _check_photos(
    source: Path, out: Path, found: list[PhotoFile], recorded: dict[str, tuple[str, str]]
) -> None:
    here = {photo.digest: (plain(photo.label), photo.person) for photo in found}
    missing, new = recorded.keys() - here.keys(), here.keys() - recorded.keys()
    if missing or new:
        raise UserError(
            f"{out}: belongs to other photos than {source}: {len(missing)} of its {len(recorded)} "
            f"are missing there and {len(new)} are new. Give the same photos, or another --out."
        )
    known = {digest: (plain(label), person) for digest, (label, person) in recorded.items()}
    moved = sum(each != known[digest] for digest, each in here.items())
    if moved:
        raise UserError(
            f"{out}: {moved} photos of {source} have another label (folder) or person than when "
            "it began. Move them back, or give another --out."
        )


def _check_settings(out: Path, recorded: Settings, wanted: Settings) -> None:
    names = asdict(wanted)
    different = json_files.differing(asdict(recorded), asdict(wanted), names)
    if different:
        raise UserError(
            f"{out}: began with {different[0]}; this command says {different[1]}. Give the same "
            "flags, or another --out."
        )


def split_counts(project: Project) -> dict[str, int]:
    """Number of faces of each split."""
    counts = Counter(project.splits.values())
    return {split: counts[split] for split in SPLITS if counts[split]}


def split_warnings(project: Project) -> list[str]:
    """What the splits that a table gives make of measures: persons in train and in another one."""
    persons: dict[str, set[str]] = {split: set() for split in SPLITS}
    for face, person in project.persons.items():
        persons[project.splits[face]] |= {person} - {""}
    warnings = []
    for split in SPLITS:
        both = sorted(persons[split] & persons["train"]) if split != "train" else []
        if both:
            some = readable(", ".join(both[:5])) + (", …" if len(both) > 5 else "")
            warnings.append(
                f"warning: {len(both)} persons are in train and in {split}, as the table says "
                f"({some}): the TPA of that split is not that of new people. Without the column "
                "split, no person is in two."
            )
    return warnings
