"""The page of a map as one self-contained HTML file; it places nothing and writes nothing."""

from __future__ import annotations

import html
from importlib import resources
from typing import Any

from imagefec.analysis import html_page
from imagefec.analysis.map.projection import Projection

# One module: each file may use what those before it define.
SCRIPTS = ("data.js", "camera.js", "places.js", "canvas.js", "panel.js", "main.js")
_BODY, _STYLE = "map.html", "map.css"
_NAMES = {"pca": "PCA", "tsne": "t-SNE", "umap": "UMAP"}
_KEEPS = {
    "pca": (
        "PCA is the flat shadow of the embedding in the directions in which faces differ most. "
        "Large distances are kept as well as a plane can; faces that differ in other directions "
        "may lie on top of each other."
    ),
    "tsne": (
        "t-SNE keeps neighbours together and gives up the rest: the distance between far groups, "
        "their size and their density mean little, and one cloud may be torn in two."
    ),
    "umap": (
        "UMAP keeps neighbours together and something of the arrangement of groups; the distance "
        "between far groups, their size and their density still mean little."
    ),
}


def make_page(title: str, facts: str, notes: list[str], data: dict[str, Any]) -> str:
    """Makes the page; it loads nothing and runs only its own script.

    Args:
      title: plain text.
      facts: a line about the faces, plain text.
      notes: paragraphs on how to read the map, plain text.
      data: from `page_data`.

    Returns:
      HTML 5 text, equal for equal input.
    """
    folder = resources.files("imagefec.analysis.map") / "static"

    def text_of(name: str) -> str:
        return (folder / name).read_text(encoding="utf-8")

    body = (
        text_of(_BODY)
        .replace("{title}", html.escape(title))
        .replace("{facts}", html.escape(facts))
        .replace("{notes}", "".join(f"<p>{html.escape(note)}</p>" for note in notes))
    )
    script = "\n".join(map(text_of, SCRIPTS))
    return html_page.render_page(title, body, text_of(_STYLE), "none", script, data)


def notes_on(projection: Projection) -> list[str]:
    """What the map keeps of the embedding and how well, in sentences."""
    if projection.all_equal:
        return ["All vectors are equal, so all faces have the same place."]
    notes = [_KEEPS[projection.method]]
    if projection.explained is not None:
        notes.append(
            f"The plane has {projection.explained:.0%} of the variance of the embeddings "
            "(explained variance)."
        )
    if projection.trustworthiness is not None:
        notes.append(
            f"Trustworthiness {projection.trustworthiness:.3f}: 1 means that the "
            f"{projection.n_neighbours} nearest faces of a face in the map are among its nearest "
            "in the embedding, 0.5 is about chance."
        )
    notes.append(
        "The list beside the map is of the embedding itself, not of the map: the nearest faces "
        "of other photos, with their Euclidean distances. Lines lead to them, so long lines show "
        "where the map misleads."
    )
    return notes


def method_name(method: str) -> str:
    """A method as it is written: "t-SNE"."""
    return _NAMES[method]
