"""Reads a JSON object that anyone may have written, within limits; its meaning is elsewhere."""

import json
import math
import stat
from pathlib import Path
from typing import Any

from imagefec.errors import UserError

MAX_BYTES = 2**20  # of run.json, settings.json and config.gin, which have some kilobytes
REMEDY = "Copy it again from its source, or train a new run."
_MAX_DEPTH = 32


def read_object(path: Path, max_bytes: int = MAX_BYTES, constants: bool = True) -> dict[str, Any]:
    """Reads a JSON object from a file.

    Args:
      path: the file.
      max_bytes: a larger file is refused unread.
      constants: as for `parse_object`.

    Raises:
      FileNotFoundError: there is no such file.
      UserError: it cannot be read, is too large, or is not a JSON object.
    """
    try:
        return parse_object(read_bytes(path, max_bytes), constants)
    except ValueError as error:
        raise UserError(f"{path}: cannot be read ({error}). {REMEDY}") from None


def read_bytes(path: Path, max_bytes: int = MAX_BYTES) -> bytes:
    """Reads a file of a run.

    Raises:
      FileNotFoundError: there is no such file.
      UserError: it cannot be read, is no regular file, or is larger than max_bytes.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise UserError(f"{path}: not a file. {REMEDY}")
        if status.st_size > max_bytes:
            raise UserError(
                f"{path}: has {status.st_size:,} bytes; such a file has at most {max_bytes:,}. "
                f"{REMEDY}"
            )
        with path.open("rb") as file:
            return file.read(max_bytes)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}.") from None


def parse_object(data: bytes, constants: bool = True) -> dict[str, Any]:
    """Parses a JSON object; a byte order mark is ignored.

    Args:
      data: UTF-8 text.
      constants: accept NaN and Infinity, which Python's JSON has.

    Raises:
      ValueError: it is no JSON, no object, nested deeper than 32 levels, or has a key twice.
    """

    def refuse(name: str) -> None:
        raise ValueError(f"{name} is not a number of JSON")

    more: dict[str, Any] = {} if constants else {"parse_constant": refuse}
    try:
        found = json.loads(data.decode("utf-8-sig"), object_pairs_hook=_object, **more)
    except RecursionError:
        raise ValueError(f"nested deeper than {_MAX_DEPTH} levels") from None
    if not isinstance(found, dict):
        raise ValueError(f"not an object but {shown(found)}")
    check_depth(found)
    return found


def check_depth(value: Any) -> None:
    """Raises ValueError if lists and objects are nested deeper than 32 levels."""
    level = [value]
    for _ in range(_MAX_DEPTH):
        level = [
            child
            for item in level
            if isinstance(item, dict | list | tuple)
            for child in (item.values() if isinstance(item, dict) else item)
        ]
        if not level:
            return
    raise ValueError(f"nested deeper than {_MAX_DEPTH} levels")


def shown(value: Any) -> str:
    """A value for a message, shortened."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list) and len(value) > 8:
        return f"a list of {len(value)} items"
    if isinstance(value, int) and abs(value) > 2**63:
        return "a number of more than 63 bits"
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"key {shown(twice)} is there twice")
    return found
