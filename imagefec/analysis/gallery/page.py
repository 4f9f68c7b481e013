"""The gallery as one self-contained HTML page; it selects no faces and writes no file."""

import base64
import html
import io

from PIL import Image

from imagefec.analysis import html_page
from imagefec.analysis.gallery import static
from imagefec.analysis.gallery.page_data import PageData
from imagefec.analysis.gallery.sheet import GalleryText, Strip, Tile
from imagefec.paths import readable


def make_page(
    text: GalleryText, strips: list[Strip], explanation: str, walk: PageData | None = None
) -> str:
    """Makes the page, with its images inside. It loads nothing and runs no script but its own.

    Args:
      text: the same as on the PNG.
      strips: queries with their neighbours; readable without the script.
      explanation: a few sentences for readers who see such a page for the first time.
      walk: the faces that a visitor can walk through, those of the strips among them; None for a
        page without a script.

    Returns:
      HTML 5 text, equal for equal input.
    """
    k = max(len(strip.neighbours) + strip.missing for strip in strips)
    numbers = walk.numbers if walk else {}
    body = [
        "<header>",
        f"<h1>{html.escape(text.title)}</h1>",
        f'<p class="facts">{html.escape(text.facts)}</p>',
        f'<p class="why">{html.escape(explanation + _about(walk))}</p>',
        "</header>",
        static.text_of("tools.html") if walk else "",
        '<main id="main">',
        static.text_of("walk.html") if walk else "",
        f'<div id="queries" style="--k: {k}">',
        *(_strip(number, strip, text, numbers) for number, strip in enumerate(strips, start=1)),
        "</div>",
        static.text_of("all.html") if walk else "",
        "</main>",
        static.text_of("help.html") if walk else "",
    ]
    style = static.text_of("strips.css") + (static.text_of("walk.css") if walk else "")
    return html_page.render_page(
        text.title,
        "\n".join(filter(None, body)),
        style,
        width="88rem",
        script=static.script() if walk else "",
        data=walk.values if walk else None,
    )


def _about(walk: PageData | None) -> str:
    """What a visitor can do with the faces of the page."""
    if walk is None:
        return ""
    about = " Open a face to make it the query."
    if walk.is_part:
        about += (
            f" This page contains {len(walk.numbers):,} of the {walk.n_allowed:,} faces: the "
            "neighbours of other queries, and more neighbours of these, are searched among them."
        )
    return about


def _strip(number: int, strip: Strip, text: GalleryText, numbers: dict[int, int]) -> str:
    cells = [
        _figure(
            tile,
            f"neighbour {place} of query {number}, at distance {tile.shown_distance(2)}",
            tile.shown_distance(3),
            numbers,
        )
        for place, tile in enumerate(strip.neighbours, start=1)
    ]
    if strip.missing:
        cells.append(f'<p class="none">{html.escape(text.no_neighbour)}</p>')
    items = "".join(f"<li>{cell}</li>" for cell in cells)
    query = _figure(strip.query, f"query {number}", "query", numbers)
    return (
        f'<section aria-labelledby="q{number}"><h2 id="q{number}">Query {number}</h2>'
        f'<div class="query">{query}</div><ol role="list">{items}</ol></section>'
    )


def _figure(tile: Tile, what: str, caption: str, numbers: dict[int, int]) -> str:
    face_id = html.escape(readable(tile.face_id))
    number = f' data-face="{numbers[tile.row]}"' if tile.row in numbers else ""
    # tabindex lets users of a keyboard show the id
    return (
        f'<figure tabindex="0"{number}><div><img src="{_jpeg_url(tile)}" '
        f'alt="Face, {what}" width="128" height="128"><code>{face_id}</code></div>'
        f"<figcaption>{caption}{_label(tile)}</figcaption></figure>"
    )


def _label(tile: Tile) -> str:
    """The label of a face for its caption; "" if it is not known."""
    return f'<span class="label">{html.escape(readable(tile.label))}</span>' if tile.label else ""


def _jpeg_url(tile: Tile) -> str:
    file = io.BytesIO()
    Image.fromarray(tile.face).save(file, "JPEG", quality=92, subsampling=0)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
