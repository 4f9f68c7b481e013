"""Reads JSON files that anyone may have written, within limits; their meaning is elsewhere."""

import json
import math
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from imagefec import files

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
    try:
        with files.open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size > max_bytes:
                raise ValueError(f"it has {size:,} bytes; such a file has at most {max_bytes:,}")
            return file.read(size)
    except files.NotAFileError:
        raise ValueError("not a file") from None


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


def differing(
    found: Mapping[str, Any], wanted: Mapping[str, Any], names: Iterable[str]
) -> tuple[str, str] | None:
    """Describes settings that differ from those of a file, as text for a message.

    Args:
      found: settings of the file; any of them may be missing or of any type.
      wanted: the settings to compare with.
      names: of those that must agree.

    Returns:
      (found, wanted), such as ("seed 1, faces 9", "seed 2, faces 9"); None if all agree.
    """
    unequal = [name for name in names if found.get(name) != wanted[name]]
    if not unequal:
        return None
    described = (
        ", ".join(f"{name} {_short(values.get(name))}" for name in unequal)
        for values in (found, wanted)
    )
    return next(described), next(described)


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


def _short(value: object) -> str:
    return str(value) if str(value).isprintable() and len(str(value)) < 80 else f"{value!r:.80}"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"key {shown(twice)} is there twice")
    return found
