"""Which face of a dataset a row of a table names: by face id, by URL and box, or by its photo."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from urllib.parse import unquote, urlsplit

from imagefec.data.fec_row import FaceRef
from imagefec.maths.geometry import Box

OTHER_FACE = "a face that is not in this split"
SEVERAL_FACES = "names a photo of several faces only"
NO_NAME = "no face id, URL or path"

Texts = Mapping[str, tuple[str, ...]]  # the cells of a row by role, as in labels.columns


class NotAFace(Exception):
    """A row names none of the faces, or several; the text is one of the reasons above."""


class FaceNames:
    """The names of n faces.

    Args:
      face_ids: n ids.
      urls: the photo of each.
    """

    def __init__(self, face_ids: Sequence[str], urls: Sequence[str]) -> None:
        self._of_id = {face_id: row for row, face_id in enumerate(face_ids)}
        self._of_url: dict[str, list[int]] = {}
        for row, url in enumerate(urls):
            self._of_url.setdefault(url, []).append(row)
        self._urls_by_name: dict[str, list[tuple[tuple[str, ...], str]]] = {}
        for url in self._of_url:
            parts = _parts_of_url(url)
            self._urls_by_name.setdefault(parts[-1] if parts else "", []).append((parts, url))

    def find(self, text: Texts) -> tuple[str, int]:
        """Finds the face that a row names.

        It is the face whose id the row has (or its file's name without suffix, as crop names
        files), else the one of its URL and box, which are those of FEC's csv files. Without a box
        the photo must have one face only. A path may be relative: it is compared with the end of
        the URL.

        Args:
          text: cells by role: "id", "url", "path", "box"; any of them may be missing or "".

        Returns:
          (how, row): "ids", "boxes" (URL and box), "urls" or "paths", and the index of the face.

        Raises:
          NotAFace: the row names none of these faces, or several.
        """
        (face_id,), (url,), (path,) = (text.get(role, ("",)) for role in ("id", "url", "path"))
        if "://" in path:
            url, path = url or path, ""
        if not (face_id or url or path):
            raise NotAFace(NO_NAME)
        for kind, name in (("ids", face_id), ("paths", PurePath(path).stem)):
            if name in self._of_id:
                return kind, self._of_id[name]
        box = _box(text.get("box", ()))
        if url and box is not None:
            return "boxes", self._only([self._of_id.get(FaceRef(url, box).face_id, -1)])
        if url:
            return "urls", self._only(self._of_url.get(url, []))
        return "paths", self._only(self._of_path(path, box))

    def _of_path(self, path: str, box: Box | None) -> list[int]:
        parts = _parts(path)
        ends = self._urls_by_name.get(parts[-1], []) if parts else []
        urls = [url for whole, url in ends if whole[-len(parts) :] == parts]
        if box is not None:
            return [self._of_id.get(FaceRef(url, box).face_id, -1) for url in urls]
        return [row for url in urls for row in self._of_url[url]]

    @staticmethod
    def _only(rows: list[int]) -> int:
        known = [row for row in rows if row >= 0]
        if len(known) != 1:
            raise NotAFace(SEVERAL_FACES if known else OTHER_FACE)
        return known[0]


def _box(cells: Sequence[str]) -> Box | None:
    """The box as FEC's csv files have it; None if there is none."""
    try:
        sides = [float(cell) + 0.0 for cell in cells]  # -0.0 becomes 0.0, as in the csv files
    except ValueError:
        return None
    return Box(*sides) if len(sides) == 4 and all(map(math.isfinite, sides)) else None


def _parts_of_url(url: str) -> tuple[str, ...]:
    try:
        return _parts(unquote(urlsplit(url).path, errors="surrogateescape"))
    except ValueError:  # no URL
        return ()


def _parts(path: str) -> tuple[str, ...]:
    """The names of a path, outermost first, in one Unicode form."""
    text = unicodedata.normalize("NFC", path.replace("\\", "/"))
    return tuple(part for part in text.split("/") if part not in ("", "."))
