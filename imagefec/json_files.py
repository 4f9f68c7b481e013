"""Reads JSON files that anyone may have written, within limits; their meaning is elsewhere."""

import json
import math
import stat
from pathlib import Path
from typing import Any

MAX_BYTES = 2**26  # a dataset's description may list thousands of files
_MAX_DEPTH = 32


def read_json(path: Path, max_bytes: int = MAX_BYTES) -> Any:
    """Reads a JSON file.

    Args:
      path: the file.
      max_bytes: a larger file is refused unread.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: as for `parse_json`; or it is no regular file, or larger than max_bytes.
      OSError: it cannot be read.
    """
    return parse_json(read_bytes(path, max_bytes))


def read_bytes(path: Path, max_bytes: int) -> bytes:
    """Reads a file.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: it is no regular file, or larger than max_bytes.
      OSError: it cannot be read.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("not a file")
    if status.st_size > max_bytes:
        raise ValueError(f"it has {status.st_size:,} bytes; such a file has at most {max_bytes:,}")
    with path.open("rb") as file:
        return file.read(max_bytes)


def parse_json(data: bytes, constants: bool = True) -> Any:
    """Parses JSON; a byte order mark is ignored.

    Args:
      data: UTF-8 text.
      constants: accept NaN and Infinity, which Python's JSON has.

    Raises:
      ValueError: it is no JSON, nested deeper than 32 levels, or has a key twice.
    """

    def refuse(name: str) -> None:
        raise ValueError(f"{name} is not a number of JSON")

    more: dict[str, Any] = {} if constants else {"parse_constant": refuse}
    try:
        found = json.loads(data.decode("utf-8-sig"), object_pairs_hook=_object, **more)
    except RecursionError:
        raise ValueError(f"nested deeper than {_MAX_DEPTH} levels") from None
    check_depth(found)
    return found


def parse_object(data: bytes, constants: bool = True) -> dict[str, Any]:
    """Parses a JSON object; arguments and errors otherwise as for `parse_json`."""
    found = parse_json(data, constants)
    if not isinstance(found, dict):
        raise ValueError(f"not an object but {shown(found)}")
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
