"""Two conditions' neighbours of the same faces side by side, as one picture; chooses no condition."""

import io
from collections.abc import Sequence

import numpy as np

N_QUERIES = 5
TILE_PX = 80
QUALITY = 82


def side_by_side(
    faces: np.ndarray,
    queries: Sequence[int],
    first: np.ndarray,
    second: np.ndarray,
    titles: tuple[str, str],
) -> bytes:
    """Draws a row a query: the face, its neighbours by one model, its neighbours by the other; what both find is framed.

    Args:
      faces: uint8 [n, h, w, 3].
      queries: q rows of `faces`.
      first: int [q, k], the neighbours by the one model, nearest first.
      second: likewise by the other.
      titles: of the two.

    Returns:
      The bytes of a JPEG file.
    """
    from PIL import Image, ImageDraw

    font = _font()
    k = first.shape[1]
    step = TILE_PX + _GAP
    lefts = _MARGIN, _MARGIN + step + _BLOCK_GAP, _MARGIN + step * (k + 1) + 2 * _BLOCK_GAP
    size = lefts[2] + step * k - _GAP + _MARGIN, _TOP + len(queries) * step - _GAP + _MARGIN
    sheet = Image.new("RGB", size, "#ffffff")
    draw = ImageDraw.Draw(sheet)
    for left, title in zip(lefts, ("query", *titles)):
        room = TILE_PX if title == "query" else step * k - _GAP
        draw.text((left, _MARGIN), _shortened(title, room, font), "#222222", font)
    for row, query in enumerate(queries):
        top = _TOP + row * step
        shared = set(first[row].tolist()) & set(second[row].tolist())
        _paste(sheet, faces[query], (lefts[0], top))
        for left, neighbours in zip(lefts[1:], (first[row], second[row])):
            for place, neighbour in enumerate(neighbours.tolist()):
                at = left + place * step, top
                _paste(sheet, faces[neighbour], at)
                if neighbour in shared:
                    draw.rectangle(
                        (at[0] - 3, at[1] - 3, at[0] + TILE_PX + 2, at[1] + TILE_PX + 2),
                        None,
                        _ACCENT,
                        3,
                    )
    file = io.BytesIO()
    sheet.save(file, "JPEG", quality=QUALITY, optimize=True)
    return file.getvalue()


_MARGIN, _GAP, _BLOCK_GAP, _TOP = 14, 8, 22, 42
_ACCENT = "#D55E00"


def _paste(sheet: object, face: np.ndarray, at: tuple[int, int]) -> None:
    from PIL import Image

    sheet.paste(Image.fromarray(face).resize((TILE_PX, TILE_PX), Image.Resampling.LANCZOS), at)


def _shortened(text: str, room: int, font: object) -> str:
    """The text, cut at its end where it is wider than the room in pixels."""
    if font.getlength(text) <= room:
        return text
    while text and font.getlength(f"{text}…") > room:
        text = text[:-1]
    return f"{text.rstrip()}…"


def _font() -> object:
    import matplotlib
    from PIL import ImageFont

    # matplotlib brings DejaVu, which knows far more letters than Pillow's own font.
    return ImageFont.truetype(f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf", 15)
