"""The photo that a URL names, whatever the size, host or spelling it is requested with."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import unquote, urlsplit

_IMAGE = re.compile(r"\.(jpe?g|png|gif|webp|bmp|tiff?)$", re.IGNORECASE)
_FLICKR_FILE_HOST = re.compile(
    r"(?:(?:farm|c)?\d*\.|live\.|static\.|photos\d*\.)*(?:staticflickr|static\.flickr|flickr)\.com"
)
# ID_SECRET.jpg, ID_SECRET_b.jpg, ID_SECRET_o_d.jpg; the original's secret is another.
_FLICKR_FILE = re.compile(r"(\d{3,})_[0-9a-f]{6,}(?:_[0-9a-z]{1,3}){0,2}\.(?:jpe?g|png|gif)", re.I)
_FLICKR_PAGE_HOST = re.compile(r"(?:(?:www|m|secure)\.)?flickr\.com")
_FLICKR_PAGE = re.compile(r"/photos/[^/]+/(\d{3,})(?:/|$)")
_FLICKR_SHORT = re.compile(r"/p/([1-9A-HJ-NP-Za-km-z]{1,12})/?$")
_BASE58 = "123456789abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ"
_WIKIMEDIA = re.compile(
    r"(/(?:wikipedia|wiktionary)/[^/]+)/thumb(/[0-9a-f]/[0-9a-f]{2}/[^/]+)/[^/]+", re.IGNORECASE
)
_TRACKING = re.compile(r"(?:utm_\w*|fbclid|gclid|igshid|mc_[ce]id|ref|ref_src)", re.IGNORECASE)
_PORTS = {"http": 80, "https": 443}


def photo_source(url: str) -> str:
    """A name of the photo that is equal for the URLs of one photo.

    Of a Flickr URL, of any size or of the photo's page, it is the photo's id; of a thumbnail of
    Wikimedia that of the file. Of others, http and https, "www.", letter case of the host, its
    usual port, the fragment, percent-encoding and Unicode form make no difference, nor does
    anything after the "?" of an image file, and nothing that only tracks. Sizes in the file names
    of other hosts are not guessed.

    Args:
      url: any text; one that is no URL of the web, such as a path, is its own name, apart from its
        Unicode form.

    Source: https://www.flickr.com/services/api/misc.urls.html and
      https://www.mediawiki.org/wiki/Manual:Thumb.php.
    """
    text = url.strip()
    try:
        parts = urlsplit(text)
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError:  # no URL
        return unicodedata.normalize("NFC", text)
    scheme = parts.scheme.lower()
    if scheme not in _PORTS or not host:
        return unicodedata.normalize("NFC", _decoded(text) if scheme == "file" else text)
    path = _decoded(parts.path)
    photo_id = _flickr_id(host, path)
    if photo_id is not None:
        return f"flickr:{photo_id}"
    if host == "upload.wikimedia.org":
        path = _WIKIMEDIA.sub(r"\1\2", path)
    at = "" if port in (None, _PORTS[scheme]) else f":{port}"
    asked = "" if _IMAGE.search(path) else _without_tracking(parts.query)
    path = unicodedata.normalize("NFC", path) or "/"
    return f"//{host.removeprefix('www.')}{at}{path}{asked and '?'}{asked}"


def _decoded(text: str) -> str:
    return unquote(text, errors="surrogateescape")


def _flickr_id(host: str, path: str) -> int | None:
    """The number of a Flickr photo; None if the URL names none."""
    if host in ("flic.kr", "www.flic.kr") and (short := _FLICKR_SHORT.fullmatch(path)):
        number = 0
        for char in short[1]:
            number = number * len(_BASE58) + _BASE58.index(char)
        return number
    if _FLICKR_PAGE_HOST.fullmatch(host) and (page := _FLICKR_PAGE.match(path)):
        return int(page[1])
    if _FLICKR_FILE_HOST.fullmatch(host):
        found = _FLICKR_FILE.fullmatch(path.rsplit("/", 1)[-1])
        return int(found[1]) if found else None
    return None


def _without_tracking(query: str) -> str:
    kept = (
        part for part in query.split("&") if part and not _TRACKING.fullmatch(part.split("=")[0])
    )
    return "&".join(_decoded(part) for part in kept)
