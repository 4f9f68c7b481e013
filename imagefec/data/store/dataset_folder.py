"""Checks the folder of a built dataset, which may be received from others or copied in part.

Without TFDS: `tfds_source` reads the dataset.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from imagefec import json_files
from imagefec.errors import UserError

INFO, FEATURES, METADATA = "dataset_info.json", "features.json", "metadata.json"
CURE = "Copy the dataset again from where it is complete, or build it again with --overwrite."
# Keys of features.json whose values TFDS imports as Python classes.
_CLASS_KEYS = ("pythonClassName", "python_class_name", "type")


def refuse_foreign_classes(data_dir: Path, dataset: str) -> None:
    """Refuses a dataset whose features.json would make TFDS import and run other Python code.

    Args:
      data_dir: where datasets are built.
      dataset: name in it, with or without a config and a version; all of them are checked.

    Raises:
      UserError: a features.json names a class that is none of TFDS's.
    """
    for folder in version_folders(data_dir, dataset.split(":")[0].split("/")[0]):
        try:
            features = json_files.read_json(folder / FEATURES)
        except (OSError, ValueError):
            continue  # `defect_of` reports it, if TFDS is to read it
        for name in _class_names(features):
            if not name.startswith("tensorflow_datasets."):
                raise UserError(
                    f"{folder / FEATURES}: it names the Python class {name[:80]!r}, which would be "
                    "imported and run. Only TFDS's own features (tensorflow_datasets.…) are read. "
                    "Build the dataset yourself, or get it from somebody you trust."
                )


def defect_of(data_dir: Path, dataset: str) -> str | None:
    """Describes the first missing or damaged description file of a dataset; None if none is.

    Args:
      data_dir: where datasets are built.
      dataset: name in it, with or without a config and a version.
    """
    for folder in version_folders(data_dir, dataset):
        for file_name in (INFO, FEATURES, METADATA):
            path = folder / file_name
            try:
                if not isinstance(json_files.read_json(path), dict):
                    return f"{path}: damaged (not a JSON object)"
            except FileNotFoundError:
                if file_name != METADATA:  # datasets without metadata have none
                    return f"{path}: missing"
            except OSError as error:
                return f"{path}: {error.strerror}"
            except ValueError as error:
                return f"{path}: damaged ({error})"
    return None


def version_folders(data_dir: Path, dataset: str) -> list[Path]:
    """The folders that a dataset's name may mean: one per config and version not given.

    Args:
      data_dir: where datasets are built.
      dataset: name in it, with or without a config and a version.
    """
    name, _, version = dataset.partition(":")
    found = {
        path.parent
        for file_name in (INFO, FEATURES)
        for levels in ("*", "*/*")
        for path in (data_dir / name).glob(f"{levels}/{file_name}")
    }
    return sorted(folder for folder in found if version in ("", folder.name))


def with_config(data_dir: Path, dataset: str) -> str:
    """Adds a config to a name without one: `triplets`, else `index` if only that is built.

    Both hold the same triplets. TFDS itself finds the default config only.

    Args:
      data_dir: where datasets are built.
      dataset: name in it, with or without a config and a version.
    """
    name, colon, version = dataset.partition(":")
    if "/" not in name:
        for config in ("triplets", "index"):
            if any((data_dir / name / config).glob(f"*/{INFO}")):
                return f"{name}/{config}{colon}{version}"
    return dataset


def check_name(full_name: str, folder: Path) -> None:
    """Checks the name in dataset_info.json, of which paths of cached folders are made.

    Args:
      full_name: name, config and version.
      folder: of the dataset.

    Raises:
      UserError: such a path would lead elsewhere.
    """
    parts = full_name.split("/")
    if PurePosixPath(full_name).is_absolute() or not set(parts).isdisjoint(("", ".", "..")):
        raise UserError(
            f"{folder / INFO}: the dataset's name is {full_name[:80]!r}, which leads out of its "
            f"folder. {CURE}"
        )


def check_shards(folder: Path, paths: Sequence[Path], n_examples: int) -> None:
    """Checks that the files of a split exist in the dataset's folder and can hold its examples.

    Args:
      folder: of the dataset.
      paths: of the files.
      n_examples: their number of examples by dataset_info.json.

    Raises:
      UserError: a file is missing, is elsewhere or no file, or they are too small.
    """
    n_bytes = 0
    for path in paths:
        if path.parent != folder:
            raise UserError(f"{folder / INFO}: it names {path}, which is not in its folder. {CURE}")
        if not path.is_file():
            what = "not a file" if path.exists() else "missing"
            raise UserError(f"{path}: {what}. {CURE}")
        n_bytes += path.stat().st_size
    if n_bytes < n_examples:
        raise UserError(
            f"{folder}: {INFO} lists {n_examples} examples, but the {len(paths)} files of the "
            f"split have only {n_bytes} bytes. {CURE}"
        )


def _class_names(value: Any) -> Iterator[str]:
    remaining = [value]
    while remaining:
        value = remaining.pop()
        if isinstance(value, dict):
            for key in _CLASS_KEYS:
                if isinstance(value.get(key), str):
                    yield value[key]
            remaining.extend(value.values())
        elif isinstance(value, list):
            remaining.extend(value)
