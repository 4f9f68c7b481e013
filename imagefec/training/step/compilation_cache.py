"""JAX's on-disk cache of compiled programs: where it is, and removal of truncated entries."""

import contextlib
import importlib
import os
import pathlib
import tempfile
import zlib
from typing import Any

import jax
from absl import logging

from imagefec.paths import cache_folder, user_path

try:
    zstandard: Any = importlib.import_module("zstandard")
except ImportError:
    zstandard = None

VARIABLE = "IMAGEFEC_COMPILATION_CACHE"
_MIN_COMPILE_S = 1.0
_CHECKED = ".checked"
_ZSTANDARD = b"\x28\xb5\x2f\xfd"


def cache_compilations() -> pathlib.Path | None:
    """Turns the cache on, in ~/.cache/imagefec/jax by default.

    The environment variable IMAGEFEC_COMPILATION_CACHE names another folder, or "off". A cache that
    JAX's own settings (JAX_COMPILATION_CACHE_DIR) have turned on is used unchanged. If the folder
    cannot be written, or this user has no home directory, nothing is cached and a warning says why.

    Returns:
      The cache folder; None if nothing is cached.

    Raises:
      UserError: IMAGEFEC_COMPILATION_CACHE is not a path.
    """
    current = jax.config.jax_compilation_cache_dir  # type: ignore[attr-defined]  # made at run time
    if current:
        return pathlib.Path(current)
    named = os.environ.get(VARIABLE)
    if named == "off":
        return None
    folder = user_path(named, f"${VARIABLE}") if named else cache_folder("jax")
    why_not = "this user has no home directory" if folder is None else _why_not(folder)
    if why_not:
        logging.warning(
            "compiled programs are not cached, so each start compiles anew: %s. Name a folder in "
            "the environment variable %s, or set it to off.",
            why_not,
            VARIABLE,
        )
        return None
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", _MIN_COMPILE_S)
    return folder


def _why_not(folder: pathlib.Path) -> str | None:
    """Makes and cleans the folder; returns why it cannot be written, if so."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            _remove_truncated_entries(folder)
    except OSError as error:
        return f"{folder} cannot be written ({error.strerror})"
    return None


def _remove_truncated_entries(folder: pathlib.Path) -> None:
    """Removes entries that a killed process truncated: JAX warns about them indefinitely.

    Each entry is checked once; the modification time of a marker file is the time of the last
    check.
    """
    marker = folder / _CHECKED
    checked_ns = marker.stat().st_mtime_ns if marker.is_file() else 0
    entries = [path for path in folder.glob("*-cache") if path.stat().st_mtime_ns >= checked_ns]
    marker.touch()
    for path in entries:
        if not _is_complete(path.read_bytes()):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()


def _is_complete(entry: bytes) -> bool:
    """Whether an entry decompresses; JAX uses Zstandard if it is installed, else zlib."""
    if entry.startswith(_ZSTANDARD) and zstandard is None:
        return True  # cannot be checked without the package that compressed it
    try:
        if entry.startswith(_ZSTANDARD):
            zstandard.ZstdDecompressor().decompress(entry)
        else:
            zlib.decompress(entry)
    except Exception:
        return False
    return True
