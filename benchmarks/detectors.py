"""Recall, false alarms and time of the face detectors on your own photos, as Markdown tables.

    python benchmarks/detectors.py SCENES                 # a folder with boxes.csv, all faces
    python benchmarks/detectors.py SCENES --variants      # Haar cascades, photos jittered
    python benchmarks/detectors.py PORTRAITS              # a folder without: one centred face each
    python benchmarks/detectors.py PORTRAITS --variants

boxes.csv has the columns image, x1, y1, x2, y2 (pixels); others are ignored. A detection is correct
if it overlaps a face's box by an intersection over union of --iou or more and no detection with a
higher score has claimed that box. Every other detection is a false alarm. "Boxes without a face"
are random boxes that touch no face, searched as `imagefec crop` searches boxes. Detectors whose
files are missing (--model_dir) are skipped and named. Times are the median CPU time of one core, so
other load on the machine has little effect. blazeface.py compares blazeface's settings.
"""

import argparse
import csv
import pathlib
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

import cv2
import numpy as np

from imagefec.errors import UserError
from imagefec.faces import crop
from imagefec.faces.detectors import Detection, Detector, make_detector
from imagefec.faces.detectors.haar import HaarDetector
from imagefec.faces.photos import read_photo
from imagefec.maths.geometry import Box, iou, to_fractions, to_pixels, whole_pixels

SCORES = {
    "yunet": (0.5, 0.6, 0.7, 0.8, 0.9),
    "blazeface": (0.3, 0.4, 0.5, 0.6, 0.7),
    "faced": (0.5, 0.6, 0.7, 0.8, 0.9),
    "haar": (0, 55, 56, 57),
    "lbp": (0,),
}
# Longer side of the face / shorter side of the photo.
SIZES = {"under .1": (0.0, 0.1), ".1 to .3": (0.1, 0.3), ".3 and over": (0.3, 9.0)}
JITTERS = [(scale, mirrored) for scale in (1, 0.95, 0.9, 0.85, 0.8) for mirrored in (False, True)]
MIDDLE = Box(0.15, 0.85, 0.2, 0.85)  # of a portrait: brow to chin and ear to ear, as in FEC
BOXES_WITHOUT_FACE = 60  # random boxes of each photo of SCENES
PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png")

Photo = tuple[np.ndarray, list[Box]]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("FOLDER", type=pathlib.Path)
    parser.add_argument(
        "--iou",
        type=float,
        default=0.4,
        help="minimum overlap of a correct detection (default: %(default)s)",
    )
    parser.add_argument("--model_dir", help="folder of the files of yunet and faced")
    parser.add_argument(
        "--variants", action="store_true", help="compare cascades and parameters of haar"
    )
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    if not (arguments.FOLDER / "boxes.csv").is_file():
        return portraits(
            arguments.FOLDER, _variants() if arguments.variants else _detectors(arguments.model_dir)
        )
    photos = read_scenes(arguments.FOLDER)
    if arguments.variants:
        return variants(photos, arguments.iou)
    return scenes(photos, _detectors(arguments.model_dir), arguments.iou)


def scenes(photos: Sequence[Photo], detectors: Sequence[Detector], least_iou: float) -> None:
    """Prints recall by size, false alarms and time, by detector and minimum score."""
    counts = [
        sum(name == _size(box, photo) for photo, boxes in photos for box in boxes) for name in SIZES
    ]
    _row(
        "detector",
        "min_score",
        *(f"recall, {name} ({n})" for name, n in zip(SIZES, counts)),
        f"all ({sum(counts)})",
        "false alarms per photo",
        "ms per photo",
        "boxes without a face accepted",
        head=True,
    )
    empty = [patch for photo, boxes in photos for patch in patches_without_face(photo, boxes)]
    for detector in detectors:
        found, ms = _timed(
            lambda photo, detector=detector: detector.detect(photo), [photo for photo, _ in photos]
        )
        in_empty = [detector.detect(patch, smallest=0.5) for patch in empty]
        for least in SCORES[detector.name]:
            hits, n_false = dict.fromkeys(SIZES, 0), 0
            for (photo, boxes), each in zip(photos, found):
                matched, n_others = match([d for d in each if d.score >= least], boxes, least_iou)
                n_false += n_others
                for box in matched:
                    hits[_size(box, photo)] += 1
            shares = [f"{hits[name]} of {n}" for name, n in zip(SIZES, counts)]
            _row(
                detector.name,
                least or "all",
                *shares,
                f"{sum(hits.values()) / max(sum(counts), 1):.0%}",
                f"{n_false / len(photos):.2f}",
                f"{ms:.0f}",
                _share(any(d.score >= least for d in each) for each in in_empty),
            )


def portraits(folder: pathlib.Path, detectors: Sequence[Detector]) -> None:
    """Prints the share of photos in which a face is found.

    Each photo is searched three times: complete, cropped to MIDDLE grown as `imagefec crop` grows
    boxes, and cropped to MIDDLE itself.
    """
    photos = [
        read_photo(path)
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in PHOTO_SUFFIXES
    ]
    if not photos:
        sys.exit(f"{folder}: has neither boxes.csv nor photos ({', '.join(PHOTO_SUFFIXES)}).")
    _row(
        "detector",
        "min_score",
        "whole photo: found",
        "several",
        "grown box: found",
        "tight box: found",
        "ms per box",
        head=True,
    )
    grown = [
        crop.crop_patch(photo, crop.grown_box(MIDDLE, *photo.shape[1::-1])) for photo in photos
    ]
    tight = [crop.crop_patch(photo, to_box(MIDDLE, *photo.shape[1::-1])) for photo in photos]
    for detector in detectors:
        in_complete, _ = _timed(lambda photo, detector=detector: detector.detect(photo), photos)
        (in_grown, ms), (in_tight, _) = (
            _timed(lambda photo, detector=detector: detector.detect(photo, smallest=0.5), crops)
            for crops in (grown, tight)
        )
        for least in SCORES.get(detector.name, (0,)):
            n_complete, n_grown, n_tight = (
                [sum(d.score >= least for d in each) for each in found]
                for found in (in_complete, in_grown, in_tight)
            )
            _row(
                detector.name,
                least or "all",
                _share(n > 0 for n in n_complete),
                _share(n > 1 for n in n_complete),
                _share(n > 0 for n in n_grown),
                _share(n > 0 for n in n_tight),
                f"{ms:.1f}",
            )
    print(f"\n{len(photos)} photos.")


def variants(photos: Sequence[Photo], least_iou: float) -> None:
    """Prints what other cascades and parameters find, averaged over scaled and mirrored photos."""
    jittered = [jitter(photo, boxes, *how) for how in JITTERS for photo, boxes in photos]
    n_faces = sum(len(boxes) for _, boxes in photos)
    _row(
        "cascade",
        "scale factor",
        "neighbours",
        f"found of {n_faces}",
        "false alarms per photo",
        "ms per photo",
        head=True,
    )
    for detector in _variants():
        found, ms = _timed(detector.detect, [photo for photo, _ in jittered])
        matched = [match(each, boxes, least_iou) for each, (_, boxes) in zip(found, jittered)]
        _row(
            *detector.name.split(),
            f"{sum(len(boxes) for boxes, _ in matched) / len(JITTERS):.1f}",
            f"{sum(n_false for _, n_false in matched) / len(jittered):.2f}",
            f"{ms:.0f}",
        )


class HaarVariant(HaarDetector):
    """The detector haar with another cascade of OpenCV and other parameters."""

    def __init__(self, cascade: str, scale_factor: float, neighbours: int) -> None:
        super().__init__()
        self.name = f"{cascade} {scale_factor} {neighbours}"
        self._cascade = cv2.CascadeClassifier(
            f"{cv2.data.haarcascades}haarcascade_frontalface_{cascade}.xml"
        )
        self._scale_factor, self._neighbours = scale_factor, neighbours

    def _find(self, gray: np.ndarray, least_px: int) -> list[tuple[Box, float]]:
        boxes = self._cascade.detectMultiScale(
            gray,
            scaleFactor=self._scale_factor,
            minNeighbors=self._neighbours,
            minSize=(least_px, least_px),
        )
        return [(Box(float(x), float(x + w), float(y), float(y + h)), 1.0) for x, y, w, h in boxes]


def match(
    found: Sequence[Detection], boxes: Sequence[Box], least_iou: float
) -> tuple[list[Box], int]:
    """Matches detections to the boxes of faces, each box to the first detection that overlaps it.

    Args:
      found: detections, highest score first.
      boxes: in pixels, like the detections'.
      least_iou: minimum overlap of a match.

    Returns:
      (matched boxes, number of detections without a match).
    """
    unmatched, matched = list(boxes), []
    for each in found:
        best = max(unmatched, key=lambda box: iou(box, each.box), default=None)
        if best is not None and iou(best, each.box) >= least_iou:
            unmatched.remove(best)
            matched.append(best)
    return matched, len(found) - len(matched)


def jitter(photo: np.ndarray, boxes: Sequence[Box], scale: float, mirrored: bool) -> Photo:
    """The photo scaled and mirrored, with its boxes."""
    size = round(photo.shape[1] * scale), round(photo.shape[0] * scale)
    if scale != 1:
        photo = cv2.resize(photo, size, interpolation=cv2.INTER_AREA)
    boxes = [Box(*(side * scale for side in box.sides)) for box in boxes]
    if mirrored:
        photo = np.ascontiguousarray(photo[:, ::-1])
        boxes = [Box(size[0] - box.right, size[0] - box.left, box.top, box.bottom) for box in boxes]
    return photo, boxes


def patches_without_face(photo: np.ndarray, boxes: Sequence[Box]) -> list[np.ndarray]:
    """Random boxes of .08 to .5 of the shorter side, grown as `crop` does, that touch no face."""
    generator = np.random.default_rng(0)
    height, width = photo.shape[:2]
    patches: list[np.ndarray] = []
    for _ in range(100 * BOXES_WITHOUT_FACE):
        side = generator.uniform(0.08, 0.5) * min(height, width)
        left, top = generator.uniform(0, width - side), generator.uniform(0, height - side)
        box = to_fractions(Box(left, left + side, top, top + side), width, height)
        grown = crop.grown_box(box, width, height)
        if all(iou(grown, face) == 0 for face in boxes):
            patches.append(crop.crop_patch(photo, grown))
        if len(patches) == BOXES_WITHOUT_FACE:
            break
    return patches


def read_scenes(folder: pathlib.Path) -> list[Photo]:
    """The photos that boxes.csv names, with their boxes."""
    boxes = defaultdict(list)
    with (folder / "boxes.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            boxes[row["image"]].append(
                Box(*(float(row[side]) for side in ("x1", "x2", "y1", "y2")))
            )
    return [(read_photo(folder / name), boxes[name]) for name in boxes]


def to_box(share: Box, width: int, height: int) -> Box:
    """Converts a box of fractions to integer pixels, without growing it."""
    return whole_pixels(to_pixels(share, width, height), width, height)


def _detectors(model_dir: str | None) -> list[Detector]:
    available = []
    for name, scores in SCORES.items():
        try:
            available.append(make_detector(name, min(scores), model_dir))
        except UserError as error:
            print(f"Skipped: {error}\n", file=sys.stderr)
    return available


def _variants() -> list[HaarVariant]:
    return [
        HaarVariant(cascade, factor, neighbours)
        for cascade in ("alt2", "default", "alt")
        for factor, neighbours in ((1.1, 1), (1.1, 2), (1.1, 3), (1.1, 4), (1.2, 2), (1.05, 4))
    ]


def _timed(
    detect: Callable[[np.ndarray], list[Detection]], photos: Sequence[np.ndarray]
) -> tuple[list, float]:
    found, times = [], []
    for photo in photos:
        start = time.process_time()
        found.append(detect(photo))
        times.append(time.process_time() - start)
    return found, 1000 * statistics.median(times)


def _size(box: Box, photo: np.ndarray) -> str:
    share = max(box.width, box.height) / min(photo.shape[:2])
    return next(name for name, (least, most) in SIZES.items() if least <= share < most)


def _share(flags: Iterable[bool]) -> str:
    flags = list(flags)
    return f"{sum(flags) / len(flags):.1%}"


def _row(*cells: object, head: bool = False) -> None:
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)
    if head:
        print("|" + "---|" * len(cells))


if __name__ == "__main__":
    main()
