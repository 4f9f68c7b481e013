"""The pages' files, read once: no path of a request ever reaches the disk."""

from importlib import resources
from importlib.resources.abc import Traversable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
SHARED = ("base.css", "icon.svg")  # of all pages


def page_files(page: str = "") -> dict[str, tuple[bytes, str]]:
    """The files of a page.

    Args:
      page: its folder, such as "judge"; "" for the live demo's, which are beside this file.

    Returns:
      Path of a request -> content and media type. "/" is the page, "/static/NAME" are its files
      and the SHARED ones.
    """
    here = resources.files(__name__)
    files = [*_pages_files(here / page if page else here), *(here / name for name in SHARED)]
    found = {f"/static/{file.name}": (file.read_bytes(), _TYPES[_suffix(file)]) for file in files}
    found["/"] = found.pop("/static/index.html")
    return found


def routes(page: str = "") -> list[Route]:
    """Routes that serve the files of a page."""
    files = page_files(page)

    async def serve_file(request: Request) -> Response:
        body, media_type = files[request.url.path]
        return Response(body, media_type=media_type)

    return [Route(path, serve_file) for path in files]


def _pages_files(folder: Traversable) -> list[Traversable]:
    return [file for file in folder.iterdir() if file.is_file() and _suffix(file) in _TYPES]


def _suffix(file: Traversable) -> str:
    return file.name[max(file.name.rfind("."), 0) :]
