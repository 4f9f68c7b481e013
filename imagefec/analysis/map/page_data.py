"""What the script of a map's page reads: places, vectors, names and a sprite; no HTML."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from imagefec.analysis.map.pictures import Thumbnails
from imagefec.analysis.overlap.photo_sources import photo_source
from imagefec.analysis.thumbnails import make_sprite
from imagefec.paths import readable

TILE_PX = 64
_LARGEST = 1e15  # squares of larger vectors do not fit in float32


def page_data(
    ids: Sequence[str],
    urls: Sequence[str],
    known: Mapping[str, Sequence[str]],
    points: np.ndarray,
    vectors: np.ndarray,
    thumbnails: Thumbnails,
    rows: Sequence[int],
) -> dict[str, Any]:
    """Collects the data of the faces that a page shows, as JSON values.

    Args:
      ids: of all n faces.
      urls: the photo of each.
      known: name, such as "person", -> n texts, "" where it is not known.
      points: float32 [n, 2].
      vectors: float [n, d].
      thumbnails: of all faces.
      rows: the m faces that the page shows.

    Returns:
      {"ids", "urls": m texts; "photos": m numbers, equal for faces of one photo; "points",
      "vectors": little-endian floats in base64; "vector_type": "float32" or "float64"; "known": a
      list of {"name", "values": texts, most frequent first, "codes": m numbers, -1 if unknown};
      "sprite": {"url", "columns", "tile"}}.
    """
    shown = vectors[rows]
    kind = "float32" if np.abs(shown).max() < _LARGEST else "float64"
    sprite = make_sprite(thumbnails.pixels(rows), len(rows), TILE_PX)
    sources = [photo_source(urls[row]) for row in rows]  # one photo may have several URLs
    photo_of: dict[str, int] = {}
    return {
        "ids": [readable(ids[row]) for row in rows],
        "urls": [readable(urls[row]) for row in rows],
        "photos": [photo_of.setdefault(source, len(photo_of)) for source in sources],
        "points": _base64(points[rows], "float32"),
        "vectors": _base64(shown, kind),
        "vector_type": kind,
        "known": [_column(name, [texts[row] for row in rows]) for name, texts in known.items()],
        "sprite": {"url": sprite.url, "columns": sprite.columns, "tile": sprite.tile_px},
    }


def _base64(numbers: np.ndarray, kind: str) -> str:
    little_endian = np.ascontiguousarray(numbers, np.dtype(kind).newbyteorder("<"))
    return base64.b64encode(little_endian.tobytes()).decode()


def _column(name: str, texts: Sequence[str]) -> dict[str, Any]:
    counts: dict[str, int] = {}
    for text in texts:
        if text:
            counts[text] = counts.get(text, 0) + 1
    values = sorted(counts, key=lambda text: (-counts[text], text))
    code_of = {text: code for code, text in enumerate(values)}
    return {
        "name": readable(name),
        "values": [readable(text) for text in values],
        "codes": [code_of.get(text, -1) for text in texts],
    }
