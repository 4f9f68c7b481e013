"""What decides how csv files are parted, as recorded in split.json."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from imagefec import files

MADE_BY = "imagefec split"
FORMAT = 1  # increase if the same settings would give other parts


def settings_of(paths: Mapping[str, Path], persons: Path | None, **given: Any) -> dict[str, Any]:
    """The settings of a call as JSON values, with a digest of the files that it reads.

    Args:
      paths: the csv file of each split.
      persons: the file that names the persons; None if they are not known.
      given: the arguments.

    Returns:
      {"made_by", "format", "source_sha256"} and `given`.

    Raises:
      OSError: a file cannot be read.
    """
    digest = hashlib.sha256()
    read = dict(paths) if persons is None else {**paths, "persons": persons}
    for name, path in sorted(read.items()):
        with files.open_regular(path) as file:
            own = hashlib.sha256(file.read()).hexdigest()
        digest.update(f"{name} {own}\n".encode())
    return {
        "made_by": MADE_BY,
        "format": FORMAT,
        **given,
        "source_sha256": digest.hexdigest(),
    }
