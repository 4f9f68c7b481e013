"""Reads the text of gin files: regular files in UTF-8, found by path or by name."""

import difflib
import io
from collections.abc import Iterable, Mapping
from pathlib import Path

from imagefec.errors import UserError
from imagefec.paths import user_path

_MAX_BYTES = 1_000_000  # the project's largest gin file has 2,000
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


def find_gin_file(
    name: str,
    folders: Iterable[Path],
    known: Iterable[str],
    renamed: Mapping[str, str],
    what: str,
) -> Path:
    """The file of a name.

    Args:
      name: a path, or the name of a file in one of the folders; `~` and `$NAME` are replaced.
      folders: searched in this order; the current folder is Path().
      known: names to list in the message.
      renamed: former name -> name of the project's files, for the message.
      what: where the name was found, for the message: "--config_file=x.gin", "a.gin, line 2".

    Raises:
      UserError: there is no such file, or it is a folder or a device.
    """
    path = user_path(name, what)
    places = [folder / path for folder in folders]
    try:
        for place in places:
            if place.is_file():
                return place
        existing = [place for place in places if place.exists()]
    except (OSError, ValueError) as error:  # a name that is too long
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{what}: {reason}. Give the path of a gin file.") from error
    if existing:
        found = "a folder" if existing[0].is_dir() else "not a regular file"
        raise UserError(f"{what}: {existing[0]} is {found}. Give the path of a gin file.")
    now = renamed.get(path.name)
    hint = f" {name} is now {now}: include that." if now else ""
    known = list(known)
    if not now and (near := difflib.get_close_matches(path.name, known, 1)):
        hint = f" Did you mean {near[0]}?"
    listed = ", ".join(known) or (
        "the installed ones (none found: install from a checkout with pip install -e .)"
    )
    raise UserError(
        f"{what}: there is no such file, neither at this path nor among {listed}.{hint}"
    )


def read_gin_file(path: Path) -> str:
    """The text of a gin file, with a byte order mark and Windows line ends removed.

    Raises:
      UserError: the file cannot be read, is too large, or is not text in UTF-8.
    """
    try:
        size = path.stat().st_size
        if size > _MAX_BYTES:
            raise UserError(
                f"{path}: has {size:,} bytes; a gin file has at most {_MAX_BYTES:,}. Give the path "
                "of a gin file."
            )
        data = path.read_bytes()
    except OSError as error:
        raise UserError(
            f"{path}: {error.strerror}. Give the path of a gin file that you may read."
        ) from error
    if data.startswith(_UTF_16):
        raise UserError(f"{path}: is text in UTF-16. Save it as UTF-8.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"{path}, line {line}: the byte 0x{data[error.start]:02x} is not UTF-8. Save the file "
            "as UTF-8."
        ) from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise UserError(f"{path}, line {line}: has a zero byte, so it is not a text file.")
    return io.StringIO(text, newline=None).read()
