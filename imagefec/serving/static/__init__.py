"""The page's files, read once: no path of a request ever reaches the disk."""

from importlib import resources

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


def _files() -> dict[str, tuple[bytes, str]]:
    found = {}
    for file in resources.files(__name__).iterdir():
        suffix = file.name[file.name.rfind(".") :]
        if suffix in _TYPES:
            found[f"/static/{file.name}"] = (file.read_bytes(), _TYPES[suffix])
    if "/static/index.html" in found:
        found["/"] = found.pop("/static/index.html")
    return found


FILES = _files()  # request path -> content and media type
