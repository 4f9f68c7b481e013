"""What XLA compiles is kept on disk: the next run of the same program, or the same run after a kill, starts at once."""

import contextlib
import os
import pathlib
import zlib

import jax

try:
    import zstandard
except ImportError:
    zstandard = None

VARIABLE = "IMAGEFEC_COMPILATION_CACHE"
_MIN_COMPILE_S = 1.0
_CHECKED = ".checked"
_ZSTANDARD = b"\x28\xb5\x2f\xfd"


def cache_compilations() -> pathlib.Path | None:
    """Turns the cache on: ~/.cache/imagefec/jax, or the folder that IMAGEFEC_COMPILATION_CACHE names ("off" for none).

    One that JAX's own means have set (JAX_COMPILATION_CACHE_DIR) is left as it is. A folder that
    cannot be written is no hindrance: nothing is kept then.

    Returns:
      The folder, None where nothing is kept.
    """
    if jax.config.jax_compilation_cache_dir:
        return pathlib.Path(jax.config.jax_compilation_cache_dir)
    named = os.environ.get(VARIABLE)
    if named == "off":
        return None
    folder = pathlib.Path(named or pathlib.Path("~") / ".cache" / "imagefec" / "jax").expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _drop_torn_entries(folder)
    except OSError:
        return None
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", _MIN_COMPILE_S)
    return folder


def _drop_torn_entries(folder: pathlib.Path) -> None:
    """Removes entries that a killed process left half written: JAX would warn of each for ever and never mend it.

    Each entry is looked at once; the time of the last look is that of a file beside them.
    """
    mark = folder / _CHECKED
    looked = mark.stat().st_mtime_ns if mark.is_file() else 0
    entries = [path for path in folder.glob("*-cache") if path.stat().st_mtime_ns >= looked]
    mark.touch()
    for path in entries:
        if not _is_whole(path.read_bytes()):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()


def _is_whole(entry: bytes) -> bool:
    """JAX packs with Zstandard where it is installed and with zlib elsewhere."""
    try:
        if entry.startswith(_ZSTANDARD):
            zstandard.ZstdDecompressor().decompress(entry)
        else:
            zlib.decompress(entry)
    except Exception as error:
        # Packed with what is not there any more: not this function's to judge.
        return (
            zstandard is None and entry.startswith(_ZSTANDARD) and isinstance(error, AttributeError)
        )
    return True
