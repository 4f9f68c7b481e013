"""An archive: one file with a run's network and all that is needed to use it; reading only.

It is a checkpoint's file (checkpoint_file.py): arrays under their names in a checkpoint, and a
meta.json with what export/archive.py writes. SHA-256 digests cover both. Run.open takes it.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from imagefec.errors import UserError
from imagefec.json_files import shown
from imagefec.model import checkpoint_file, run_schema

FORMAT, VERSION = "imagefec-archive", 1
_REMEDY = "Copy the archive again from its source, or export the run again."


def read_meta(path: Path) -> dict[str, Any]:
    """Reads what an archive says, and checks it; the arrays are not read.

    Args:
      path: the file.

    Returns:
      Its meta.json: "run" (as run.json), "settings" (as settings.json), "step" and others.

    Raises:
      UserError: it is no archive, of another version, or damaged.
    """
    meta = checkpoint_file.load_meta(path)
    if meta.get("format") != FORMAT:
        raise UserError(
            f"{path}: not an archive of Image FEC. Give a run directory, or a file that imagefec "
            "export --format=archive wrote."
        )
    if meta.get("version") != VERSION or isinstance(meta["version"], bool):
        raise UserError(
            f"{path}: an archive of version {shown(meta.get('version'))}; this version of Image "
            f"FEC reads version {VERSION}. Use the version that wrote it, or export the run again."
        )
    digests = meta.get("sha256")
    if not isinstance(digests, dict) or not isinstance(digests.get("arrays"), dict):
        raise UserError(f"{path}: has no SHA-256 digests. {_REMEDY}")
    if digests.get("meta") != meta_digest(meta):
        raise UserError(f"{path}: its {checkpoint_file.META} has been changed. {_REMEDY}")
    for name in ("run", "settings"):
        if not isinstance(meta.get(name), dict):
            raise UserError(f"{path}: {name} is {shown(meta.get(name))}, not an object. {_REMEDY}")
    run_schema.check_info(path, meta["run"])
    run_schema.check_settings(path, meta["settings"])
    return meta


def check_arrays(path: Path, meta: Mapping[str, Any]) -> None:
    """Compares the arrays of an archive with their digests.

    Raises:
      UserError: an array has been changed, is missing, or was added; the first one is named.
    """
    expected, found = meta["sha256"]["arrays"], checkpoint_file.array_digests(path)
    for name in sorted({*expected, *found}):
        if expected.get(name) != found.get(name):
            raise UserError(f"{path}: array {name} has been changed. {_REMEDY}")


def meta_digest(meta: Mapping[str, Any]) -> str:
    """SHA-256, hexadecimal, of all of meta but "sha256", as JSON with sorted keys and no spaces."""
    covered = {name: value for name, value in meta.items() if name != "sha256"}
    text = json.dumps(covered, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def is_archive(path: str | os.PathLike[str]) -> bool:
    """Whether a path names a file, which only an archive can be; a run is a directory."""
    return Path(path).is_file()
