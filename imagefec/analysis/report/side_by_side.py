"""The neighbours of the same faces in two conditions side by side, as one JPEG."""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from imagefec.analysis.gallery.sheet import load_font

N_QUERIES = 5
TILE_PX = 80
QUALITY = 80


def side_by_side(
    faces: np.ndarray,
    queries: Sequence[int],
    first: np.ndarray,
    second: np.ndarray,
    titles: tuple[str, str],
) -> bytes:
    """Renders one row per query: the face and its neighbours in both models, shared ones framed.

    Args:
      faces: uint8 [n, h, w, 3].
      queries: q rows of `faces`.
      first: int [q, k], the neighbours in the first model, nearest first.
      second: int [q, k], likewise in the second model.
      titles: of the two models.

    Returns:
      The bytes of a JPEG file.
    """
    k = first.shape[1]
    step = TILE_PX + _GAP
    lefts = _MARGIN, _MARGIN + step + _BLOCK_GAP, _MARGIN + step * (k + 1) + 2 * _BLOCK_GAP
    size = lefts[2] + step * k - _GAP + _MARGIN, _TOP + len(queries) * step - _GAP + _MARGIN
    sheet = Image.new("RGB", size, "#ffffff")
    draw = ImageDraw.Draw(sheet)
    for left, title in zip(lefts, ("query", *titles)):
        width = TILE_PX if title == "query" else step * k - _GAP
        draw.text((left, _MARGIN), _shortened(title, width), "#222222", load_font(_TEXT_PX))
    for row, query in enumerate(queries):
        top = _TOP + row * step
        shared = set(first[row].tolist()) & set(second[row].tolist())
        _paste(sheet, faces[query], (lefts[0], top))
        for left, neighbours in zip(lefts[1:], (first[row], second[row])):
            for place, neighbour in enumerate(neighbours.tolist()):
                at = left + place * step, top
                _paste(sheet, faces[neighbour], at)
                if neighbour in shared:
                    box = at[0] - 3, at[1] - 3, at[0] + TILE_PX + 2, at[1] + TILE_PX + 2
                    draw.rectangle(box, None, _ACCENT, 3)
    file = io.BytesIO()
    sheet.save(file, "JPEG", quality=QUALITY, optimize=True)
    return file.getvalue()


_MARGIN, _GAP, _BLOCK_GAP, _TOP = 14, 8, 22, 42
_TEXT_PX = 15
_ACCENT = "#D55E00"


def _paste(sheet: Image.Image, face: np.ndarray, at: tuple[int, int]) -> None:
    sheet.paste(Image.fromarray(face).resize((TILE_PX, TILE_PX), Image.Resampling.LANCZOS), at)


def _shortened(text: str, width: int) -> str:
    """The text, shortened with an ellipsis if it is wider than `width` pixels."""
    font = load_font(_TEXT_PX)
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(f"{text}…") > width:
        text = text[:-1]
    return f"{text.rstrip()}…"
