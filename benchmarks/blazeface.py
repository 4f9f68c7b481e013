"""blazeface's graphs, sizes, borders and thresholds on your own photos, as Markdown tables.

    python benchmarks/blazeface.py SCENES       # a folder with boxes.csv, all faces
    python benchmarks/blazeface.py PORTRAITS    # a folder without: one centred face each

The folders and the counts are those of detectors.py. Photos of SCENES are searched in ten versions
each (five scales, mirrored or not), for faces of .1 of the shorter side and larger; portraits as
crops, as `imagefec crop` does, and complete. Bold: what the detector blazeface uses.
"""

import argparse
import dataclasses
import pathlib
import statistics
import sys
import time

import cv2
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import detectors

from imagefec.faces import crop
from imagefec.faces.detectors import blazeface
from imagefec.faces.detectors.blazeface import CLOSE, FAR, BlazefaceDetector, Search
from imagefec.faces.photos import read_photo

SCORES = (0.3, 0.4, 0.5, 0.6)
GRAPHS = {"short range": CLOSE, "back": FAR}
FAR_SEARCHES = [
    ("back", 160, 0),
    ("back", 192, 0),
    ("back", 224, 0),
    ("back", 256, 0),
    ("back", 224, 0.1),
    ("short range", 128, 0),
    ("short range", 192, 0),
    ("short range", 256, 0),
]
CLOSE_SEARCHES = [
    ("short range", 96, 0),
    ("short range", 96, 0.1),
    ("short range", 96, 0.2),
    ("short range", 96, 0.3),
    ("short range", 128, 0),
    ("short range", 128, 0.2),
    ("short range", 128, 0.3),
    ("back", 128, 0),
    ("back", 128, 0.2),
]


class Variant(BlazefaceDetector):
    """The detector blazeface with one search for faces of every size."""

    def __init__(self, search: Search) -> None:
        super().__init__(min(SCORES))
        self._only = search
        self._networks = {search: blazeface.networks_of(search)}

    def _search(self, smallest: float) -> Search:  # noqa: ARG002  # whatever the smallest face
        return self._only


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("FOLDER", type=pathlib.Path)
    folder = parser.parse_args().FOLDER
    cv2.setNumThreads(1)
    (scenes if (folder / "boxes.csv").is_file() else portraits)(folder)


def scenes(folder: pathlib.Path) -> None:
    """Prints faces found and false alarms per photo, by minimum score."""
    photos = detectors.read_scenes(folder)
    jittered = [
        detectors.jitter(photo, boxes, *how) for how in detectors.JITTERS for photo, boxes in photos
    ]
    n_faces = sum(len(boxes) for _, boxes in photos)
    _head(f"found of {n_faces} / false alarms per photo")
    for graph, side_px, border in FAR_SEARCHES:
        detector, bold = _variant(graph, side_px, border, FAR)
        found, ms = _timed(detector, [photo for photo, _ in jittered], 0.1)
        cells = []
        for least in SCORES:
            matched = [
                detectors.match([d for d in each if d.score >= least], boxes, 0.4)
                for each, (_, boxes) in zip(found, jittered)
            ]
            n_found = sum(len(boxes) for boxes, _ in matched) / len(detectors.JITTERS)
            cells.append(f"{n_found:.1f} / {sum(n for _, n in matched) / len(jittered):.2f}")
        _row(bold, graph, side_px, border, *cells, f"{ms:.1f}")


def portraits(folder: pathlib.Path) -> None:
    """Prints in how many boxes and complete portraits a face is found, by minimum score."""
    photos = [
        read_photo(path)
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in detectors.PHOTO_SUFFIXES
    ]
    if not photos:
        sys.exit(f"{folder}: has neither boxes.csv nor photos.")
    sizes = [photo.shape[1::-1] for photo in photos]
    boxes = [
        [crop.grown_box(detectors.MIDDLE, *size) for size in sizes],
        [detectors.to_box(detectors.MIDDLE, *size) for size in sizes],
    ]
    grown, tight = ([crop.crop_patch(*each) for each in zip(photos, some)] for some in boxes)
    _head("grown / tight box: found")
    for graph, side_px, border in CLOSE_SEARCHES:
        detector, bold = _variant(graph, side_px, border, CLOSE)
        (in_grown, ms), (in_tight, _) = (_timed(detector, some, 0.5) for some in (grown, tight))
        cells = [
            " / ".join(
                f"{np.mean([any(d.score >= least for d in each) for each in found]):.1%}"
                for found in (in_grown, in_tight)
            )
            for least in SCORES
        ]
        _row(bold, graph, side_px, border, *cells, f"{ms:.1f}")
    print()
    _head("complete portraits: a face found / several")
    for graph, side_px, border in FAR_SEARCHES:
        detector, bold = _variant(graph, side_px, border, FAR)
        found, ms = _timed(detector, photos, 0.1)
        cells = []
        for least in SCORES:
            counts = np.array([sum(d.score >= least for d in each) for each in found])
            cells.append(f"{(counts > 0).mean():.1%} / {(counts > 1).mean():.1%}")
        _row(bold, graph, side_px, border, *cells, f"{ms:.1f}")


def _variant(graph: str, side_px: int, border: float, used: Search) -> tuple[Variant, bool]:
    search = dataclasses.replace(GRAPHS[graph], side_px=side_px, border=float(border))
    return Variant(search), search == used


def _timed(
    detector: BlazefaceDetector, photos: list[np.ndarray], smallest: float
) -> tuple[list, float]:
    """Detections of each photo and the median CPU time in ms."""
    found, times = [], []
    for photo in photos:
        start = time.process_time()
        found.append(detector.detect(photo, smallest))
        times.append(time.process_time() - start)
    return found, 1000 * statistics.median(times)


def _head(what: str) -> None:
    _row(False, "graph", "px", "border", *(f"{what}, min_score {each}" for each in SCORES), "ms")
    print("|" + "---|" * (4 + len(SCORES)))


def _row(bold: bool, *cells: object) -> None:
    texts = [f"**{each}**" if bold else str(each) for each in cells]
    print("| " + " | ".join(texts) + " |", flush=True)


if __name__ == "__main__":
    main()
