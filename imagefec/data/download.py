"""One url to one file of the photo cache: http, retries, sniffing, atomic writes; fetch.py says which."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import re
import socket
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin, urlsplit
from urllib.request import url2pathname

import urllib3
from urllib3 import exceptions as http_errors

from imagefec.data.ledger import Outcome, object_path

MAX_WAIT_S = 60.0  # a server that asks for more patience than this is left to the next fetch


class Downloader:
    """Fetches photos into a cache; `get` may be called from many threads at once.

    Args:
      cache_dir: the cache's directory, writable.
      user_agent: sent with every request.
      workers: how many threads will call.
      timeout_s: longest silence of a server; a whole body may take ten times that.
      attempts: how often a url is asked before it is given up.
      backoff_s: wait before the second attempt; doubled each time, times a random 0.5 to 1.5.
      max_bytes: larger bodies are refused.
    """

    def __init__(
        self, cache_dir: Path, user_agent: str, workers: int, timeout_s: float, attempts: int,
        backoff_s: float, max_bytes: int,
    ):
        self._cache_dir = cache_dir
        self._attempts = attempts
        self._backoff_s = backoff_s
        self._max_bytes = max_bytes
        self._body_s = 10 * timeout_s
        self._stopped = threading.Event()
        self._pool = urllib3.PoolManager(
            num_pools=64, maxsize=workers, timeout=urllib3.Timeout(connect=timeout_s, read=timeout_s),
            # Redirects are urllib3's, all other retries ours: they end in the ledger with a reason.
            retries=urllib3.Retry(
                total=None, connect=0, read=0, status=0, other=0, redirect=5,
                respect_retry_after_header=False),
            headers={"User-Agent": user_agent, "Accept": "image/*,*/*;q=0.5", "Accept-Encoding": "identity"})

    def get(self, url: str) -> Outcome:
        """Fetches one photo, trying again where that may help.

        Raises:
          OSError: the cache cannot be written (disk full, no permission).
        """
        fetch_once = self._copy_once if url[:5].lower() == "file:" else self._fetch_once
        for attempt in range(1, self._attempts + 1):
            try:
                n_bytes, sha256, final_url = fetch_once(url)
                return Outcome(url, "ok", None, attempt, n_bytes, sha256, final_url)
            except _Refused as refused:
                failure = refused
            too_long = failure.retry_after_s > MAX_WAIT_S
            if not failure.worth_retrying or too_long or attempt == self._attempts:
                break
            wait_s = min(MAX_WAIT_S, self._backoff_s * 2 ** (attempt - 1) * random.uniform(0.5, 1.5))
            if self._stopped.wait(max(wait_s, failure.retry_after_s)):
                break
        return Outcome(url, "gone" if failure.gone else "failed", failure.reason, attempt)

    def stop(self) -> None:
        """Ends the waits between attempts, so that threads come to rest soon."""
        self._stopped.set()

    def close(self) -> None:
        self.stop()
        self._pool.clear()

    def _fetch_once(self, url: str) -> tuple[int, str, str]:
        try:
            response = self._open(url)
            try:
                return (*self._take(response), _final_url(url, response))
            finally:
                # A body read to its end has given its connection back; the rest of others is not worth it.
                response.close()
        except http_errors.HTTPError as error:
            raise _refusal_of(error) from None

    def _open(self, url: str) -> urllib3.BaseHTTPResponse:
        try:
            response = self._pool.request("GET", url, preload_content=False)
        except http_errors.HTTPError:
            raise
        except ValueError:  # what http.client and idna say of an impossible host
            raise _Refused("bad url", gone=True) from None
        _acknowledge(response)
        return response

    def _take(self, response: urllib3.BaseHTTPResponse) -> tuple[int, str]:
        body = self._body_of(response)
        if response.status != 200:
            if (response.length_remaining or _MAX_DRAIN_BYTES + 1) <= _MAX_DRAIN_BYTES:
                for _ in body:  # so that the connection can be used again
                    pass
            raise _Refused(
                f"http {response.status}", gone=response.status in _GONE,
                worth_retrying=response.status in _WORTH_RETRYING or response.status >= 500,
                retry_after_s=_retry_after_s(response))
        if (response.length_remaining or 0) > self._max_bytes:
            raise self._too_large()
        return self._store(body, response.headers.get("Content-Type", ""))

    def _body_of(self, response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
        # read1 returns what is there, so the deadline also catches a server that drips a byte at a time.
        deadline = time.monotonic() + self._body_s
        while chunk := response.read1(_CHUNK_BYTES, decode_content=True):
            yield chunk
            if time.monotonic() > deadline:
                raise _Refused("timed out")

    def _copy_once(self, url: str) -> tuple[int, str, str]:
        try:
            with open(url2pathname(urlsplit(url).path), "rb", opener=_open_without_blocking) as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise _Refused("not a file", gone=True)
                content = file.read(self._max_bytes + 1)  # in one go: an OSError below is then the cache's
        except FileNotFoundError:
            raise _Refused("no such file", gone=True) from None
        except (OSError, ValueError):
            raise _Refused("file cannot be read", worth_retrying=False) from None
        if len(content) > self._max_bytes:
            raise self._too_large()
        return (*self._store(iter([content]), "a file"), url)

    def _store(self, chunks: Iterator[bytes], content_type: str) -> tuple[int, str]:
        head = b""
        while len(head) < _HEAD_BYTES and (chunk := next(chunks, b"")):
            head += chunk
        if not head:
            raise _Refused("empty body")
        if not _is_image(head):
            raise _Refused(f"not an image: {_plain(content_type)}", gone=True)
        part = self._cache_dir / PARTS_DIR / f"{os.getpid()}-{threading.get_ident()}.part"
        digest, n_bytes, chunk = hashlib.sha256(), 0, head
        try:
            with open(part, "wb", buffering=0) as file:
                while chunk:
                    n_bytes += len(chunk)
                    if n_bytes > self._max_bytes:
                        raise self._too_large()
                    digest.update(chunk)
                    _write_all(file, chunk)
                    chunk = next(chunks, b"")
            # No fsync a photo: after a power cut the size in the ledger tells which files to fetch again.
            _move(part, object_path(self._cache_dir, digest.hexdigest()))
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        return n_bytes, digest.hexdigest()

    def _too_large(self) -> _Refused:
        return _Refused(f"larger than {self._max_bytes} bytes", gone=True)


PARTS_DIR = "parts"
_GONE = frozenset({401, 403, 404, 410, 451})
_WORTH_RETRYING = frozenset({408, 425, 429})
_CHUNK_BYTES = 1 << 18
_HEAD_BYTES = 16
_MAX_DRAIN_BYTES = 1 << 16


class _Refused(Exception):
    """Why an attempt brought no photo, and whether another may."""

    def __init__(
        self, reason: str, gone: bool = False, worth_retrying: bool | None = None,
        retry_after_s: float = 0.0,
    ):
        super().__init__(reason)
        self.reason = reason
        self.gone = gone
        self.worth_retrying = not gone if worth_retrying is None else worth_retrying
        self.retry_after_s = retry_after_s


def _refusal_of(error: http_errors.HTTPError) -> _Refused:
    if isinstance(error, http_errors.MaxRetryError) and error.reason is not None:
        error = error.reason
    if isinstance(error, http_errors.ResponseError):
        return _Refused("too many redirects", gone=True)
    if isinstance(error, http_errors.LocationValueError):  # a bad url, or a redirect to no http
        return _Refused("bad url", gone=True)
    if isinstance(error, http_errors.SSLError):
        return _Refused("tls error", worth_retrying=False)
    if isinstance(error, http_errors.NameResolutionError):
        return _Refused("host not found")
    if isinstance(error, http_errors.NewConnectionError):
        return _Refused("no connection")
    if isinstance(error, http_errors.TimeoutError):
        return _Refused("timed out")
    if isinstance(error, http_errors.DecodeError):
        return _Refused("broken content encoding")
    if isinstance(error, (http_errors.IncompleteRead, http_errors.InvalidChunkLength)) or (
            isinstance(error, http_errors.ProtocolError) and "IncompleteRead" in str(error)):
        return _Refused("truncated body")
    return _Refused("connection broken")


def _acknowledge(response: urllib3.BaseHTTPResponse) -> None:
    # A server with Nagle's algorithm on (Python's own, for one) holds the body back until the kernel has
    # acknowledged the headers, which it puts off for 40 ms: measured 45 ms a photo, against 1-2 with this.
    sock = getattr(response.connection, "sock", None)
    if sock is not None and hasattr(socket, "TCP_QUICKACK"):
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


def _retry_after_s(response: urllib3.BaseHTTPResponse) -> float:
    value = response.headers.get("Retry-After")
    if value is None or response.status not in (429, 503):
        return 0.0
    try:
        return float(urllib3.Retry().parse_retry_after(value))
    except (http_errors.InvalidHeader, ValueError, OverflowError):
        return 0.0


def _final_url(url: str, response: urllib3.BaseHTTPResponse) -> str:
    for hop in response.retries.history if response.retries else ():
        url = urljoin(url, hop.redirect_location or "")
    return url


def _is_image(head: bytes) -> bool:
    if head.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a")):
        return True
    if head.startswith(b"RIFF"):
        return head[8:12] == b"WEBP"
    return head.startswith(b"BM") and head[6:10] == b"\0\0\0\0"  # "BM" alone may well open a text


def _plain(content_type: str) -> str:
    # A server may send anything; reasons are counted and shown, so only a plain type gets through.
    found = re.match(r"[\w.+-]{1,40}/[\w.+-]{1,40}|a file$", content_type.strip().lower(), re.ASCII)
    return found[0] if found else "no content type" if not content_type else "odd content type"


def _open_without_blocking(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # else a named pipe would hold the thread for ever


def _write_all(file, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[file.write(view):]


def _move(part: Path, to: Path) -> None:
    try:
        os.replace(part, to)
    except FileNotFoundError:
        to.parent.mkdir(parents=True, exist_ok=True)
        os.replace(part, to)
