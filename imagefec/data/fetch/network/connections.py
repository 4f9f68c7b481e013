"""Connections of a fetch: urllib3's, but each operation ends at the deadline of its attempt.

The timeouts of `http.client` and urllib3 hold for each `recv`. A server that sends one byte before
each timeout, or answers without end, is never timed out by them.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import urllib3
from urllib3 import exceptions as http_errors
from urllib3.connection import HTTPConnection, HTTPSConnection

from imagefec.data.fetch.network.addresses import Resolver, is_public
from imagefec.data.fetch.network.failures import private_redirect
from imagefec.data.fetch.photo_cache.photo_store import FetchFailed

MAX_INTERIM_RESPONSES = 20  # 100 Continue, 102 Processing, 103 Early Hints


class Limits:
    """What one attempt may do; every socket operation of its thread keeps to them.

    Args:
      silence_s: longest time that one operation may take.
      total_s: time until the deadline, at which every operation ends with a TimeoutError.

    Attributes:
      deadline: seconds of the monotonic clock; may be changed while the attempt runs.
      stopped: end at once, whatever the deadline.
      public_only: connect to public addresses only; also checked for connections that are reused.
    """

    def __init__(self, silence_s: float, total_s: float) -> None:
        self._silence_s = silence_s
        self._sock: socket.socket | None = None
        self.start = time.monotonic()
        self.deadline = self.start + total_s
        self.public_only = self.stopped = False

    @property
    def is_over(self) -> bool:
        """Whether the deadline has passed."""
        return self.stopped or time.monotonic() >= self.deadline

    def left_s(self, sock: socket.socket | None = None) -> float:
        """Longest time that the next operation may take, in seconds.

        Args:
          sock: of the operation, for `stop`.

        Raises:
          TimeoutError: the deadline has passed.
        """
        self._sock = sock
        if self.is_over:
            raise TimeoutError("the deadline of the attempt has passed")
        return min(self._silence_s, max(self.deadline - time.monotonic(), 1e-3))

    def stop(self) -> None:
        """Ends the attempt now; called by another thread."""
        self.stopped = True
        if (sock := self._sock) is not None:
            with contextlib.suppress(OSError):
                # Not SSLSocket.shutdown, which the thread that reads would take for plain text.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def check_address(self, address: str) -> None:
        """Raises FetchFailed if the attempt must not connect to an address."""
        if self.public_only and not is_public(address):
            raise private_redirect()


@contextlib.contextmanager
def limited(limits: Limits) -> Iterator[None]:
    """Applies limits to all connections that this thread uses in the block."""
    _thread.limits = limits
    try:
        yield
    finally:
        _thread.limits = None


def make_pools(n_pools: int, max_size: int, proxy: str | None = None) -> urllib3.PoolManager:
    """Makes pools of connections that keep to the limits of the thread.

    Args:
      n_pools: number of hosts whose connections stay open.
      max_size: number of connections per host that stay open.
      proxy: URL of the proxy; None connects directly.
    """
    tls = urllib3.util.create_urllib3_context()
    tls.load_default_certs()
    tls.sslsocket_class = _TlsSocket
    options: dict[str, Any] = {"num_pools": n_pools, "maxsize": max_size, "ssl_context": tls}
    if proxy is None:
        pools = urllib3.PoolManager(**options)
    else:
        login = urllib3.util.parse_url(proxy).auth
        headers = urllib3.util.make_headers(proxy_basic_auth=unquote(login)) if login else None
        pools = urllib3.ProxyManager(proxy, proxy_headers=headers, proxy_ssl_context=tls, **options)
    pools.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}
    return pools


_thread = threading.local()
_resolver = Resolver()


def _limits() -> Limits:
    return _thread.limits


class _InTime:
    """Mixin of sockets whose operations keep to the thread's limits."""

    def connect(self, *args: Any) -> Any:
        return self._in_time().connect(*args)

    def recv(self, *args: Any) -> Any:
        return self._in_time().recv(*args)

    def recv_into(self, *args: Any) -> Any:
        return self._in_time().recv_into(*args)

    def send(self, *args: Any) -> Any:
        return self._in_time().send(*args)

    def sendall(self, *args: Any) -> Any:
        return self._in_time().sendall(*args)

    def do_handshake(self, *args: Any) -> Any:
        return self._in_time().do_handshake(*args)

    def _in_time(self: Any) -> Any:
        limits = getattr(_thread, "limits", None)
        if limits is not None:  # none while a pool is closed
            self.settimeout(limits.left_s(self))
        return super()


class _PlainSocket(_InTime, socket.socket):
    pass


class _TlsSocket(_InTime, ssl.SSLSocket):
    pass


class _FinalResponse(http.client.HTTPResponse):
    """Skips interim responses (1xx), of which http.client knows only 100."""

    def _read_status(self) -> tuple[str, int, str]:
        for _ in range(MAX_INTERIM_RESPONSES + 1):
            version, status, reason = super()._read_status()  # type: ignore[misc]
            if not 100 <= status < 200 or status == http.HTTPStatus.SWITCHING_PROTOCOLS:
                return version, status, reason
            http.client.parse_headers(self.fp)
        raise http.client.HTTPException(f"over {MAX_INTERIM_RESPONSES} interim responses")


class _Connecting:
    """Mixin of connections: checks the address of the socket itself, not of a second lookup."""

    response_class: Any = _FinalResponse

    def request(self: Any, *args: Any, **options: Any) -> None:
        if self.sock is None:
            self.connect()
        if _limits().public_only:
            _limits().check_address(self.sock.getpeername()[0])
        super().request(*args, **options)  # type: ignore[misc]

    def _new_conn(self: Any) -> socket.socket:
        try:
            return _connect(self._dns_host, self.port, self.socket_options or ())
        except socket.gaierror as error:
            raise http_errors.NameResolutionError(self.host, self, error) from error
        except TimeoutError as error:
            text = f"no connection to {self.host} in time"
            raise http_errors.ConnectTimeoutError(self, text) from error
        except OSError as error:
            raise http_errors.NewConnectionError(self, f"no connection: {error}") from error


class _HttpConnection(_Connecting, HTTPConnection):
    pass


class _HttpsConnection(_Connecting, HTTPSConnection):
    pass


class _HttpPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _HttpConnection


class _HttpsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _HttpsConnection


def _connect(host: str, port: int, options: Any) -> socket.socket:
    try:
        host.encode("idna")
    except UnicodeError:
        raise http_errors.LocationParseError(f"{host!r}, label empty or too long") from None
    error: Exception = OSError("no address")
    for family, address in _resolver.lookup(host.strip("[]"), port, _limits().left_s()):
        sock = _PlainSocket(family, socket.SOCK_STREAM)
        try:
            _limits().check_address(address[0])
            for option in options:
                sock.setsockopt(*option)
            sock.connect(address)
            return sock
        except (OSError, FetchFailed) as failure:
            sock.close()
            error = failure
    raise error
