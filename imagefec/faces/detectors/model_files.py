"""The detectors' model files, which users download: their folder, digests and descriptions."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from imagefec.errors import UserError
from imagefec.paths import cache_folder, user_path

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


def model_folder(model_dir: str | os.PathLike[str] | None = None) -> Path | None:
    """The folder of the model files: `model_dir`, else $IMAGEFEC_MODELS, else the cache folder.

    Only one folder is searched, so that the file used does not depend on what others hold.

    Args:
      model_dir: folder that the user gave, if any.

    Returns:
      The first that is set; the cache folder is ~/.cache/imagefec/models, and None if this user has
      no home directory.

    Raises:
      UserError: the folder given, or the variable, is not a path.
    """
    if model_dir is not None:
        return user_path(model_dir, "--model_dir")
    if os.environ.get(VARIABLE):
        return user_path(os.environ[VARIABLE], f"${VARIABLE}")
    return cache_folder("models")


def find_model(name: str, model_dir: str | os.PathLike[str] | None = None) -> Path | None:
    """The model file of this name, unchecked; None if it is not installed."""
    folder = model_folder(model_dir)
    # Unlike Path's, this is_file is False if the home directory is another user's.
    if folder is None or not os.path.isfile(folder / name):  # noqa: PTH113
        return None
    return folder / name


def where_to_put(them: str, model_dir: str | os.PathLike[str] | None = None) -> str:
    """The end of a sentence that says where model files belong.

    Args:
      them: "it" or "them".
      model_dir: as for `model_folder`.
    """
    folder = model_folder(model_dir)
    whose = "its" if them == "it" else "their"
    if folder is None:
        return f"name {whose} folder with --model_dir or ${VARIABLE}"
    return f"put {them} in {folder}, or name {whose} folder with --model_dir or ${VARIABLE}"


def describe_folder(model_dir: str | os.PathLike[str] | None = None) -> str:
    """The folder of the model files for a message that says what it lacks."""
    folder = model_folder(model_dir)
    return "any folder (this user has no home directory)" if folder is None else str(folder)


def read_model(path: Path) -> bytes:
    """Reads a model file.

    Raises:
      UserError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror}). Give read permission, or another folder "
            f"with --model_dir or ${VARIABLE}."
        ) from None


def sha256_of(model: bytes) -> str:
    """The sha256 of a file's bytes, hexadecimal."""
    return hashlib.sha256(model).hexdigest()


def describe_file(model: bytes) -> str:
    """Describes a wrong file in words; recognises the two usual failed downloads."""
    size = f"{len(model):,} bytes"
    if model.startswith(b"version https://git-lfs"):
        return (
            f"{size}, a pointer of Git LFS instead of the file (get it with `git lfs pull`, or "
            "with the page's download button)"
        )
    if model[:64].lstrip()[:1] == b"<":
        return f"{size} of HTML, a web page instead of the file (use the page's download button)"
    return size
