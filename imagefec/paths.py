"""Paths as users write them, and the folder of what may be deleted and made again."""

import os
from pathlib import Path

from imagefec.errors import UserError

CACHE = Path("~", ".cache", "imagefec")


def user_path(path: str | os.PathLike[str], name: str = "path") -> Path:
    """Resolves a path that a user wrote: `~`, `~user` and environment variables are replaced.

    A shell does this itself, but not after `=` and not in a gin file. A path that exists as written
    stays unchanged, so that a file may be called "~x" or "$1".

    Args:
      path: as written.
      name: of the flag or parameter, for the message.

    Raises:
      UserError: the path is empty or has a zero byte, or `~` stands for no known folder.
    """
    text = os.fspath(path)
    if not text or "\0" in text:
        raise UserError(
            f"{name} is {text!r}, which is not a path. Give the path of a file or folder; . is the "
            "current folder."
        )
    if os.path.lexists(text):
        return Path(text)
    expanded = os.path.expanduser(os.path.expandvars(text))  # noqa: PTH111  # of text, not Path
    if expanded.startswith("~"):
        raise UserError(
            f"{name} is {text!r}, but {expanded.split('/')[0]!r} stands for no home directory on "
            f"this machine. Set HOME, or write the complete path (./{text} for a file of this "
            "name)."
        )
    return Path(expanded)


def cache_folder(name: str) -> Path | None:
    """~/.cache/imagefec/NAME; None if this user has no home directory. Nothing is created."""
    try:
        return user_path(CACHE / name)
    except UserError:
        return None


def readable(text: str | os.PathLike[str]) -> str:
    r"""A path or other text on one line: what cannot be printed is escaped, such as \n or \xff.

    Undecodable bytes of a file name would otherwise end in a UnicodeEncodeError where the text is
    written, and control characters could hide a part of it.
    """
    return "".join(
        char
        if char.isprintable()
        else f"\\x{ord(char) - 0xDC00:02x}"
        if "\udc80" <= char <= "\udcff"
        else char.encode("unicode_escape").decode()
        for char in os.fspath(text)
    )
