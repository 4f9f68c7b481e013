"""What a refusal or a broken connection means: the reason in the ledger, and whether to retry."""

from __future__ import annotations

import urllib3
from urllib3 import exceptions as http_errors

from imagefec.data.fetch.network.proxies import without_password
from imagefec.data.fetch.pace.rate_limit import HostResponse
from imagefec.data.fetch.photo_cache.photo_store import FetchFailed
from imagefec.errors import UserError


def failure_of_status(response: urllib3.BaseHTTPResponse) -> FetchFailed:
    """The error to raise for an answer that is not a photo."""
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


def failure_of(error: http_errors.HTTPError) -> FetchFailed:
    """The error to raise for a connection that failed."""
    if isinstance(error, http_errors.LocationValueError):
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
    elif isinstance(error, http_errors.TimeoutError) or any(
        isinstance(cause, TimeoutError) for cause in error.args
    ):
        return timed_out()
    return FetchFailed(reason, response=HostResponse.UNREACHABLE)


def timed_out() -> FetchFailed:
    """The error to raise if a host is too slow."""
    return FetchFailed("timed out", response=HostResponse.UNREACHABLE)


def private_redirect() -> FetchFailed:
    """The error to raise for a redirect to an address that is not public."""
    return FetchFailed("redirect to a private address", worth_retrying=False)


def failure_of_proxy(error: http_errors.ProxyError, proxy: str | None) -> Exception:
    """The error to raise for a connection to the proxy that failed."""
    if "failed: 407" in str(error.original_error):  # http.client has no error of its own for it
        return proxy_refuses(proxy)
    cause = error.original_error
    is_timeout = isinstance(cause, http_errors.TimeoutError | TimeoutError)
    if is_timeout and not isinstance(cause, http_errors.NewConnectionError):
        return FetchFailed("proxy timed out", response=HostResponse.UNREACHABLE)
    return FetchFailed("no connection through the proxy", response=HostResponse.UNREACHABLE)


def proxy_refuses(proxy: str | None) -> UserError:
    """The error to raise for a proxy that asks for a password: no URL can be requested."""
    return UserError(
        f"the proxy {without_password(proxy)} asks for a user name and password (HTTP 407). Put "
        "them into http_proxy and https_proxy: http://USER:PASSWORD@HOST:PORT."
    )


_GONE = frozenset({401, 403, 404, 410, 451})
_WORTH_RETRYING = frozenset({408, 425, 429})


def _retry_after_s(response: urllib3.BaseHTTPResponse) -> float:
    value = response.headers.get("Retry-After")
    if value is None or response.status not in (429, 503):
        return 0.0
    try:
        return float(urllib3.Retry().parse_retry_after(value))
    except (http_errors.InvalidHeader, ValueError, OverflowError):
        return 0.0
