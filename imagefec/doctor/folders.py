"""The folders that Image FEC uses: disk space, caches, gin files, builders of datasets."""

import importlib.util
import pathlib
import shutil
import tempfile
from typing import Any

from imagefec.config_dirs import CONFIG_DIRS
from imagefec.doctor.packages import REINSTALL
from imagefec.paths import cache_folder

DATASETS = ("fec", "vggface2")
LEAST_FREE_GB = 5.0


def disk_space(problems: list[str]) -> dict[str, Any]:
    """The current folder and its free space in GB; None for what is unknown."""
    try:
        folder = str(pathlib.Path.cwd())
        free_gb = shutil.disk_usage(folder).free / 1e9
    except OSError as error:
        problems.append(
            f"the free space of the current folder is unknown ({error.strerror}). Change to a "
            "folder that exists."
        )
        return {"folder": None, "free_gb": None}
    if free_gb < LEAST_FREE_GB:
        problems.append(
            f"{folder}: {free_gb:.1f} GB are free; {LEAST_FREE_GB:g} GB or more are recommended. "
            "Work on a larger disk, or free space."
        )
    return {"folder": folder, "free_gb": round(free_gb, 1)}


def caches(problems: list[str]) -> dict[str, str | None]:
    """The folders for caches and for temporary files; None where there is none."""
    cache = cache_folder("")
    if cache is None:
        problems.append(
            "this user has no home directory, so compiled programs are not cached and model files "
            "are not found. Set HOME, or IMAGEFEC_COMPILATION_CACHE and IMAGEFEC_MODELS."
        )
    temporary = None
    try:
        temporary = tempfile.gettempdir()
    except OSError as error:
        problems.append(
            f"{error.strerror}. Set the environment variable TMPDIR to a folder that can be "
            "written to."
        )
    return {"cache": None if cache is None else str(cache), "temporary": temporary}


def gin_configs(problems: list[str]) -> str | None:
    """The folder of the gin files; None if they are not found."""
    folder = next((folder for folder in CONFIG_DIRS if any(folder.glob("*.gin"))), None)
    if folder is None:
        problems.append(
            f"no gin files in {' or '.join(map(str, CONFIG_DIRS))}. Run {REINSTALL}, or give "
            "--config_file as a path."
        )
    return None if folder is None else str(folder)


def builders(problems: list[str]) -> dict[str, str | None]:
    """The folder of each dataset's builder; None if it is not found."""
    folders: dict[str, str | None] = {}
    for name in DATASETS:
        try:
            spec = importlib.util.find_spec(f"tfds_builders.{name}")
        except Exception:
            spec = None
        folders[name] = str(pathlib.Path(spec.origin).parent) if spec and spec.origin else None
        if folders[name] is None:
            problems.append(f"the TFDS builder of {name} is not found. Run {REINSTALL}.")
    return folders
