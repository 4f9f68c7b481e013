"""Settings of runs from before settings.json, read from config.gin, gin's operative config."""

import ast
from pathlib import Path
from typing import Any

from imagefec import json_files
from imagefec.errors import UserError
from imagefec.model.run_schema import MAX_BYTES, REMEDY


def read(path: Path) -> dict[str, Any]:
    """Reads a config.gin.

    Raises:
      FileNotFoundError: there is no such file.
      UserError: it cannot be read, is no text, is larger than 1 MiB, or has values nested deeper
        than 32 levels.
    """
    try:
        settings = parse(json_files.read_bytes(path, MAX_BYTES).decode("utf-8-sig"))
        json_files.check_depth(settings)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}). {REMEDY}") from None
    return settings


def parse(text: str) -> dict[str, Any]:
    """Reads the bindings of an operative configuration.

    Args:
      text: contents of config.gin.

    Returns:
      name -> value; one that JSON cannot represent, such as "@TripletLoss", stays text.
    """
    return {name: _value(written) for name, written in _bindings(text).items()}


def _bindings(text: str) -> dict[str, str]:
    """Name -> text of the value; gin wraps long values and indents their other lines."""
    bindings: dict[str, str] = {}
    name = None
    for line in text.splitlines():
        if line.startswith("#") or not line.strip():
            name = None
        elif line[0].isspace() and name:
            continued = line.strip().removesuffix("\\").strip()
            bindings[name] = f"{bindings[name]} {continued}".strip()
        elif " = " in f"{line} ":
            name, value = (part.strip() for part in f"{line} ".split(" = ", 1))
            bindings[name] = value.removesuffix("\\").strip()
    return bindings


def _value(written: str) -> Any:
    try:
        value = ast.literal_eval(written)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return written
    return value if _is_json(value) else written


def _is_json(value: Any) -> bool:
    """Whether JSON can represent a literal."""
    try:
        match value:
            case dict():
                return all(isinstance(key, str) and _is_json(part) for key, part in value.items())
            case list() | tuple():
                return all(map(_is_json, value))
    except RecursionError:
        return False
    return value is None or isinstance(value, str | int | float)
