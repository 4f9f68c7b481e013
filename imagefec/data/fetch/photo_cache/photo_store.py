"""The files of the photo cache: checks the bytes of a photo and stores them by their SHA-256."""

from __future__ import annotations

import hashlib
import io
import os
import re
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

from imagefec import files
from imagefec.data.fetch.pace.rate_limit import HostResponse
from imagefec.faces import photo_files


class FetchFailed(Exception):
    """A request or a file gave no photo.

    Attributes:
      reason: short text of few kinds, so that reasons can be counted.
      gone: whether the answer is final.
      worth_retrying: whether another request may succeed; by default, if not gone.
      response: what the request says about the host.
      retry_after_s: the wait that the host requests, 0 for none.
    """

    def __init__(
        self,
        reason: str,
        gone: bool = False,
        worth_retrying: bool | None = None,
        response: HostResponse = HostResponse.SERVED,
        retry_after_s: float = 0.0,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.gone = gone
        self.worth_retrying = not gone if worth_retrying is None else worth_retrying
        self.response = response
        self.retry_after_s = retry_after_s


class PhotoStore:
    """Stores photos; may be used by many threads at once.

    Args:
      cache_dir: folder of the cache; its folders are made if missing.
      max_bytes: larger photos are refused.
      max_pixels: photos that declare more pixels are refused.

    Raises:
      OSError: the folders cannot be made.
    """

    def __init__(self, cache_dir: Path, max_bytes: int, max_pixels: int) -> None:
        self._cache_dir, self.max_bytes, self._max_pixels = cache_dir, max_bytes, max_pixels
        self._parts_dir = cache_dir / PARTS_DIR
        (cache_dir / _OBJECTS_DIR).mkdir(parents=True, exist_ok=True)
        self._parts_dir.mkdir(exist_ok=True)

    def add(self, chunks: Iterable[bytes], content_type: str) -> tuple[int, str]:
        """Stores a photo that arrives in chunks.

        Args:
          chunks: the bytes of the photo.
          content_type: what the server says they are, for the reason of a refusal.

        Returns:
          (number of bytes, SHA-256 in hexadecimal).

        Raises:
          FetchFailed: the bytes are not a complete photo of an allowed size.
          OSError: the cache cannot be written (disk full, no permission).
        """
        chunks = iter(chunks)
        head = b""
        while len(head) < _HEAD_BYTES and (chunk := next(chunks, b"")):
            head += chunk
        if not head:
            raise FetchFailed("empty body")
        if not photo_files.starts_like_photo(head):
            raise FetchFailed(f"not an image: {_plain(content_type)}", gone=True)
        # Not files.atomic_open: a download's name is the digest of its bytes, known at its end.
        part = self._parts_dir / f"{os.getpid()}-{threading.get_ident()}.part"
        try:
            n_bytes, sha256 = self._write(part, head, chunks)
            if defect := photo_files.find_defect(part, self._max_pixels):
                raise FetchFailed(defect, gone=defect not in _OF_THE_TRANSFER)
            # No fsync per photo: after a power cut the size in the ledger shows which files to
            # fetch again.
            _move(part, object_path(self._cache_dir, sha256))
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        return n_bytes, sha256

    def add_file(self, path: str | os.PathLike[str]) -> tuple[int, str]:
        """Copies a photo from a file; arguments, result and errors otherwise as for `add`."""
        try:
            with files.open_regular(path) as file:
                # Read at once, so that a later OSError can only come from the cache.
                content = file.read(self.max_bytes + 1)
        except FileNotFoundError:
            raise FetchFailed("no such file", gone=True) from None
        except files.NotAFileError:
            raise FetchFailed("not a file", gone=True) from None
        except (OSError, ValueError):
            raise FetchFailed("file cannot be read", worth_retrying=False) from None
        self.check_size(len(content))
        return self.add([content], "a file")

    def check_size(self, n_bytes: int) -> None:
        """Raises FetchFailed if a photo is larger than `max_bytes`."""
        if n_bytes > self.max_bytes:
            raise FetchFailed(f"larger than {self.max_bytes} bytes", gone=True)

    def clear_parts(self) -> None:
        """Deletes the unfinished downloads of a killed fetch."""
        for part in self._parts_dir.glob("*.part"):
            part.unlink(missing_ok=True)

    def _write(self, part: Path, head: bytes, chunks: Iterator[bytes]) -> tuple[int, str]:
        digest, n_bytes, chunk = hashlib.sha256(), 0, head
        with part.open("wb", buffering=0) as file:
            while chunk:
                n_bytes += len(chunk)
                self.check_size(n_bytes)
                digest.update(chunk)
                _write_all(file, chunk)
                chunk = next(chunks, b"")
        return n_bytes, digest.hexdigest()


def object_path(cache_dir: Path, sha256: str) -> Path:
    """Path of the photo with this digest: the same bytes under several URLs are one file."""
    return cache_dir / _OBJECTS_DIR / sha256[:2] / sha256


# Defects that another request may not have.
_OF_THE_TRANSFER = (photo_files.TRUNCATED, photo_files.DAMAGED)
PARTS_DIR = "parts"
_OBJECTS_DIR = "objects"
_HEAD_BYTES = 16


def _plain(content_type: str) -> str:
    # A server may send anything. Reasons are counted and shown, so only a plain type is used.
    found = re.match(r"[\w.+-]{1,40}/[\w.+-]{1,40}|a file$", content_type.strip().lower(), re.ASCII)
    if found:
        return found[0]
    return "odd content type" if content_type else "no content type"


def _write_all(file: io.RawIOBase, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[file.write(view) or 0 :]


def _move(part: Path, to: Path) -> None:
    try:
        part.replace(to)
    except FileNotFoundError:
        to.parent.mkdir(parents=True, exist_ok=True)
        part.replace(to)
