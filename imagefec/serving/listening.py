"""Where the service listens: address, port, TLS, and the names under which it may be addressed."""

import errno
import ipaddress
import os
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from imagefec.errors import UserError
from imagefec.serving.guard import Allowed, allowed_names

LOOPBACK = "127.0.0.1"
_BACKLOG = 128


@dataclass(frozen=True)
class Listening:
    """An open socket and what to tell about it.

    Attributes:
      socket: bound and listening; connections wait until the service runs.
      url: of the page.
      allowed: the names under which it may be addressed.
      is_public: whether other machines can connect.
      tls_cert: certificate file, PEM; None for http.
      tls_key: its key.
    """

    socket: socket.socket
    url: str
    allowed: Allowed
    is_public: bool
    tls_cert: Path | None = None
    tls_key: Path | None = None


def listen(
    host: str, port: int, tls_cert: Path | None, tls_key: Path | None, origins: Sequence[str] = ()
) -> Listening:
    """Opens the port, so that a taken one is noticed before anything slow begins.

    Args:
      host: a name or address of this machine.
      port: 1 to 65535, or 0 for any that is free.
      tls_cert: certificate file, PEM; needed unless host is a loopback address.
      tls_key: its key file.
      origins: origins of proxies.

    Raises:
      UserError: the host is not this machine's, or is public without TLS; the port is taken or
        reserved; the certificate cannot be used; an origin is none.
    """
    family, address = _resolve(host, port)
    is_public = not ipaddress.ip_address(address[0]).is_loopback
    _check_tls(host, port, is_public, tls_cert, tls_key)
    if ipaddress.ip_address(address[0]).is_unspecified and not origins:
        raise UserError(
            f"--host {host}: means every network of this machine, so the name that browsers will "
            "use is unknown. Give that name or address, or add it as --allow_origin "
            "https://NAME:PORT."
        )
    opened = _bind(family, address, host)
    scheme = "https" if tls_cert else "http"
    bound_port = opened.getsockname()[1]
    names = {host.strip("[]").lower(), address[0]}
    if not is_public:
        names |= {"localhost"}
    try:
        allowed = allowed_names(names, bound_port, scheme, origins)
    except UserError:
        opened.close()
        raise
    shown = f"[{host}]" if ":" in host else host
    url = f"{scheme}://{shown}:{bound_port}/"
    return Listening(opened, url, allowed, is_public, tls_cert, tls_key)


def _resolve(host: str, port: int) -> tuple[int, tuple]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(
            f"--host {host}: not a name or address of this machine ({reason}). Leave it out for "
            f"{LOOPBACK}."
        ) from None
    # "localhost" may be ::1 as well; the IPv4 address is the one that other programs try too.
    family, _, _, _, address = sorted(found, key=lambda each: each[0] != socket.AF_INET)[0]
    return family, address


def _check_tls(host: str, port: int, is_public: bool, cert: Path | None, key: Path | None) -> None:
    if (cert is None) != (key is None):
        raise UserError("--tls_cert and --tls_key belong together. Give both files or neither.")
    if cert is None or key is None:
        if is_public:
            raise UserError(
                f"--host {host}: other machines could connect, which requires --tls_cert and "
                "--tls_key: faces must not travel unencrypted, and browsers give pages without "
                "https no camera. To use a remote machine yourself, leave out --host and run "
                f"`ssh -L {port}:127.0.0.1:{port} MACHINE`."
            )
        return
    for path, flag in ((cert, "--tls_cert"), (key, "--tls_key")):
        if not os.access(path, os.R_OK) or not path.is_file():
            raise UserError(f"{flag} {path}: no such file, or it cannot be read.")
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key, password=_no_password)
    except (OSError, ValueError) as error:  # SSLError is an OSError
        raise UserError(
            f"--tls_cert {cert} --tls_key {key}: cannot be used ({error}). Give a certificate and "
            "its own key, both PEM, the key without a passphrase."
        ) from None


def _no_password() -> str:
    raise ValueError("the key has a passphrase")


def _bind(family: int, address: tuple, host: str) -> socket.socket:
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        # A port whose last connections are still closing is free; one that is listened on is not.
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(address)
        opened.listen(_BACKLOG)
    except OSError as error:
        opened.close()
        port = address[1]
        if error.errno == errno.EADDRINUSE:
            raise UserError(
                f"--port {port}: taken by another program, perhaps another `imagefec`. Stop "
                "it, or give another --port; 0 takes any free one."
            ) from None
        if error.errno == errno.EACCES:
            raise UserError(
                f"--port {port}: reserved for the system. Give a --port of 1024 or more."
            ) from None
        raise UserError(
            f"--host {host}: not an address of this machine ({error.strerror}). Leave it out for "
            f"{LOOPBACK}."
        ) from None
    return opened
