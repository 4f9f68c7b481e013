"""Settings of runs from before settings.json, read from config.gin, gin's operative config."""

import ast
from typing import Any


def parse(text: str) -> dict[str, Any]:
    """Reads the bindings of an operative configuration.

    Args:
      text: contents of config.gin.

    Returns:
      name -> value; a value that is not a Python literal, such as "@TripletLoss", stays text.
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
        return ast.literal_eval(written)
    except (ValueError, SyntaxError):
        return written
