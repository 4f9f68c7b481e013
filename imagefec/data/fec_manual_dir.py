"""The manual directory of the `fec` dataset: FEC's csv files and the cropped faces."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

from imagefec import json_files
from imagefec.data.crop import face_folder
from imagefec.errors import UserError
from imagefec.faces.crop_settings import read_crop_settings
from imagefec.fec import SPLITS, csv_file_name
from imagefec.paths import user_path

CSV_NAMES = {split: csv_file_name(split) for split in SPLITS}

HOW_TO_FILL = """\
The manual directory of `fec` (DIR below) contains FEC's csv files and the faces cropped from the
photos:

  DIR/faceexp-comparison-data-train-public.csv    from FEC_dataset.zip (or DIR/FEC_dataset/...)
  DIR/faceexp-comparison-data-test-public.csv
  DIR/faceexp-comparison-data-validation-public.csv    optional: your own split
  DIR/faces/                                      made by `imagefec crop`

Get the zip from https://ai.google/tools/datasets/google-facial-expression/, unpack it in DIR, then:

  imagefec fetch DIR/FEC_dataset/*.csv --cache CACHE
  imagefec crop DIR/FEC_dataset/*.csv --cache CACHE --faces DIR/faces
  tfds build tfds_builders/fec --manual_dir=DIR --data_dir=DATA

(Without FEC's photos: `imagefec draw DIR` makes csv files of the same format with synthetic faces.)
Only the splits whose csv files are in DIR are built. DIR/exclude.txt is optional: it lists
URLs and face ids to leave out, one per line."""


@dataclasses.dataclass(frozen=True)
class ManualFiles:
    """Contents of a manual directory.

    Attributes:
      csv_paths: csv file by split, for the splits present.
      faces_dir: folder that `imagefec crop` wrote.
    """

    csv_paths: dict[str, Path]
    faces_dir: Path


def find_manual_files(manual_dir: str | os.PathLike[str]) -> ManualFiles:
    """Finds the csv files and the faces in a manual directory.

    Args:
      manual_dir: the directory; the csv files are in it or in its folder FEC_dataset.

    Returns:
      The files, with at least one csv file.

    Raises:
      UserError: no csv file or no faces; the text says which, and how to make them.
    """
    root = user_path(manual_dir, "manual_dir")
    if not root.is_dir():
        raise UserError(f"{root} is not a directory.\n{HOW_TO_FILL}")
    csv_paths = {}
    for split, name in CSV_NAMES.items():
        found = [path for path in (root / name, root / "FEC_dataset" / name) if path.is_file()]
        if len(found) > 1:
            raise UserError(
                f"{found[0]} and {found[1]} both exist. Delete the one that was not cropped."
            )
        if found:
            csv_paths[split] = found[0]
    if not csv_paths:
        others = sorted(path.name for path in root.glob("*.csv") if path.is_file())[:5]
        hint = f" It has {', '.join(others)}: rename them to their splits' names." if others else ""
        raise UserError(f"{root} has none of {', '.join(CSV_NAMES.values())}.{hint}\n{HOW_TO_FILL}")
    faces_dir = root / "faces"
    manifest = faces_dir / face_folder.MANIFEST
    if not manifest.is_file():
        raise UserError(
            f"{manifest} does not exist: the faces have not been cropped, or are elsewhere.\n"
            f"{HOW_TO_FILL}"
        )
    return ManualFiles(csv_paths, faces_dir)


def read_settings(faces_dir: Path) -> dict[str, Any]:
    """Reads the settings of the crop from settings.json: detector, alignment, box mapping.

    Args:
      faces_dir: folder that `imagefec crop` wrote.

    Raises:
      UserError: the file is missing or damaged.
    """
    path = faces_dir / face_folder.SETTINGS
    try:
        settings = json_files.read_json(path)
        if not isinstance(settings, dict):
            raise ValueError("not a JSON object")
        read_crop_settings(settings)
        return settings
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path}: {error}. `imagefec crop` writes it beside faces.csv; run it again."
        ) from None
