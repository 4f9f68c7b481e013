"""Which internet addresses are public, and name lookups that end in time."""

from __future__ import annotations

import ipaddress
import socket
import threading
from concurrent.futures import Future

Found = list[tuple[int, tuple]]
_EMBED_IPV4 = tuple(map(ipaddress.IPv6Network, ("::/96", "64:ff9b::/96")))  # compatible, NAT64
_LOCAL_NAT64 = ipaddress.IPv6Network("64:ff9b:1::/48")


def is_public(address: str) -> bool:
    """Whether an address belongs to the internet, not to this machine or a private network.

    IPv4 addresses inside IPv6 ones (mapped, compatible, NAT64, 6to4, Teredo) count as themselves.

    Args:
      address: IPv4 or IPv6, perhaps with a zone such as %eth0.

    Raises:
      ValueError: it is no address.
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if any(ip in network for network in _EMBED_IPV4):
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
        if ip.is_site_local or ip in _LOCAL_NAT64:
            return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified)


def literal_address(host: str) -> str | None:
    """The address that a URL's host spells out, also as 127.1, 2130706433, 0x7f000001, localhost.

    Returns:
      The address; None if the host is a name that must be looked up.
    """
    host = host.strip("[]").rstrip(".").lower()
    if host == "localhost" or host.endswith(".localhost"):
        return "127.0.0.1"
    try:
        return str(ipaddress.ip_address(host.partition("%")[0]))
    except ValueError:
        pass
    try:
        return socket.inet_ntoa(socket.inet_aton(host))
    except (OSError, ValueError):
        return None


def is_loopback(host: str) -> bool:
    """Whether a URL's host spells out an address of this machine."""
    address = literal_address(host)
    if address is None:
        return False
    ip = ipaddress.ip_address(address)
    return (getattr(ip, "ipv4_mapped", None) or ip).is_loopback


class Resolver:
    """Looks up host names in threads of its own, because a lookup cannot be interrupted.

    Lookups of one name at the same time share a thread, so a dead name server holds at most one
    thread per host.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[tuple[str, int], Future[Found]] = {}

    def lookup(self, host: str, port: int, timeout_s: float) -> Found:
        """Looks up a host.

        Args:
          host: name or address.
          port: of the connection.
          timeout_s: longest time to wait.

        Returns:
          (address family, socket address) of each address, in the system's order.

        Raises:
          TimeoutError: there is no answer in time.
          socket.gaierror: there is no such host.
        """
        try:
            return _addresses(host, port, socket.AI_NUMERICHOST)
        except socket.gaierror:
            pass
        with self._lock:
            future = self._running.get((host, port))
            if future is None:
                future = self._running[host, port] = Future()
                threading.Thread(
                    target=self._run, args=(host, port, future), daemon=True, name="fetch-dns"
                ).start()
        return future.result(timeout_s)

    def _run(self, host: str, port: int, future: Future[Found]) -> None:
        try:
            future.set_result(_addresses(host, port))
        except Exception as error:
            future.set_exception(error)
        finally:
            with self._lock:
                del self._running[host, port]


def _addresses(host: str, port: int, flags: int = 0) -> Found:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    return [(family, address) for family, _, _, _, address in found]
