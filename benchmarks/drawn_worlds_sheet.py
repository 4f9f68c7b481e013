"""Renders the picture of docs/drawn_world.md: `python benchmarks/drawn_worlds_sheet.py OUT.jpg`.

A row per aspect: three faces in the range of the varied world, then two in that of the hard world.
"""

import sys

import cv2
import numpy as np

from imagefec.faces.synthetic.heads.expressions import PROTOTYPES
from imagefec.faces.synthetic.heads.people import sample_person
from imagefec.faces.synthetic.photo import CELL_PX, encode_jpeg, render_photo
from imagefec.faces.synthetic.variations import Variations
from imagefec.faces.synthetic.worlds import ASPECTS, World, make_world

WORDS = ("surprise", "elation", "anger", "sadness", "fear")
CELL, LABEL = 92, 92  # pixels
N_HARD = 2


def main(out: str) -> None:
    """Writes the sheet to a JPEG file."""
    rows = [_row("plain", [make_world()] * len(WORDS))]
    for aspect in ASPECTS:
        varied, hard = (make_world(name, aspect) for name in ("varied", "hard"))
        rows.append(_row(aspect, [varied] * (len(WORDS) - N_HARD) + [hard] * N_HARD))
    rows += [_row("all varied", [make_world("varied")] * len(WORDS), seed=2)]
    rows += [_row("all hard", [make_world("hard")] * len(WORDS), seed) for seed in (3, 4)]
    half = len(rows) // 2
    sheet = np.hstack([np.vstack(rows[:half]), np.vstack(rows[half:])])
    cv2.imwrite(out, sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 74])


def _row(label: str, worlds: list[World], seed: int = 0) -> np.ndarray:
    name = np.full((CELL, LABEL, 3), 255, np.uint8)
    cv2.putText(name, label, (4, CELL // 2 + 4), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (20,) * 3, 1, 16)
    cells = [_cell(world, i, seed) for i, world in enumerate(worlds)]
    return np.hstack([name, *cells])


def _cell(world: World, i: int, seed: int) -> np.ndarray:
    """One face, as its JPEG shows it, with its box if boxes vary."""
    variations = Variations(world, [seed, i])
    person = variations.person(sample_person(np.random.default_rng(1000 + i)))
    head = person, variations.expression(PROTOTYPES[WORDS[i]])
    rng = np.random.default_rng(i)
    photo, (box,) = render_photo(rng, [head], variations=variations)
    data = np.frombuffer(encode_jpeg(rng, photo, variations), np.uint8)
    seen = np.ascontiguousarray(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1])
    if world.aspects == ("box",):
        corners = [(round(x * CELL_PX), round(y * CELL_PX)) for x, y in _corners(box.sides)]
        cv2.rectangle(seen, *corners, (0, 255, 0), 2)
    return cv2.resize(seen, (CELL, CELL), interpolation=cv2.INTER_AREA)


def _corners(sides: tuple[float, ...]) -> list[tuple[float, float]]:
    left, right, top, bottom = sides
    return [(left, top), (right, bottom)]


if __name__ == "__main__":
    main(sys.argv[1])
