"""What parting needs of csv files: who is shown, what must stay together, and the files beside."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from imagefec import files
from imagefec.data.fec_csv import Row, split_of
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
    for url in dict.fromkeys(face.url for row in rows for face in row.faces):
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


def read_persons(path: Path) -> dict[str, set[str]]:
    """The persons of each photo by URL, of a csv file with the columns url and person.

    Raises:
      UserError: the file cannot be read or lacks the columns.
    """
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
                if line["url"] and line["person"]:
                    found.setdefault(line["url"], set()).add(line["person"])
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
