"""One HTTP request for one photo: redirects, timeouts, refusals and the reasons of failures.

`scheduler` decides which URL is requested and when, `photo_store` checks and stores the bytes.
"""

from __future__ import annotations

import contextlib
import re
import socket
import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit
from urllib.request import url2pathname

import urllib3
from urllib3 import exceptions as http_errors

from imagefec.data.fetch.config import FetchConfig
from imagefec.data.fetch.photo_store import FetchFailed, PhotoStore
from imagefec.data.fetch.rate_limit import HostResponse

PLACEHOLDER = "placeholder picture"


class Attempt(NamedTuple):
    """Result of one request.

    Attributes:
      response: what it says about the host.
      n_bytes: size of the photo.
      sha256: digest of the photo, which is in the cache; None for no photo.
      final_url: its URL after redirects.
      reason: why there is no photo.
      gone: whether the answer is final.
      worth_retrying: whether another request may succeed.
      retry_after_s: the wait that the host requests, 0 for none.
    """

    response: HostResponse
    n_bytes: int = 0
    sha256: str | None = None
    final_url: str | None = None
    reason: str | None = None
    gone: bool = False
    worth_retrying: bool = False
    retry_after_s: float = 0.0


class Downloader:
    """Downloads photos into a store; `attempt` may be called by many threads at once.

    Args:
      store: where the photos go.
      user_agent: sent with every request.
      config: of the fetch. A complete body may take ten times its `timeout_s`.
    """

    def __init__(self, store: PhotoStore, user_agent: str, config: FetchConfig) -> None:
        self._store = store
        self._ignore_x_robots_tag = config.ignore_x_robots_tag
        self._body_s = 10 * config.timeout_s
        self._pool = urllib3.PoolManager(
            num_pools=64,
            maxsize=config.workers,
            timeout=urllib3.Timeout(connect=config.timeout_s, read=config.timeout_s),
            # urllib3 follows redirects. All other retries are ours: they end in the ledger with a
            # reason.
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
        """Requests one photo once.

        Args:
          url: http, https or file URL.

        Raises:
          OSError: the cache cannot be written (disk full, no permission).
        """
        try:
            if url[:5].lower() == "file:":
                n_bytes, sha256 = self._store.add_file(_path_of(url))
                final_url = url
            else:
                n_bytes, sha256, final_url = self._request(url)
        except FetchFailed as failed:
            return Attempt(
                failed.response,
                reason=failed.reason,
                gone=failed.gone,
                worth_retrying=failed.worth_retrying,
                retry_after_s=failed.retry_after_s,
            )
        return Attempt(HostResponse.SERVED, n_bytes, sha256, final_url)

    def close(self) -> None:
        """Closes the connections."""
        self._pool.clear()

    def _request(self, url: str) -> tuple[int, str, str]:
        try:
            response = self._open(url)
            try:
                final_url = _final_url(url, response)
                if final_url != url and _PLACEHOLDER_PATH.search(urlsplit(final_url).path):
                    raise FetchFailed(PLACEHOLDER, gone=True)
                return (*self._receive(response), final_url)
            finally:
                # A fully read body has already returned its connection to the pool. The rest of
                # any other body is not worth reading.
                response.close()
        except http_errors.HTTPError as error:
            raise _failure_of(error) from None

    def _open(self, url: str) -> urllib3.BaseHTTPResponse:
        try:
            response = self._pool.request("GET", url, preload_content=False)
        except http_errors.HTTPError:
            raise
        except ValueError:  # from http.client and idna, for an impossible host
            raise FetchFailed("bad url", gone=True) from None
        _acknowledge(response)
        return response

    def _receive(self, response: urllib3.BaseHTTPResponse) -> tuple[int, str]:
        body = self._body_of(response)
        if response.status != 200:
            if (response.length_remaining or _MAX_DRAIN_BYTES + 1) <= _MAX_DRAIN_BYTES:
                for _ in body:  # so that the connection can be reused
                    pass
            raise _failure_of_status(response)
        if not self._ignore_x_robots_tag and refuses_ai(response.headers.getlist("X-Robots-Tag")):
            raise FetchFailed("refused by x-robots-tag", gone=True)
        self._store.check_size(response.length_remaining or 0)
        return self._store.add(body, response.headers.get("Content-Type", ""))

    def _body_of(self, response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
        # read1 returns what has arrived, so the deadline also stops a server that sends a byte at
        # a time.
        deadline = time.monotonic() + self._body_s
        while chunk := response.read1(_CHUNK_BYTES, decode_content=True):
            yield chunk
            if time.monotonic() > deadline:
                raise FetchFailed("timed out")


def refuses_ai(headers: Iterable[str]) -> bool:
    """Whether X-Robots-Tag headers say noai or noimageai to everyone or to imagefec.

    Args:
      headers: values such as "noindex, noai" or "imagefec: noimageai"; a name before a colon is the
        robot addressed.

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


# Where hosts redirect to instead of a deleted photo: Flickr, Imgur, Tumblr, and common names.
_PLACEHOLDER_PATH = re.compile(
    r"photo_unavailable|photo_deleted|image_removed|/removed\.png$"
    r"|(image|photo)[-_]?not[-_]?(found|available)",
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
_MAX_DRAIN_BYTES = 1 << 16


def _path_of(file_url: str) -> str:
    try:
        return url2pathname(urlsplit(file_url).path)
    except ValueError:
        raise FetchFailed("file cannot be read", worth_retrying=False) from None


def _failure_of_status(response: urllib3.BaseHTTPResponse) -> FetchFailed:
    retry_after_s = _retry_after_s(response)
    host_response = HostResponse.SERVED
    if response.status == 429 or retry_after_s > 0:
        host_response = HostResponse.THROTTLED
    elif response.status >= 500:
        host_response = HostResponse.SERVER_ERROR
    return FetchFailed(
        f"http {response.status}",
        gone=response.status in _GONE,
        worth_retrying=response.status in _WORTH_RETRYING or response.status >= 500,
        response=host_response,
        retry_after_s=retry_after_s,
    )


def _failure_of(error: http_errors.HTTPError) -> FetchFailed:
    if isinstance(error, http_errors.MaxRetryError) and isinstance(
        error.reason, http_errors.HTTPError
    ):
        error = error.reason
    if isinstance(error, http_errors.ResponseError):
        return FetchFailed("too many redirects", gone=True)
    if isinstance(error, http_errors.LocationValueError):  # also a redirect to another scheme
        return FetchFailed("bad url", gone=True)
    if isinstance(error, http_errors.SSLError):
        return FetchFailed("tls error", worth_retrying=False)
    if isinstance(error, http_errors.DecodeError):
        return FetchFailed("broken content encoding")
    if isinstance(error, http_errors.IncompleteRead | http_errors.InvalidChunkLength) or (
        isinstance(error, http_errors.ProtocolError) and "IncompleteRead" in str(error)
    ):
        return FetchFailed("truncated body")
    reason = "connection broken"
    if isinstance(error, http_errors.NameResolutionError):
        reason = "host not found"
    elif isinstance(error, http_errors.NewConnectionError):
        reason = "no connection"
    elif isinstance(error, http_errors.TimeoutError):
        reason = "timed out"
    return FetchFailed(reason, response=HostResponse.UNREACHABLE)


def _acknowledge(response: urllib3.BaseHTTPResponse) -> None:
    # A server with Nagle's algorithm on, such as Python's own, sends the body only after the kernel
    # has acknowledged the headers, which it delays by 40 ms. Measured: 45 ms per photo without
    # this, 1-2 ms with it.
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
