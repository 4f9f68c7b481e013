"""One request for one url to one file of the photo cache: http, checks, atomic writes; fetch.py says which and when."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import socket
import stat
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit
from urllib.request import url2pathname

import urllib3
from urllib3 import exceptions as http_errors

from imagefec.data import pictures
from imagefec.data.fetch.ledger import object_path
from imagefec.data.fetch.rate_limit import Answer


class Attempt(NamedTuple):
    """What one request for a url came to: `sha256` is there where the photo is in the cache, else `reason` says why not.

    `gone` marks the server's final answer, `worth_retrying` one that may be another next time;
    `answer` and `retry_after_s` are what the host's pace depends on.
    """

    answer: Answer
    n_bytes: int = 0
    sha256: str | None = None
    final_url: str | None = None
    reason: str | None = None
    gone: bool = False
    worth_retrying: bool = False
    retry_after_s: float = 0.0


class Downloader:
    """Fetches photos into a cache, one request at a call; `attempt` may be called from many threads at once.

    Args:
      cache_dir: the cache's directory, writable.
      user_agent: sent with every request.
      workers: how many threads will call.
      timeout_s: longest silence of a server; a whole body may take ten times that.
      max_bytes: larger bodies are refused.
      max_pixels: larger pictures are refused, by their headers.
      ignore_x_robots_tag: take pictures whose server says noai or noimageai.
    """

    def __init__(
        self,
        cache_dir: Path,
        user_agent: str,
        workers: int,
        timeout_s: float,
        max_bytes: int,
        max_pixels: int = pictures.MAX_PIXELS,
        ignore_x_robots_tag: bool = False,
    ):
        self._cache_dir = cache_dir
        self._max_bytes, self._max_pixels = max_bytes, max_pixels
        self._ignore_x_robots_tag = ignore_x_robots_tag
        self._body_s = 10 * timeout_s
        self._pool = urllib3.PoolManager(
            num_pools=64,
            maxsize=workers,
            timeout=urllib3.Timeout(connect=timeout_s, read=timeout_s),
            # Redirects are urllib3's, all other retries ours: they end in the ledger with a reason.
            retries=urllib3.Retry(
                total=None,
                connect=0,
                read=0,
                status=0,
                other=0,
                redirect=5,
                respect_retry_after_header=False,
            ),
            headers={
                "User-Agent": user_agent,
                "Accept": "image/*,*/*;q=0.5",
                "Accept-Encoding": "identity",
            },
        )

    def attempt(self, url: str) -> Attempt:
        """Asks for one photo, once.

        Raises:
          OSError: the cache cannot be written (disk full, no permission).
        """
        fetch_once = self.copy_file if url[:5].lower() == "file:" else self._fetch_once
        try:
            n_bytes, sha256, final_url = fetch_once(url)
        except Refused as refused:
            return Attempt(
                refused.answer,
                reason=refused.reason,
                gone=refused.gone,
                worth_retrying=refused.worth_retrying,
                retry_after_s=refused.retry_after_s,
            )
        return Attempt(Answer.SERVED, n_bytes, sha256, final_url)

    def close(self) -> None:
        self._pool.clear()

    def _fetch_once(self, url: str) -> tuple[int, str, str]:
        try:
            response = self._open(url)
            try:
                final_url = _final_url(url, response)
                if final_url != url and _PLACEHOLDER.search(urlsplit(final_url).path):
                    raise Refused(PLACEHOLDER, gone=True)
                return (*self._take(response), final_url)
            finally:
                # A body read to its end has given its connection back; the rest of others is not
                # worth it.
                response.close()
        except http_errors.HTTPError as error:
            raise _refusal_of(error) from None

    def _open(self, url: str) -> urllib3.BaseHTTPResponse:
        try:
            response = self._pool.request("GET", url, preload_content=False)
        except http_errors.HTTPError:
            raise
        except ValueError:  # what http.client and idna say of an impossible host
            raise Refused("bad url", gone=True) from None
        _acknowledge(response)
        return response

    def _take(self, response: urllib3.BaseHTTPResponse) -> tuple[int, str]:
        body = self._body_of(response)
        if response.status != 200:
            if (response.length_remaining or _MAX_DRAIN_BYTES + 1) <= _MAX_DRAIN_BYTES:
                for _ in body:  # so that the connection can be used again
                    pass
            retry_after_s = _retry_after_s(response)
            throttled = response.status == 429 or retry_after_s > 0
            raise Refused(
                f"http {response.status}",
                gone=response.status in _GONE,
                worth_retrying=response.status in _WORTH_RETRYING or response.status >= 500,
                answer=Answer.THROTTLED
                if throttled
                else Answer.FAULTY
                if response.status >= 500
                else Answer.SERVED,
                retry_after_s=retry_after_s,
            )
        if not self._ignore_x_robots_tag and refuses_ai(response.headers.getlist("X-Robots-Tag")):
            raise Refused("refused by x-robots-tag", gone=True)
        if (response.length_remaining or 0) > self._max_bytes:
            raise self._too_large()
        return self._store(body, response.headers.get("Content-Type", ""))

    def _body_of(self, response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
        # read1 returns what is there, so the deadline also catches a server that drips a byte at a
        # time.
        deadline = time.monotonic() + self._body_s
        while chunk := response.read1(_CHUNK_BYTES, decode_content=True):
            yield chunk
            if time.monotonic() > deadline:
                raise Refused("timed out")

    def copy_file(self, url: str, path: str | os.PathLike | None = None) -> tuple[int, str, str]:
        """Copies the file that a file: url names, or the one at `path`, checked as a download is; raises Refused."""
        try:
            with open(
                path or url2pathname(urlsplit(url).path), "rb", opener=_open_without_blocking
            ) as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise Refused("not a file", gone=True)
                content = file.read(
                    self._max_bytes + 1
                )  # in one go: an OSError below is then the cache's
        except FileNotFoundError:
            raise Refused("no such file", gone=True) from None
        except (OSError, ValueError):
            raise Refused("file cannot be read", worth_retrying=False) from None
        if len(content) > self._max_bytes:
            raise self._too_large()
        return (*self._store(iter([content]), "a file"), url)

    def _store(self, chunks: Iterator[bytes], content_type: str) -> tuple[int, str]:
        head = b""
        while len(head) < _HEAD_BYTES and (chunk := next(chunks, b"")):
            head += chunk
        if not head:
            raise Refused("empty body")
        if not pictures.is_picture(head):
            raise Refused(f"not an image: {_plain(content_type)}", gone=True)
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
            if wrong := pictures.what_is_wrong(part, self._max_pixels):
                raise Refused(wrong, gone=wrong != pictures.TRUNCATED)
            # No fsync a photo: after a power cut the size in the ledger tells which files to fetch
            # again.
            _move(part, object_path(self._cache_dir, digest.hexdigest()))
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        return n_bytes, digest.hexdigest()

    def _too_large(self) -> Refused:
        return Refused(f"larger than {self._max_bytes} bytes", gone=True)


PARTS_DIR = "parts"
PLACEHOLDER = "placeholder picture"
# Where hosts redirect to in place of a deleted photo: Flickr, Imgur, Tumblr, and what others call
# it.
_PLACEHOLDER = re.compile(
    r"photo_unavailable|photo_deleted|image_removed|/removed\.png$|(image|photo)[-_]?not[-_]?(found|available)",
    re.IGNORECASE,
)
_DIRECTIVES_WITH_VALUES = (
    "unavailable_after",
    "max-snippet",
    "max-image-preview",
    "max-video-preview",
)
_GONE = frozenset({401, 403, 404, 410, 451})
_WORTH_RETRYING = frozenset({408, 425, 429})
_CHUNK_BYTES = 1 << 18
_HEAD_BYTES = 16
_MAX_DRAIN_BYTES = 1 << 16


class Refused(Exception):
    """Why a request brought no photo, and whether another may."""

    def __init__(
        self,
        reason: str,
        gone: bool = False,
        worth_retrying: bool | None = None,
        answer: Answer = Answer.SERVED,
        retry_after_s: float = 0.0,
    ):
        super().__init__(reason)
        self.reason = reason
        self.gone = gone
        self.worth_retrying = not gone if worth_retrying is None else worth_retrying
        self.answer = answer
        self.retry_after_s = retry_after_s


def refuses_ai(headers: Iterable[str]) -> bool:
    """Whether X-Robots-Tag headers say noai or noimageai to everyone or to us.

    Args:
      headers: values such as "noindex, noai" or "imagefec: noimageai"; a name ahead of a colon is
        whom it is for.

    Source: developers.google.com/search/docs/crawling-indexing/robots-meta-tag; deviantart.com's
      noai, noimageai.
    """
    for header in headers:
        to_us = True
        for directive in header.lower().split(","):
            name, colon, rest = directive.partition(":")
            if colon and name.strip() not in _DIRECTIVES_WITH_VALUES:
                to_us, directive = name.strip() in ("imagefec", "*"), rest
            if to_us and directive.strip() in ("noai", "noimageai"):
                return True
    return False


def _refusal_of(error: http_errors.HTTPError) -> Refused:
    if isinstance(error, http_errors.MaxRetryError) and error.reason is not None:
        error = error.reason
    if isinstance(error, http_errors.ResponseError):
        return Refused("too many redirects", gone=True)
    if isinstance(error, http_errors.LocationValueError):  # a bad url, or a redirect to no http
        return Refused("bad url", gone=True)
    if isinstance(error, http_errors.SSLError):
        return Refused("tls error", worth_retrying=False)
    if isinstance(error, http_errors.NameResolutionError):
        return Refused("host not found", answer=Answer.BROKEN)
    if isinstance(error, http_errors.NewConnectionError):
        return Refused("no connection", answer=Answer.BROKEN)
    if isinstance(error, http_errors.TimeoutError):
        return Refused("timed out", answer=Answer.BROKEN)
    if isinstance(error, http_errors.DecodeError):
        return Refused("broken content encoding")
    if isinstance(error, (http_errors.IncompleteRead, http_errors.InvalidChunkLength)) or (
        isinstance(error, http_errors.ProtocolError) and "IncompleteRead" in str(error)
    ):
        return Refused("truncated body")
    return Refused("connection broken", answer=Answer.BROKEN)


def _acknowledge(response: urllib3.BaseHTTPResponse) -> None:
    # A server with Nagle's algorithm on (Python's own, for one) holds the body back until the
    # kernel has acknowledged the headers, which it puts off for 40 ms: measured 45 ms a photo,
    # against 1-2 with this.
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


def _plain(content_type: str) -> str:
    # A server may send anything; reasons are counted and shown, so only a plain type gets through.
    found = re.match(r"[\w.+-]{1,40}/[\w.+-]{1,40}|a file$", content_type.strip().lower(), re.ASCII)
    return found[0] if found else "no content type" if not content_type else "odd content type"


def _open_without_blocking(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # else a named pipe would hold the thread for ever


def _write_all(file, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[file.write(view) :]


def _move(part: Path, to: Path) -> None:
    try:
        os.replace(part, to)
    except FileNotFoundError:
        to.parent.mkdir(parents=True, exist_ok=True)
        os.replace(part, to)
