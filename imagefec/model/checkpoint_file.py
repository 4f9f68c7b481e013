"""The file of a checkpoint: named arrays and JSON in an uncompressed .npz, whoever made it.

Nothing is read before the names, types and sizes of all arrays have been checked, so that a broken
or hostile file costs no more memory than its own size. The arrays of a layer are in checkpoint.py.
"""

import contextlib
import hashlib
import io
import json
import math
import os
import re
import struct
import zipfile
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from imagefec import files, json_files
from imagefec.errors import UserError

META = "meta.json"
MAX_META_BYTES = 64 * 2**20  # the history of a million evaluations would take more
_NPY = ".npy"
_MAX_HEADER_BYTES = 4096  # NumPy writes 118 for any array of a network
# The header that NumPy writes for arrays of numbers and booleans. Anything else is refused, so that
# no text of the file is evaluated.
_HEADER = re.compile(
    r"\{'descr': '([<>|]?[biuf][1248])', 'fortran_order': (True|False), "
    r"'shape': \(((?:\d{1,18}, ?)*\d{0,18})\), \}\s*"
)
_REMEDY = (
    "The checkpoint was written with other settings: use those of its own run (its run.json), or "
    "train into a new directory."
)


class ArrayInfo(NamedTuple):
    """Shape and dtype of a stored array.

    Attributes:
      shape: as NumPy's.
      dtype: likewise.
      fortran_order: whether the first axis is contiguous in the file.
      start: bytes before the values in the array's member of the zip file.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    fortran_order: bool
    start: int

    @property
    def n_bytes(self) -> int:
        """Size of the values."""
        return math.prod(self.shape) * self.dtype.itemsize


def save(path: str | os.PathLike[str], arrays: dict[str, np.ndarray], meta: dict[str, Any]) -> None:
    """Writes arrays and meta as one .npz file, atomically even if the power fails.

    Args:
      path: file to write; an older one is replaced. Its folder must exist.
      arrays: name -> array of numbers or booleans; names may contain "/".
      meta: values that JSON can represent.

    Raises:
      ValueError: an array contains Python objects, which only pickle could read back.
      OSError: the disk is full, or the folder is missing or not writable.
    """
    with (
        files.atomic_open(path) as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True) as archive,
    ):
        archive.writestr(META, json.dumps(meta))
        for name, array in arrays.items():
            with archive.open(f"{name}{_NPY}", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)


def load(
    path: str | os.PathLike[str],
    expected: Mapping[str, Any] | None = None,
    finite: bool = True,
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Reads what `save` wrote, after checking the names, types and sizes of all arrays.

    Args:
      path: the file.
      expected: name -> array, or anything with its shape and dtype. Only these are read, and
        `check_arrays` is applied to them. None reads all arrays.
      finite: refuse NaN and infinity.

    Returns:
      (arrays, meta).

    Raises:
      UserError: the file is missing, unreadable, broken, or not a checkpoint; or its arrays are not
        the expected ones.
    """
    with _opened(path) as archive:
        meta = _read_meta(archive)
        infos = {
            member.filename.removesuffix(_NPY): _array_info(archive, member)
            for member in archive.infolist()
            if member.filename != META
        }
        if expected is not None:
            check_arrays(expected, infos, path)
        arrays = {
            name: _read_array(archive, name, info)
            for name, info in infos.items()
            if expected is None or name in expected
        }
    if finite:
        check_finite(arrays, path)
    return arrays, meta


def load_meta(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads the meta that `save` wrote, without the arrays.

    Raises:
      UserError: as for `load`.
    """
    with _opened(path) as archive:
        return _read_meta(archive)


def array_names(path: str | os.PathLike[str]) -> set[str]:
    """Names of the arrays that `save` wrote.

    Raises:
      UserError: as for `load`.
    """
    with _opened(path) as archive:
        return {name.removesuffix(_NPY) for name in archive.namelist() if name != META}


def arrays_digest(path: str | os.PathLike[str]) -> str:
    """SHA-256, hexadecimal, of the arrays and their names; not of meta, which holds speeds.

    Raises:
      UserError: as for `load`.
    """
    digest = hashlib.sha256()
    with _opened(path) as archive:
        for name in sorted(archive.namelist()):
            if name != META:
                digest.update(f"{name}\n".encode())
                digest.update(archive.read(name))
    return digest.hexdigest()


def array_digests(path: str | os.PathLike[str]) -> dict[str, str]:
    """Name -> SHA-256, hexadecimal, of each array as stored (its .npy file).

    Raises:
      UserError: as for `load`.
    """
    with _opened(path) as archive:
        return {
            name.removesuffix(_NPY): hashlib.sha256(archive.read(name)).hexdigest()
            for name in archive.namelist()
            if name != META
        }


def check_arrays(
    expected: Mapping[str, Any], found: Mapping[str, Any], source: str | os.PathLike[str]
) -> None:
    """Compares names, shapes and kinds; float16 may stand for float32, but no integer.

    Args:
      expected: name -> array, or anything with its shape and dtype.
      found: likewise. Names of other groups (the part before "/") than expected are ignored.
      source: the file of `found`, for the message.

    Raises:
      UserError: an array is missing, differs, or is unknown; the first one is named.
    """
    for name, array in expected.items():
        shape, kind = _shape(array), _kind(array)
        if name not in found or tuple(found[name].shape) != shape:
            what = f"of shape {list(found[name].shape)}" if name in found else "missing"
            raise UserError(
                f"{source}: array {name} is {what}; the model requires shape {list(shape)}. "
                f"{_REMEDY}"
            )
        if _kind(found[name]) != kind:
            raise UserError(
                f"{source}: array {name} is of type {found[name].dtype}; the model requires "
                f"{_dtype(array)}. {_REMEDY}"
            )
    groups = {name.partition("/")[0] for name in expected}
    for name, other in found.items():
        if name not in expected and name.partition("/")[0] in groups:
            raise UserError(
                f"{source}: array {name} of shape {list(other.shape)} has no place in the model. "
                f"{_REMEDY}"
            )


def check_finite(arrays: Mapping[str, np.ndarray], source: str | os.PathLike[str]) -> None:
    """Checks that values are finite, also as float32, in which networks compute.

    Raises:
      UserError: values are NaN or infinite; the arrays are named.
    """
    broken = {name: n for name, array in arrays.items() if (n := _n_not_finite(array))}
    if broken:
        shown = [f"{name} ({n} of {arrays[name].size} values)" for name, n in broken.items()]
        more = f" and {len(shown) - 3} more" if len(shown) > 3 else ""
        raise UserError(
            f"{source}: {len(broken)} of {len(arrays)} arrays hold NaN or infinity: "
            f"{', '.join(shown[:3])}{more}. The training diverged, or the file was changed: use "
            "another checkpoint, copy it again from its source, or train again with a lower "
            "learning rate."
        )


@contextlib.contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[zipfile.ZipFile]:
    """Opens the zip file; whatever is wrong with it becomes a UserError that names it."""
    try:
        with (
            files.open_regular(path) as file,
            zipfile.ZipFile(file) as archive,
        ):
            _check_members(archive.infolist(), os.fstat(file.fileno()).st_size)
            yield archive
    except FileNotFoundError:
        raise UserError(
            f"{path}: there is no such checkpoint. Give the folder of a run that has trained long "
            "enough to write one."
        ) from None
    except OSError as error:
        raise UserError(
            f"{path}: the checkpoint cannot be read: {error.strerror or error}."
        ) from None
    except _BROKEN as error:
        raise UserError(
            f"{path}: not a checkpoint of Image FEC, or a broken one ({_one_line(error)}). Give a "
            "run directory, an archive or a checkpoint (.npz). If it is broken, copy it again from "
            "its source, use another of the run's checkpoints, or train again."
        ) from None


# What zipfile, struct, json and NumPy raise for files that are not what they claim to be.
_BROKEN = (
    zipfile.BadZipFile,
    struct.error,
    ValueError,
    LookupError,
    EOFError,
    RuntimeError,  # also NotImplementedError and RecursionError
    TypeError,
    OverflowError,
    MemoryError,
)


def _check_members(members: Collection[zipfile.ZipInfo], file_size: int) -> None:
    """Checks what the zip file's directory says, before any member is read."""
    names = set()
    for member in members:
        name = member.filename
        if member.flag_bits & 1 or member.compress_type != zipfile.ZIP_STORED:
            raise ValueError(f"{name!r} is compressed or encrypted")
        if name in names:
            raise ValueError(f"{name!r} is there twice")
        if name != META and (not name.endswith(_NPY) or name.startswith("/")):
            raise ValueError(f"{name!r} is not the name of an array")
        names.add(name)
    if sum(member.file_size for member in members) > file_size:
        raise ValueError("its members are larger than the file")


def _read_meta(archive: zipfile.ZipFile) -> dict[str, Any]:
    member = archive.getinfo(META)
    if member.file_size > MAX_META_BYTES:
        raise ValueError(f"{META} has {member.file_size} bytes")
    return json_files.parse_object(archive.read(member))


def _array_info(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> ArrayInfo:
    with archive.open(member) as file:
        start = file.read(12)
        length_bytes = {b"\x93NUMPY\x01\x00": 2, b"\x93NUMPY\x02\x00": 4}.get(start[:8])
        if length_bytes is None or len(start) < 12:
            raise ValueError(f"{member.filename!r} is not an array")
        n = int.from_bytes(start[8 : 8 + length_bytes], "little")
        if n > _MAX_HEADER_BYTES:
            raise ValueError(f"{member.filename!r} has a header of {n} bytes")
        header = (start[8 + length_bytes :] + file.read(n))[:n]
    match = _HEADER.fullmatch(header.decode("latin-1"))
    if match is None:
        raise ValueError(f"{member.filename!r} is not an array of numbers: {header[:80]!r}")
    descr, order, shape = match.groups()
    info = ArrayInfo(
        tuple(int(part) for part in shape.replace(" ", "").split(",") if part),
        np.dtype(descr),
        order == "True",
        8 + length_bytes + n,
    )
    if info.start + info.n_bytes != member.file_size:
        raise ValueError(
            f"{member.filename!r} has {member.file_size} bytes, but its header says "
            f"{info.dtype} {list(info.shape)}"
        )
    return info


def _read_array(archive: zipfile.ZipFile, name: str, info: ArrayInfo) -> np.ndarray:
    # zipfile compares the checksum when it reaches the end.
    data = io.BytesIO(archive.read(f"{name}{_NPY}")).getbuffer()
    array = np.frombuffer(data, info.dtype, offset=info.start)
    if info.fortran_order:
        return array.reshape(info.shape[::-1]).T.copy()
    return array.reshape(info.shape).copy()


def _shape(array: Any) -> tuple[int, ...]:
    return tuple(array.shape if hasattr(array, "shape") else np.shape(array))


def _dtype(array: Any) -> np.dtype:
    return np.dtype(getattr(array, "dtype", None) or np.asarray(array).dtype)


def _kind(array: Any) -> str:
    """Float, integer or bool; NumPy has two kinds of integers."""
    return _dtype(array).kind.replace("u", "i")


def _n_not_finite(array: np.ndarray) -> int:
    if array.dtype.kind != "f":
        return 0
    with np.errstate(over="ignore"):
        return int(array.size - np.isfinite(array.astype(np.float32, copy=False)).sum())


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
