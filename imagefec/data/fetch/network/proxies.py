"""Which proxy a URL is requested through: that of the environment, as in other tools."""

from __future__ import annotations

import contextlib
import ipaddress
import urllib.request
from urllib.parse import urlsplit

import urllib3
from urllib3.exceptions import HTTPError

from imagefec.data.fetch.network.addresses import is_loopback, literal_address
from imagefec.errors import UserError


class Proxies:
    """The proxies of http_proxy, https_proxy, all_proxy and no_proxy, in either case.

    This machine's own addresses (localhost, 127.0.0.1, ::1) are never requested through a proxy.
    """

    def __init__(self) -> None:
        self._by_scheme = urllib.request.getproxies()

    def proxy_of(self, url: str) -> str | None:
        """The URL of the proxy for a URL; None for a direct request.

        Args:
          url: http or https.

        Raises:
          UserError: the proxy is of a kind that is not supported.
          ValueError: the URL has no valid host.
        """
        parts = urlsplit(url)
        host = parts.hostname or ""
        proxy = self._proxy(parts.scheme.lower())
        if proxy is None or is_loopback(host):
            return None
        if urllib.request.proxy_bypass(host if parts.port is None else f"{host}:{parts.port}"):
            return None
        return None if self._is_in_excepted_network(host) else _checked(proxy)

    def describe(self) -> str:
        """One line of text, without passwords."""
        http, https = (self._proxy(scheme) for scheme in ("http", "https"))
        if not (http or https):
            return "no proxy"
        excepted = self._by_scheme.get("no", "")
        text = f"proxy for http {without_password(http)}, for https {without_password(https)}"
        return f"{text}, none for this machine" + (f" and {excepted}" if excepted else "")

    def _is_in_excepted_network(self, host: str) -> bool:
        """Whether no_proxy has a network such as 10.0.0.0/8 around this host, if an address."""
        address = literal_address(host)
        if address is None:
            return False
        for name in self._by_scheme.get("no", "").split(","):
            with contextlib.suppress(ValueError):
                if ipaddress.ip_address(address) in ipaddress.ip_network(name.strip()):
                    return True
        return False

    def _proxy(self, scheme: str) -> str | None:
        proxy = self._by_scheme.get(scheme) or self._by_scheme.get("all")
        return proxy if not proxy or "://" in proxy else f"http://{proxy}"


def without_password(proxy: str | None) -> str:
    """A proxy's URL as it may be shown; "none" for None."""
    if not proxy:
        return "none"
    scheme, _, rest = proxy.partition("://")
    login, at, host = rest.rpartition("@")
    return f"{scheme}://{login.partition(':')[0]}{':***' if ':' in login else ''}{at}{host}"


def _checked(proxy: str) -> str:
    try:
        parts = urllib3.util.parse_url(proxy)
        is_supported = parts.scheme in ("http", "https") and bool(parts.host)
    except HTTPError:
        is_supported = False
    if not is_supported:
        raise UserError(
            f"the proxy of the environment is {without_password(proxy)!r}; only http:// and "
            "https:// proxies are supported, not SOCKS. Set http_proxy and https_proxy to one of "
            "these, or unset them and all_proxy, or name the hosts in no_proxy."
        )
    return proxy
