"""The gallery as one self-contained HTML page; it selects no faces and writes no file."""

import base64
import html
import io

from PIL import Image

from imagefec.analysis import html_page
from imagefec.analysis.gallery.sheet import GalleryText, Strip, Tile
from imagefec.paths import readable


def make_page(text: GalleryText, strips: list[Strip], explanation: str) -> str:
    """Makes the page, with its images inside. It loads nothing and runs no script.

    Args:
      text: the same as on the PNG.
      strips: queries with their neighbours.
      explanation: a few sentences for readers who see such a page for the first time.

    Returns:
      HTML 5 text, equal for equal input.
    """
    k = max(len(strip.neighbours) + strip.missing for strip in strips)
    body = [
        "<header>",
        f"<h1>{html.escape(text.title)}</h1>",
        f'<p class="facts">{html.escape(text.facts)}</p>',
        f'<p class="why">{html.escape(explanation)}</p>',
        "</header>",
        f'<main style="--k: {k}">',
        *(_strip(number, strip, text) for number, strip in enumerate(strips, start=1)),
        "</main>",
    ]
    return html_page.render_page(text.title, "\n".join(body), _STYLE, width="76rem")


def _strip(number: int, strip: Strip, text: GalleryText) -> str:
    cells = [
        _figure(
            tile,
            f"neighbour {place} of query {number}, at distance {tile.shown_distance(2)}",
            tile.shown_distance(3),
        )
        for place, tile in enumerate(strip.neighbours, start=1)
    ]
    if strip.missing:
        cells.append(f'<p class="none">{html.escape(text.no_neighbour)}</p>')
    items = "".join(f"<li>{cell}</li>" for cell in cells)
    query = _figure(strip.query, f"query {number}", "query")
    return (
        f'<section aria-labelledby="q{number}"><h2 id="q{number}">Query {number}</h2>'
        f'<div class="query">{query}</div><ol role="list">{items}</ol></section>'
    )


def _figure(tile: Tile, what: str, caption: str) -> str:
    face_id = html.escape(readable(tile.face_id))
    # tabindex lets users of a keyboard show the id
    return (
        f'<figure tabindex="0"><div><img src="{_jpeg_url(tile)}" '
        f'alt="Face, {what}" width="128" height="128"><code>{face_id}</code></div>'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _jpeg_url(tile: Tile) -> str:
    file = io.BytesIO()
    Image.fromarray(tile.face).save(file, "JPEG", quality=92, subsampling=0)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


_STYLE = """
:root { --empty: #f2f3f5; --accent: #2f5fe0; }
@media (prefers-color-scheme: dark) { :root { --empty: #212329; --accent: #8aa8ff; } }
h1 { margin-bottom: .25rem; }
.facts { margin: 0; color: var(--faint); overflow-wrap: anywhere; }
.why { max-width: 44rem; }
main { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 33rem), 1fr));
  gap: 0 3rem; }
section { display: flex; gap: 1.25rem; padding: 1rem 0; border-top: 1px solid var(--line); }
h2 { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
.query { /* as large as a neighbour */
  flex: 0 0 max(4.5rem, (100% - 1.25rem - (var(--k) - 1) * .6rem) / (var(--k) + 1)); }
ol { display: grid; flex: 1; min-width: 0; gap: .6rem; margin: 0; padding: 0; list-style: none;
  /* k per line, or as many as stay readable */
  grid-template-columns: repeat(auto-fill,
    minmax(max(3.8rem, (100% - (var(--k) - 1) * .6rem) / var(--k) - .1px), 1fr)); }
figure { margin: 0; border-radius: .7rem; outline-offset: 3px; }
figure:focus-visible { outline: 2px solid var(--accent); }
figure div { position: relative; overflow: hidden; border-radius: .7rem; line-height: 0; }
.query figure div { box-shadow: 0 0 0 3px var(--ground), 0 0 0 6px var(--accent); }
img { width: 100%; height: auto; aspect-ratio: 1; }
code { position: absolute; inset: auto 0 0; padding: .3rem .4rem; background: rgb(0 0 0 / .72);
  color: #fff; font: .68rem/1.25 ui-monospace, monospace; overflow-wrap: anywhere; opacity: 0; }
figure:hover code, figure:focus code { opacity: 1; }
figcaption { padding-top: .35rem; text-align: center; font-size: .9rem;
  font-variant-numeric: tabular-nums; }
.query figcaption { padding-top: .55rem; color: var(--accent); font-weight: 600; }
.none { display: grid; place-items: center; aspect-ratio: 1; margin: 0; padding: .6rem;
  border-radius: .7rem; background: var(--empty); color: var(--faint); font-size: .85rem;
  line-height: 1.3; text-align: center; }
"""
