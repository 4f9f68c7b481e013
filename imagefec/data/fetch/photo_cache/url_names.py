"""Names in URLs: of the host, and of the file that a photo would have."""

from __future__ import annotations

import unicodedata
from urllib.parse import unquote, urlsplit


def host_of(url: str) -> str:
    """Host and port of a URL in lower case; "" for a file."""
    try:
        return urlsplit(url).netloc.rpartition("@")[2].lower()
    except ValueError:
        return ""


def file_names(url: str) -> tuple[str, str]:
    """Names under which most tools save a photo: the last part of the URL's path, decoded.

    Args:
      url: of the photo.

    Returns:
      (file name, folder/file name); both "" for a URL that cannot be parsed.
    """
    try:
        folder, _, name = decoded_name(urlsplit(url).path).rpartition("/")
    except ValueError:
        return "", ""
    return name, f"{folder.rpartition('/')[2]}/{name}"


def decoded_name(name: str) -> str:
    """A name without percent-encoding, in Unicode's form NFC."""
    return unicodedata.normalize("NFC", unquote(name))


def loose_name(name: str) -> str:
    """A file name without letter case and with one spelling of JPEG's suffix."""
    stem, dot, suffix = name.casefold().rpartition(".")
    return f"{stem}{dot}{'jpg' if suffix in ('jpeg', 'jpe', 'jfif') else suffix}"
