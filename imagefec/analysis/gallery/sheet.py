"""The gallery as one PNG, and the values that the PNG and the HTML page show; no selection."""

import io
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

TILE_PX = 160
MAX_STRIPS_PER_COLUMN = 6  # more strips make two columns, so that the sheet fits a screen


@dataclass(frozen=True)
class Tile:
    """A face, its id, and its distance to the query, 0 for the query itself.

    Attributes:
      face: uint8 [h, w, 3], RGB.
      face_id: its id.
      distance: Euclidean, of the embeddings; 0 to 2 if they have unit length.
      label: of its expression; "" if it is not known.
      person: likewise.
      row: of the face, among all faces of the gallery; -1 if it does not matter.
    """

    face: np.ndarray
    face_id: str
    distance: float
    label: str = ""
    person: str = ""
    row: int = -1

    def shown_distance(self, digits: int) -> str:
        """The distance with digits after the point; as 1.23e+60 if it is large."""
        return f"{self.distance:.{digits}f}" if self.distance < 1e5 else f"{self.distance:.3g}"


@dataclass(frozen=True)
class Strip:
    """A query face and its neighbours, nearest first; `missing` is the number of absent ones."""

    query: Tile
    neighbours: tuple[Tile, ...]
    missing: int


@dataclass(frozen=True)
class GalleryText:
    """The texts of a gallery: title, one line of facts, and the text of an empty place."""

    title: str
    facts: str
    no_neighbour: str


def render_sheet(text: GalleryText, strips: list[Strip]) -> bytes:
    """Renders the strips: query left, neighbours nearest first, distances below.

    Returns:
      The bytes of a PNG file, equal for equal input.
    """
    n_columns = 1 if len(strips) <= MAX_STRIPS_PER_COLUMN else 2
    n_lines = -(-len(strips) // n_columns)
    k = max(len(strip.neighbours) + strip.missing for strip in strips)
    strip_width = (k + 1) * TILE_PX + k * _GAP + _QUERY_GAP
    body_width = n_columns * strip_width + (n_columns - 1) * _COLUMN_GAP
    title = _wrapped(text.title, _TITLE_PX, body_width)
    facts = _wrapped(text.facts, _FACTS_PX, body_width)
    top = _MARGIN + len(title) * _TITLE_LINE + len(facts) * _FACTS_LINE + 30
    size = body_width + 2 * _MARGIN, top + n_lines * _STRIP_HEIGHT - _STRIP_GAP + _MARGIN
    sheet = Image.new("RGB", size, _GROUND)
    draw = ImageDraw.Draw(sheet)
    for number, line in enumerate(title):
        at = _MARGIN, _MARGIN + number * _TITLE_LINE
        draw.text(at, line, _INK, load_font(_TITLE_PX, bold=True))
    for number, line in enumerate(facts):
        at = _MARGIN, _MARGIN + len(title) * _TITLE_LINE + number * _FACTS_LINE
        draw.text(at, line, _FAINT, load_font(_FACTS_PX))
    for place, strip in enumerate(strips):
        column, row = divmod(place, n_lines)
        at = _MARGIN + column * (strip_width + _COLUMN_GAP), top + row * _STRIP_HEIGHT
        _draw_strip(sheet, draw, at, strip, text.no_neighbour)
    file = io.BytesIO()
    sheet.save(file, "PNG", optimize=True)
    return file.getvalue()


@cache
def load_font(px: int, bold: bool = False) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Matplotlib's DejaVu Sans, which covers more letters than Pillow's own font, if installed."""
    try:
        import matplotlib as mpl

        name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
        return ImageFont.truetype(f"{mpl.get_data_path()}/fonts/ttf/{name}", px)
    except (ImportError, OSError):
        return ImageFont.load_default(px)


_GROUND, _INK, _FAINT, _EMPTY, _ACCENT = "#ffffff", "#1c1d21", "#6b6e76", "#f2f3f5", "#2f5fe0"
_MARGIN, _GAP, _QUERY_GAP, _COLUMN_GAP, _STRIP_GAP = 48, 12, 36, 80, 22
_CAPTION_HEIGHT = 30
_STRIP_HEIGHT = TILE_PX + _CAPTION_HEIGHT + _STRIP_GAP
_TITLE_PX, _TITLE_LINE, _FACTS_PX, _FACTS_LINE, _CAPTION_PX = 30, 42, 17, 26, 16
_SMALLEST_PX, _MOST_LETTERS = 12, 60  # of a caption
_CORNER_PX = 14  # radius of a tile's corners
_SMOOTH = 4  # edges are drawn this many times larger, then averaged


def _draw_strip(
    sheet: Image.Image,
    draw: ImageDraw.ImageDraw,
    at: tuple[int, int],
    strip: Strip,
    no_neighbour: str,
) -> None:
    x, y = at
    _paste(sheet, (x, y), strip.query.face)
    _ring(sheet, (x, y))
    _caption(draw, (x, y), strip.query.label or "query", _ACCENT, bold=True)
    x += TILE_PX + _QUERY_GAP + _GAP
    for tile in strip.neighbours:
        _paste(sheet, (x, y), tile.face)
        _caption(draw, (x, y), _with_label(tile), _INK)
        x += TILE_PX + _GAP
    for number in range(strip.missing):
        sheet.paste(_EMPTY, (x, y), _corners())
        if number == 0:
            middle = x + TILE_PX // 2, y + TILE_PX // 2
            text = "\n".join(_wrapped(no_neighbour, _CAPTION_PX, TILE_PX - 24))
            draw.multiline_text(
                middle, text, _FAINT, load_font(_CAPTION_PX), "mm", spacing=6, align="center"
            )
        x += TILE_PX + _GAP


def _with_label(tile: Tile) -> str:
    """The distance and the label of a face."""
    return tile.shown_distance(2) + (f" · {tile.label}" if tile.label else "")


def _paste(sheet: Image.Image, at: tuple[int, int], face: np.ndarray) -> None:
    image = Image.fromarray(face).resize((TILE_PX, TILE_PX), Image.Resampling.LANCZOS)
    sheet.paste(image, at, _corners())


def _caption(
    draw: ImageDraw.ImageDraw, at: tuple[int, int], text: str, ink: str, bold: bool = False
) -> None:
    """Writes a line below a tile, smaller or cut if it is wider than the tile."""
    middle = at[0] + TILE_PX // 2, at[1] + TILE_PX + _CAPTION_HEIGHT // 2 + 3
    text = text if len(text) <= _MOST_LETTERS else f"{text[:_MOST_LETTERS]}…"
    sizes = range(_CAPTION_PX, _SMALLEST_PX - 1, -1)
    fitting = (px for px in sizes if load_font(px, bold).getlength(text) <= TILE_PX)
    font = load_font(next(fitting, _SMALLEST_PX), bold)
    while font.getlength(text) > TILE_PX:
        text = f"{text[:-2]}…"
    draw.text(middle, text, ink, font, "mm")


@cache
def _corners() -> Image.Image:
    """The mask of a tile with round corners."""
    return _rounded(TILE_PX, _CORNER_PX, fill=255)


def _ring(sheet: Image.Image, at: tuple[int, int]) -> None:
    """Frames the query."""
    margin = 6
    ring = _rounded(TILE_PX + 2 * margin, _CORNER_PX + margin, outline=255, width=3 * _SMOOTH)
    sheet.paste(_ACCENT, (at[0] - margin, at[1] - margin), ring)


def _rounded(side: int, radius: int, **style: Any) -> Image.Image:
    large = Image.new("L", (side * _SMOOTH, side * _SMOOTH))
    corner = side * _SMOOTH - 1
    ImageDraw.Draw(large).rounded_rectangle((0, 0, corner, corner), radius * _SMOOTH, **style)
    return large.resize((side, side), Image.Resampling.BOX)


def _wrapped(text: str, px: int, width: int) -> list[str]:
    """Breaks a text into lines of at most `width` pixels, at spaces; longer words are split."""
    font = load_font(px, bold=px == _TITLE_PX)
    lines, line = [], ""
    for word in text.split():
        longer = f"{line} {word}".strip()
        if font.getlength(longer) <= width:
            line = longer
            continue
        lines += [line] if line else []
        while font.getlength(word) > width and len(word) > 1:
            n = next(
                n
                for n in range(len(word) - 1, 0, -1)
                if n == 1 or font.getlength(word[:n]) <= width
            )
            lines.append(word[:n])
            word = word[n:]
        line = word
    return [*lines, line] if line else lines
