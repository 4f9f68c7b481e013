"""What parting needs of csv files: who is shown, what must stay together, and the files beside."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from imagefec import files
from imagefec.data.fec_csv import Row, split_of
from imagefec.data.labels.source import plain
from imagefec.errors import UserError
from imagefec.fec import SPLITS, csv_file_name

TRAIN = "train"
REPORT, LOCK = "split.json", "split.lock"


def by_split(paths: Sequence[Path], out: Path) -> dict[str, Path]:
    """The csv file of each split; a file of any other name than FEC's counts as train.

    Args:
      paths: of the files.
      out: folder that is written to.

    Raises:
      UserError: two files are of one split, one lies in `out`, or none is train.
    """
    known = {csv_file_name(split) for split in SPLITS}
    found: dict[str, Path] = {}
    for path in paths:
        split = split_of(path) if path.name in known else TRAIN
        if split in found:
            raise UserError(
                f"{path} and {found[split]} are both {split}; give one file of each split."
            )
        found[split] = path
        if path.absolute().parent == out.absolute():
            raise UserError(
                f"--out={out} is the folder of {path.name}, which would be replaced. Give another."
            )
    if TRAIN not in found:
        raise UserError(f"none of the files is train; give {csv_file_name(TRAIN)}.")
    return found


def units_of(
    rows: Sequence[Row], person_of: Mapping[str, set[str]]
) -> tuple[np.ndarray, np.ndarray]:
    """Numbers what must not be parted: the persons of photos, or a photo of which none is known.

    Args:
      rows: of the csv files.
      person_of: persons by URL; a photo may show several.

    Returns:
      (units, weights). units: int [rows, 3 or more], the numbers from 0 of all units that each
      row's photos show; the last one is repeated where there are fewer. weights: int [units], the
      number of photos of each.
    """
    number: dict[tuple[str, str], int] = {}
    of_url: dict[str, list[int]] = {}
    for url in photos_of(rows):
        persons = [("person", name) for name in sorted(person_of.get(url, ()))]
        own = persons or [("photo", url)]
        of_url[url] = [number.setdefault(unit, len(number)) for unit in own]
    of_row = [
        list(dict.fromkeys(unit for face in row.faces for unit in of_url[face.url])) for row in rows
    ]
    width = max(3, *map(len, of_row)) if of_row else 3
    units = np.array([own + own[-1:] * (width - len(own)) for own in of_row], np.int64)
    photos = np.array([unit for own in of_url.values() for unit in own], np.int64)
    return units.reshape(len(rows), width), np.bincount(photos, minlength=len(number))


def photos_of(rows: Sequence[Row]) -> list[str]:
    """The URLs of the photos of rows, each once, in their order."""
    return list(dict.fromkeys(face.url for row in rows for face in row.faces))


def persons_of(rows: Sequence[Row], path: Path, csv_path: Path) -> dict[str, set[str]]:
    """The persons of the photos of rows by URL, of a csv file with the columns url and person.

    Names that differ in letter case or in the form of accents are one.

    Args:
      rows: of the csv files.
      path: of the file.
      csv_path: the file of the first row, for the message.

    Returns:
      One person or more for each photo whose person is known.

    Raises:
      UserError: the file cannot be read, lacks the columns, or names none of the photos.
    """
    person_of, photos = _read_persons(path), photos_of(rows)
    found = {url: person_of[url] for url in photos if url in person_of}
    if not found:
        first = f"its first is {next(iter(person_of))!r:.200}" if person_of else "it names nobody"
        raise UserError(
            f"{path}: none of the {len(photos)} photos is in it: {first}, and the first of "
            f"{csv_path} is {photos[0]!r:.200}. Give the persons of these photos, or part by "
            "photo: leave out --persons, and for --folds also move away a persons.csv "
            "that is beside train."
        )
    return found


def person_counts(rows: Sequence[Row], person_of: Mapping[str, set[str]]) -> dict[str, int]:
    """{"n_photos", "n_photos_without_person"} of rows, for the report."""
    photos = photos_of(rows)
    unknown = sum(url not in person_of for url in photos)
    return {"n_photos": len(photos), "n_photos_without_person": unknown}


def person_lines(report: Mapping[str, Any]) -> list[str]:
    """What a report says of photos without a person, as lines of text."""
    unknown, n_photos = report["n_photos_without_person"], report["n_photos"]
    if report["parted_by"] == "photos" or not unknown:
        return []
    return [
        f"{'persons':<11}not known of {unknown} of {n_photos} photos, which are parted by photo, "
        "so a person in them may be in two parts"
    ]


def _read_persons(path: Path) -> dict[str, set[str]]:
    try:
        with files.open_regular(path) as file:
            lines = csv.DictReader(file.read().decode("utf-8-sig").splitlines())
            if not {"url", "person"} <= set(lines.fieldnames or ()):
                raise UserError(
                    f"{path}: its header is {','.join(lines.fieldnames or ())[:80]!r}; it needs "
                    "the columns url and person, as in persons.csv of `imagefec triplets`."
                )
            found: dict[str, set[str]] = {}
            for line in lines:
                if line["url"] and (person := plain(line["person"] or "")):
                    found.setdefault(line["url"], set()).add(person)
            return found
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read ({error}). Give a csv file in UTF-8.") from None


def part_sizes(parts: Mapping[str, Sequence[Row]]) -> dict[str, dict[str, int]]:
    """Split -> {"n_triplets", "n_photos"}."""
    return {
        name: {
            "n_triplets": len(rows),
            "n_photos": len({face.url for row in rows for face in row.faces}),
        }
        for name, rows in parts.items()
    }


def copy_beside(train: Path, names: Sequence[str], out: Path) -> None:
    """Copies files of these names that are beside the train file."""
    for name in names:
        if (path := train.with_name(name)).is_file():
            files.write_bytes(out / name, path.read_bytes())
