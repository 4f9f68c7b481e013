"""One HTTP request for one photo: redirects, timeouts, refusals and the reasons of failures.

`scheduler` decides which URL is requested and when, `photo_store` checks and stores the bytes.
"""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit
from urllib.request import url2pathname

import urllib3
from urllib3 import exceptions as http_errors

from imagefec.data.fetch.config import FetchConfig
from imagefec.data.fetch.network.addresses import is_public, literal_address
from imagefec.data.fetch.network.connections import Limits, limited, make_pools
from imagefec.data.fetch.network.failures import (
    failure_of,
    failure_of_proxy,
    failure_of_status,
    private_redirect,
    proxy_refuses,
    timed_out,
)
from imagefec.data.fetch.network.proxies import Proxies
from imagefec.data.fetch.pace.rate_limit import HostResponse
from imagefec.data.fetch.photo_cache.photo_store import FetchFailed, PhotoStore
from imagefec.data.fetch.photo_cache.url_names import host_of

PLACEHOLDER = "placeholder picture"
MAX_REDIRECTS = 5


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

    @classmethod
    def of_failure(cls, failed: FetchFailed) -> Attempt:
        """The result of a request that gave no photo."""
        return cls(
            failed.response,
            reason=failed.reason,
            gone=failed.gone,
            worth_retrying=failed.worth_retrying,
            retry_after_s=failed.retry_after_s,
        )


class Downloader:
    """Downloads photos into a store; `attempt` may be called by many threads at once.

    Args:
      store: where the photos go.
      user_agent: sent with every request.
      config: of the fetch.
      proxies: which proxy a request takes; None for that of the environment.
      is_named: whether the user's csv files name a host (and port). Only hosts that they name, and
        public addresses, may be the target of a redirect; None allows no exception.
    """

    def __init__(
        self,
        store: PhotoStore,
        user_agent: str,
        config: FetchConfig,
        proxies: Proxies | None = None,
        is_named: Callable[[str], bool] | None = None,
    ) -> None:
        self._store, self._config = store, config
        self._proxies = Proxies() if proxies is None else proxies
        self._is_named = is_named or (lambda _: False)
        self._pools: dict[str | None, urllib3.PoolManager] = {}
        self._headers = {
            "User-Agent": user_agent,
            "Accept": "image/*,*/*;q=0.5",
            "Accept-Encoding": "identity",
        }
        self._in_flight: set[Limits] = set()
        self._lock = threading.Lock()
        self._stopped = False

    def attempt(self, url: str) -> Attempt:
        """Requests one photo once.

        Args:
          url: http, https or file URL.

        Raises:
          OSError: the cache cannot be written (disk full, no permission).
          UserError: the proxy refuses, or is of a kind that is not supported.
        """
        try:
            if url[:5].lower() == "file:":
                n_bytes, sha256 = self._store.add_file(_path_of(url))
                final_url = url
            else:
                n_bytes, sha256, final_url = self._request(url)
        except FetchFailed as failed:
            return Attempt.of_failure(failed)
        return Attempt(HostResponse.SERVED, n_bytes, sha256, final_url)

    def stop(self) -> None:
        """Ends the requests in flight; later ones fail at once."""
        with self._lock:
            self._stopped = True
            in_flight = list(self._in_flight)
        for limits in in_flight:
            limits.stop()

    def close(self) -> None:
        """Stops, and closes the connections."""
        self.stop()
        for pools in self._pools.values():
            pools.clear()

    def _request(self, url: str) -> tuple[int, str, str]:
        limits = Limits(self._config.timeout_s, _HEADERS_PER_TIMEOUT * self._config.timeout_s)
        with self._lock:
            self._in_flight.add(limits)
            if self._stopped:
                limits.stop()
        try:
            with limited(limits):
                return self._follow(url, limits)
        except http_errors.HTTPError as error:
            if limits.is_over:
                raise timed_out() from None
            raise failure_of(error) from None
        finally:
            with self._lock:
                self._in_flight.discard(limits)

    def _follow(self, url: str, limits: Limits) -> tuple[int, str, str]:
        """Requests a URL and what it redirects to."""
        for n_redirects in range(MAX_REDIRECTS + 1):
            response = self._open(url, limits)
            try:
                target = response.get_redirect_location()
                if not target:
                    limits.deadline = limits.start + _ATTEMPT_PER_TIMEOUT * self._config.timeout_s
                    if n_redirects and _PLACEHOLDER_PATH.search(urlsplit(url).path):
                        raise FetchFailed(PLACEHOLDER, gone=True)
                    return (*self._receive(response), url)
                _drain(response)
                url = self._redirected(url, target, limits)
            finally:
                # A fully read body has already returned its connection to the pool. The rest of
                # any other body is not worth reading.
                response.close()
        raise FetchFailed("too many redirects", gone=True)

    def _open(self, url: str, limits: Limits) -> urllib3.BaseHTTPResponse:
        try:
            proxy = self._proxies.proxy_of(url)
            if proxy is not None and limits.public_only:
                # The proxy looks the name up, so only a host that is an address can be checked.
                limits.public_only = False
                address = literal_address(urlsplit(url).hostname or "")
                if address is not None and not is_public(address):
                    raise private_redirect()
            # Credentials in a URL are not sent.
            plain_url = urllib3.util.parse_url(url)._replace(auth=None).url
            response = self._pools_of(proxy).urlopen(
                "GET",
                plain_url,
                headers=self._headers,
                redirect=False,
                retries=False,  # ours are in `scheduler`, and end in the ledger with a reason
                preload_content=False,
                timeout=self._config.timeout_s,
            )
        except http_errors.ProxyError as error:
            raise failure_of_proxy(error, proxy) from None
        except http_errors.HTTPError:
            raise
        except ValueError:  # from http.client and idna, for an impossible host
            raise FetchFailed("bad url", gone=True) from None
        if response.status == 407 and proxy is not None:
            response.close()
            raise proxy_refuses(proxy)
        _acknowledge(response)
        return response

    def _pools_of(self, proxy: str | None) -> urllib3.PoolManager:
        with self._lock:
            if proxy not in self._pools:
                self._pools[proxy] = make_pools(64, min(self._config.workers, 64), proxy)
            return self._pools[proxy]

    def _redirected(self, url: str, target: str, limits: Limits) -> str:
        with contextlib.suppress(UnicodeError):  # http.client takes UTF-8 for Latin-1
            target = target.encode("latin-1").decode()
        try:
            url = urljoin(url, target)
            parts = urlsplit(url)
            is_web = parts.scheme.lower() in ("http", "https") and bool(parts.hostname)
        except ValueError:
            is_web = False
        if not is_web:
            raise FetchFailed("bad url", gone=True)
        limits.public_only = not (
            self._config.allow_private_redirects or self._is_named(host_of(url))
        )
        return url

    def _receive(self, response: urllib3.BaseHTTPResponse) -> tuple[int, str]:
        if response.status != 200:
            _drain(response)
            raise failure_of_status(response)
        refused = refuses_ai(response.headers.getlist("X-Robots-Tag"))
        if refused and not self._config.ignore_x_robots_tag:
            raise FetchFailed("refused by x-robots-tag", gone=True)
        self._store.check_size(response.length_remaining or 0)
        return self._store.add(_chunks(response), response.headers.get("Content-Type", ""))


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
_CHUNK_BYTES = 1 << 18
_MAX_DRAIN_BYTES = 1 << 16
# In units of timeout_s: how long all headers of an attempt, and the complete attempt, may take.
_HEADERS_PER_TIMEOUT, _ATTEMPT_PER_TIMEOUT = 2.0, 10.0


def _chunks(response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    # read1 returns what has arrived; http.client's read would wait for a complete chunk.
    while chunk := response.read1(_CHUNK_BYTES, decode_content=True):
        yield chunk


def _drain(response: urllib3.BaseHTTPResponse) -> None:
    """Reads a short body, so that the connection can be reused."""
    if (response.length_remaining or _MAX_DRAIN_BYTES + 1) <= _MAX_DRAIN_BYTES:
        for _ in _chunks(response):
            pass


def _path_of(file_url: str) -> str:
    try:
        return url2pathname(urlsplit(file_url).path)
    except ValueError:
        raise FetchFailed("file cannot be read", worth_retrying=False) from None


def _acknowledge(response: urllib3.BaseHTTPResponse) -> None:
    # A server with Nagle's algorithm on, such as Python's own, sends the body only after the kernel
    # has acknowledged the headers, which it delays by 40 ms. Measured: 45 ms per photo without
    # this, 1-2 ms with it.
    sock = getattr(response.connection, "sock", None)
    if sock is not None and hasattr(socket, "TCP_QUICKACK"):
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
