"""The detectors' model files, which users download: their folder, digests and descriptions."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "IMAGEFEC_MODELS"


@dataclass(frozen=True)
class ModelFile:
    """A model file to download.

    Attributes:
      name: of the file.
      page: URL of the page that links to it.
      licence: its licence.
      n_bytes: its size, if known.
      sha256: its digest, if known.
    """

    name: str
    page: str
    licence: str
    n_bytes: int | None = None
    sha256: str | None = None


def model_folder(model_dir: str | os.PathLike[str] | None = None) -> Path:
    """The folder of the model files: `model_dir`, else $IMAGEFEC_MODELS, else the cache folder.

    Only one folder is searched, so that the file used does not depend on what others hold.

    Args:
      model_dir: folder that the user gave, if any.

    Returns:
      The first that is set; the cache folder is ~/.cache/imagefec/models.
    """
    if model_dir is not None:
        return Path(model_dir).expanduser()
    if os.environ.get(VARIABLE):
        return Path(os.environ[VARIABLE]).expanduser()
    return Path("~").expanduser() / ".cache" / "imagefec" / "models"


def sha256_of(path: Path) -> str:
    """A file's sha256, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def describe_file(path: Path) -> str:
    """Describes a wrong file in words; recognises the two usual failed downloads."""
    with path.open("rb") as file:
        head = file.read(64)
    size = f"{path.stat().st_size:,} bytes"
    if head.startswith(b"version https://git-lfs"):
        return (
            f"{size}, a pointer of Git LFS instead of the file (get it with `git lfs pull`, or "
            "with the page's download button)"
        )
    if head.lstrip()[:1] == b"<":
        return f"{size} of HTML, a web page instead of the file (use the page's download button)"
    return size
