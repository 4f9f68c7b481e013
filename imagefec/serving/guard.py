"""Who may talk to the service: checks of Host, Origin and Sec-Fetch-Site, and response headers.

The service listens on this machine only, but every web page that its user opens can send requests
to it. Browsers name the page in the Origin header and the addressed name in Host, and pages cannot
change either. A page of a stranger thus has a foreign Origin, or, if its name was made to point to
127.0.0.1 (DNS rebinding), a foreign Host. Scripts send no Origin and are served.

Source: Fetch Metadata (w3.org/TR/fetch-metadata), OWASP's Cross-Site Request Forgery sheet.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from imagefec.errors import UserError

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(self), microphone=(), geolocation=()",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Allowed:
    """The names under which the service may be addressed.

    Attributes:
      hosts: values of Host, lower case.
      origins: values of Origin, lower case.
    """

    hosts: frozenset[str]
    origins: frozenset[str]


def allowed_names(
    names: Iterable[str], port: int, scheme: str, extra_origins: Iterable[str] = ()
) -> Allowed:
    """Makes the allow-list.

    Args:
      names: host names and addresses of this server, IPv6 without brackets.
      port: that it listens on.
      scheme: "http" or "https".
      extra_origins: origins of proxies in front of it, exact: "https://example.org".

    Raises:
      UserError: an extra origin is not an origin.
    """
    hosts: set[str] = set()
    origins: set[str] = set()
    extra = [_parsed_origin(origin) for origin in extra_origins]
    for its_scheme, name, its_port in [(scheme, name, port) for name in names] + extra:
        shown = f"[{name}]" if ":" in name else name.lower()
        forms = {f"{shown}:{its_port}"}
        if its_port == _DEFAULT_PORTS[its_scheme]:
            forms.add(shown)  # browsers leave out the scheme's own port
        hosts |= forms
        origins |= {f"{its_scheme}://{form}" for form in forms}
    return Allowed(frozenset(hosts), frozenset(origins))


def refusal(scope: Scope, allowed: Allowed) -> str:
    """Why a request is refused; "" if it is not."""
    headers: dict[bytes, list[bytes]] = {}
    for name, value in scope["headers"]:
        headers.setdefault(name.lower(), []).append(value)
    for name in (b"host", b"origin", b"sec-fetch-site"):
        if len(headers.get(name, ())) > 1:
            return f"it has {name.decode()} twice"
    host, origin, site = (
        headers[name][0].decode("latin-1").lower() if name in headers else None
        for name in (b"host", b"origin", b"sec-fetch-site")
    )
    if host not in allowed.hosts:
        return (
            f"host {host!r} is not this server's name; allowed are "
            f"{', '.join(sorted(allowed.hosts))}"
        )
    if origin is not None and origin not in allowed.origins:
        return (
            f"origin {origin!r} is another page; a proxy's own origin can be allowed with "
            "--allow_origin"
        )
    if site in (None, "same-origin", "none") or _is_visit(scope, headers):
        return ""
    return f"another page asked for it (sec-fetch-site {site!r})"


def _is_visit(scope: Scope, headers: dict[bytes, list[bytes]]) -> bool:
    """Whether somebody follows a link to the page, which gives the link's page nothing to read."""
    return (
        scope["type"] == "http"
        and scope["method"] == "GET"
        and headers.get(b"sec-fetch-mode") == [b"navigate"]
        and headers.get(b"sec-fetch-dest") == [b"document"]
    )


def _parsed_origin(origin: str) -> tuple[str, str, int]:
    parts = urlsplit(origin)
    try:
        port = parts.port
    except ValueError:
        port = -1
    is_origin = (
        parts.scheme in _DEFAULT_PORTS
        and bool(parts.hostname)
        and port != -1
        and "*" not in origin
        and "@" not in parts.netloc
        and origin.lower() == f"{parts.scheme}://{parts.netloc.lower()}"
    )
    if not is_origin:
        raise UserError(
            f"--allow_origin {origin}: not an origin. Give scheme and host as the browser shows "
            "them, without a path or wildcard, such as https://example.org."
        )
    return parts.scheme, str(parts.hostname), port or _DEFAULT_PORTS[parts.scheme]


class Guard:
    """ASGI middleware: refuses foreign requests with 403, and adds HEADERS to every response."""

    def __init__(self, app: ASGIApp, allowed: Allowed) -> None:
        self._app = app
        self._allowed = allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one connection."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] in _STARTS:
                own = {name.lower() for name, _ in message.get("headers", ())}
                added = [pair for pair in _ENCODED if pair[0] not in own]
                message = {**message, "headers": [*message.get("headers", ()), *added]}
            await send(message)

        if reason := refusal(scope, self._allowed):
            await refuse(scope, send_with_headers, 403, f"Refused: {reason}.")
            return
        await self._app(scope, receive, send_with_headers)


_STARTS = ("http.response.start", "websocket.http.response.start")
_ENCODED = [(name.encode(), value.encode()) for name, value in HEADERS.items()]


async def refuse(scope: Scope, send: Send, status: int, reason: str) -> None:
    """Answers a request, or a handshake before it is accepted, with a plain text."""
    kind = "websocket.http.response" if scope["type"] == "websocket" else "http.response"
    body = (reason + "\n").encode("utf-8", "backslashreplace")
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": f"{kind}.start", "status": status, "headers": headers})
    await send({"type": f"{kind}.body", "body": body})
