"""Galleries that tests make without a run: coloured squares instead of faces, any vectors."""

from pathlib import Path

import numpy as np

from imagefec.analysis.gallery.faces import Column, GalleryFaces
from imagefec.analysis.gallery.page import make_page
from imagefec.analysis.gallery.page_data import make_page_data
from imagefec.analysis.gallery.sheet import GalleryText
from imagefec.analysis.gallery.strips import find_strips
from imagefec.analysis.vectors.vector_file import are_unit_length

EVIL = "<img src=x onerror=document.title='evil'>"


def gallery_faces(vectors, ids=None, urls=None, columns=()):
    """A colour per face, the same at every call."""
    n = len(vectors)
    colours = np.random.default_rng(n).integers(0, 255, (n, 3))
    return GalleryFaces(
        faces=[np.full((48, 48, 3), colour, np.uint8) for colour in colours],
        face_ids=ids or [f"face {row}" for row in range(n)],
        urls=urls or [f"https://photos.example/{row // 2}.jpg" for row in range(n)],
        names=[()] * n,
        known=np.ones(n, bool),
        embed=lambda: vectors,
        source=Path("run"),
        describe=lambda _: "",
        advice="",
        columns=tuple(columns),
    )


def ties(n=24):
    """Integer vectors, of which many are equally far from each other, and some are equal."""
    return np.random.default_rng(0).integers(0, 3, (n, 4)).astype(np.float32)


def page_data(data, queries=(0, 5), k=3, limit=None, faces=2000, seed=0, allowed=None):
    """(strips, data of the page)."""
    vectors = data.embed()
    rows = np.arange(len(vectors)) if allowed is None else np.asarray(allowed)
    strips = find_strips(data, vectors, queries, rows, k, limit)
    unit = are_unit_length(vectors)
    return strips, make_page_data(
        data, vectors, rows, strips, limit, unit, k=k, faces=faces, seed=seed
    )


def write_page(path, data, **options):
    """Writes the page of a gallery; returns its file: URL."""
    strips, walk = page_data(data, **options)
    text = GalleryText(f"Nearest: {EVIL}", "24 faces", "none")
    path.write_text(make_page(text, strips, "How to read it.", walk), encoding="utf-8")
    return path.as_uri()


def labels(n=24):
    """A label for all but the last faces, and types of triplets."""
    words = [("awe",), ("anger", "awe"), ("joy",)]
    return [
        Column("label", [words[row % 3][-1:] if row < n - 4 else () for row in range(n)]),
        Column("triplets", [words[row % 2] for row in range(n)]),
    ]
