"""The detectors' model files, which this package does not ship: where they are looked for, had, and checked.

Nothing is fetched here.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "IMAGEFEC_MODELS"


@dataclass(frozen=True)
class ModelFile:
    """A file to get: its name, the page that has it, its licence, and (where known) its size and sha256."""

    name: str
    page: str
    licence: str
    n_bytes: int | None = None
    sha256: str | None = None


def model_folder(model_dir: str | os.PathLike | None = None) -> Path:
    """The one folder that is searched: `model_dir`, else $IMAGEFEC_MODELS, else ~/.cache/imagefec/models.

    One and no other, so that which file is used never depends on what else lies about.
    """
    if model_dir is not None:
        return Path(model_dir).expanduser()
    if os.environ.get(VARIABLE):
        return Path(os.environ[VARIABLE]).expanduser()
    return Path(os.path.expanduser("~")) / ".cache" / "imagefec" / "models"


def sha256_of(path: Path) -> str:
    """A file's sha256, hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def what_it_is(path: Path) -> str:
    """What a file that is not the wanted one seems to be, in words; the two usual mishaps are named."""
    with open(path, "rb") as file:
        head = file.read(64)
    size = f"{path.stat().st_size:,} bytes"
    if head.startswith(b"version https://git-lfs"):
        return f"{size}, a pointer of Git LFS instead of the file (get it with `git lfs pull`, or by the page's download button)"
    if head.lstrip()[:1] == b"<":
        return f"{size} of HTML, a web page instead of the file (use the page's download button)"
    return size
